// The server's end of the connection to its opener (opener.hh). Thread-safe: every request carries the socket
// for its answer.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "server/config/config_file.hh"
#include "server/opener/opener_protocol.hh"
#include "server/process/question.hh"
#include "server/volume/volume_registry.hh"

namespace holdfast::server {

class OpenerClient final : public DiskSource {
public:
    OpenerClient() = default;
    // `opener` is a child of this process.
    void connect(Fd control, pid_t opener) {
        control_ = std::move(control);
        opener_ = opener;
    }
    // Whether connect() was called.
    explicit operator bool() const noexcept { return static_cast<bool>(control_); }
    OpenerClient(const OpenerClient&) = delete;
    OpenerClient& operator=(const OpenerClient&) = delete;
    // Ends the opener, and waits at most two seconds for its cleanup.
    ~OpenerClient() override;

    // Becomes readable when the opener has ended, and never before.
    [[nodiscard]] int fd() const noexcept { return control_.get(); }

    // Requests that wait for a disk, at most until the deadline.
    [[nodiscard]] std::expected<DiskKey, VolumeRefusal> find(const DiskWanted& wanted) override;
    [[nodiscard]] std::expected<OpenedDisk, VolumeRefusal> open(const DiskWanted& wanted) override;
    [[nodiscard]] std::expected<VolumeTraits, VolumeRefusal> look(const DiskWanted& wanted);
    // Has the volume of the session that `wanted` names removed, which nobody uses any more; blocks until
    // that is done. A deadline that has passed: sends the request, and does not wait. The error is for the
    // log.
    [[nodiscard]] std::expected<void, VolumeRefusal> end_session(const DiskWanted& wanted);
    // A request about the boot files of an export (boot_spool.hh).
    [[nodiscard]] std::expected<OpenerReply, VolumeRefusal> boot_files(OpenerCall call,
                                                                       const std::string& export_name,
                                                                       std::string data, Deadline deadline);
    // Requests that do not wait. The error: the opener takes no requests.
    // Asks for the present configuration files. The opener applies them only after commit().
    [[nodiscard]] std::expected<OpenerQuestion, std::string> ask_reload();
    // Asks for listening sockets for listener `number` of the configuration that was read last.
    [[nodiscard]] std::expected<OpenerQuestion, std::string> ask_listen(std::size_t number);
    [[nodiscard]] std::expected<OpenerQuestion, std::string> ask_commit();
    // See server::look_around().
    [[nodiscard]] std::expected<OpenerQuestion, std::string> ask_look_around();
    // Asks for the authfiles of all exports, see read_access_files().
    [[nodiscard]] std::expected<OpenerQuestion, std::string> ask_authfiles();
    // Removes the listeners' UNIX sockets, after which no connection is accepted on them; with `all`, removes
    // also the others. Has no answer.
    void unlisten(bool all);

private:
    using Answer = OpenerReply;

    [[nodiscard]] std::expected<Answer, VolumeRefusal> ask(const OpenerRequest& request, Deadline deadline);
    // Sets `busy` to the reason if the request has to be repeated.
    [[nodiscard]] std::expected<Answer, VolumeRefusal> ask_once(const OpenerRequest& request,
                                                                Deadline deadline, std::string& busy);
    [[nodiscard]] std::expected<Answer, VolumeRefusal> ask(OpenerCall call, const DiskWanted& wanted);

    // Sends the request; waits for room until the deadline.
    [[nodiscard]] std::expected<OpenerQuestion, std::string> begin(const OpenerRequest& request,
                                                                   Deadline deadline);

    Fd control_;
    pid_t opener_ = -1;
};

// Decode the answers to the requests above; the error says why there is no valid answer.
[[nodiscard]] std::expected<ConfigTexts, std::string> texts_of(const OpenerOutcome& answer);
[[nodiscard]] std::expected<std::vector<Fd>, std::string> sockets_of(OpenerOutcome answer);
[[nodiscard]] std::expected<void, std::string> done_of(const OpenerOutcome& answer);
// Returns an empty list if there is no answer.
[[nodiscard]] std::vector<Remark> remarks_of(const OpenerOutcome& answer);

}  // namespace holdfast::server
