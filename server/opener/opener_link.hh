// The server's end of the line to its opener (opener.hh). May be used from any thread at once: every request
// brings the socket on which it is answered.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "common/linux/fd.hh"
#include "server/config/config_file.hh"
#include "server/opener/opener_wire.hh"
#include "server/process/question.hh"
#include "server/volume/volume_registry.hh"

namespace holdfast::server {

class OpenerLink final : public DiskSource {
public:
    OpenerLink() = default;
    // `opener` is a child of this process.
    void connect(Fd control, pid_t opener) {
        control_ = std::move(control);
        opener_ = opener;
    }
    // Whether it was connected.
    explicit operator bool() const noexcept { return static_cast<bool>(control_); }
    OpenerLink(const OpenerLink&) = delete;
    OpenerLink& operator=(const OpenerLink&) = delete;
    // Ends the opener, and waits until it has cleaned up, for two seconds at most.
    ~OpenerLink() override;

    // Becomes readable when the opener is gone, and never before.
    [[nodiscard]] int fd() const noexcept { return control_.get(); }

    // These wait for a disk, until the deadline at most.
    [[nodiscard]] std::expected<DiskKey, VolumeRefusal> find(const DiskWanted& wanted) override;
    [[nodiscard]] std::expected<OpenedDisk, VolumeRefusal> open(const DiskWanted& wanted) override;
    [[nodiscard]] std::expected<VolumeTraits, VolumeRefusal> look(const DiskWanted& wanted);
    // These do not wait. The error: the opener takes no requests.
    // The configuration's files as they are now. What they say is in force, for the opener, after commit().
    [[nodiscard]] std::expected<OpenerQuestion, std::string> ask_reload();
    // Listening sockets for listener `number` of the configuration that was read last.
    [[nodiscard]] std::expected<OpenerQuestion, std::string> ask_listen(std::size_t number);
    [[nodiscard]] std::expected<OpenerQuestion, std::string> ask_commit();
    // See server::look_around().
    [[nodiscard]] std::expected<OpenerQuestion, std::string> ask_look_around();
    // The authfiles of all exports, see read_access_files().
    [[nodiscard]] std::expected<OpenerQuestion, std::string> ask_authfiles();
    // Removes the UNIX sockets of the listeners: nobody is accepted on them any more. With `all` also the
    // others. Not answered.
    void unlisten(bool all);

private:
    using Answer = OpenerReply;
    using Deadline = std::chrono::steady_clock::time_point;

    [[nodiscard]] std::expected<Answer, VolumeRefusal> ask(const OpenerRequest& request, Deadline deadline);
    // `busy` is set, to the reason, where the request has to be repeated.
    [[nodiscard]] std::expected<Answer, VolumeRefusal> ask_once(const OpenerRequest& request,
                                                                Deadline deadline, std::string& busy);
    [[nodiscard]] std::expected<Answer, VolumeRefusal> ask(OpenerCall call, const DiskWanted& wanted);

    // Sends the request, waiting for room until the deadline.
    [[nodiscard]] std::expected<OpenerQuestion, std::string> begin(const OpenerRequest& request,
                                                                   Deadline deadline);

    Fd control_;
    pid_t opener_ = -1;
};

// What answers to the questions above mean; the error says why there is none that does.
[[nodiscard]] std::expected<ConfigTexts, std::string> texts_of(const OpenerOutcome& answer);
[[nodiscard]] std::expected<std::vector<Fd>, std::string> sockets_of(OpenerOutcome answer);
[[nodiscard]] std::expected<void, std::string> done_of(const OpenerOutcome& answer);
// Empty where there is no answer.
[[nodiscard]] std::vector<Remark> remarks_of(const OpenerOutcome& answer);

}  // namespace holdfast::server
