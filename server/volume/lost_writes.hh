// Tracks lost writes until each affected client has received an error. A write is answered when its data are
// in the page cache; if the disk later refuses the write, or fails to flush, Linux reports the error once
// (errseq_t, lib/errseq.c) and then considers the pages clean. The losses are kept per disk, also while the
// disk's volume is closed and across restarts of the server (loss_record.hh), until each client that may have
// written the lost data has received a failed FLUSH: once, as fsync(2) reports once per open file
// description.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "common/linux/result.hh"
#include "common/protocol/session_option.hh"
#include "server/volume/loss_record.hh"

namespace holdfast::server {

class DiskLosses;

// A connection that may write to a disk, from its first possible write. A loss is reported on each connection
// of a client, until the client is known to have read a report.
class Writer {
public:
    // Creates a Writer that cannot write: no loss concerns it.
    Writer() = default;
    Writer(Writer&& other) noexcept = default;
    Writer& operator=(Writer&& other) noexcept = default;

    // Returns the error of the disk's last loss, unless this connection began after the loss or has already
    // reported it. The caller must report the error to the client. From any thread.
    [[nodiscard]] Result<void> check() const;
    // Marks the error from check() as queued to the client, ahead of all later replies of the connection.
    void told() const;
    // Whether an error was reported, and the client is not yet known to have read the report.
    [[nodiscard]] bool awaits_delivery() const;
    // Records that the client has read the report.
    void delivered() const;

private:
    friend class DiskLosses;
    struct State {
        std::shared_ptr<DiskLosses> disk;
        std::string client;
        bool session = false;                      // a report on any of its connections counts for all
        std::atomic<std::uint64_t> settled = 0;    // losses up to this number are settled
        std::atomic<std::uint64_t> found = 0;      // last loss found by check()
        std::atomic<std::uint64_t> delivered = 0;  // last loss that the client knows of
    };
    explicit Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}

    std::unique_ptr<State> state_;
};

// Losses of one disk, numbered from 1. Safe to be called from any thread.
class DiskLosses : public std::enable_shared_from_this<DiskLosses> {
public:
    // Maximum number of remembered clients. A forgotten client that returns counts as a client from before
    // the first loss, which is safe.
    static constexpr std::size_t most_clients = 1024;

    // `name` is for the log. Losses are stored in `record` under `identity`; losses already in the record are
    // restored.
    DiskLosses(std::string name, std::string identity, std::shared_ptr<LossRecord> record);
    // Keeps the losses in memory only.
    explicit DiskLosses(std::string name);

    // Adds a loss: an acknowledged write may never reach the disk. `error` is an errno. Logs the loss.
    void add(int error);
    // Marks the losses so far as possibly concerning clients that this server has never seen.
    void concerns_strangers();

    [[nodiscard]] bool any() const { return count_ > 0; }
    [[nodiscard]] std::uint64_t count() const { return count_; }
    // Returns the error of the last loss, if a loss was added since count() was `before`.
    [[nodiscard]] Result<void> since(std::uint64_t before) const;

    // Begins a connection of a session. `first`: the session has had no earlier connection, to any server.
    [[nodiscard]] Writer begin(const nbd::Uuid& session, bool first);
    // Begins a connection without a session. All such connections from a host count as the same client;
    // `host` is the client's address, or "unix".
    [[nodiscard]] Writer begin_nameless(const std::string& host);

private:
    friend class Writer;
    // The following functions need mutex_ locked.
    void remember(const std::string& client, std::uint64_t settled);
    void restore(std::string_view state);
    void keep() const;
    void settle(const std::string& client, std::uint64_t number);
    [[nodiscard]] Writer make_writer(std::string client, std::uint64_t settled, bool session);
    // Locks mutex_.
    [[nodiscard]] std::uint64_t settled_for(const std::string& client) const;

    const std::string name_;
    const std::string identity_;
    const std::shared_ptr<LossRecord> record_;
    std::atomic<std::uint64_t> count_ = 0;
    std::atomic<int> last_error_ = 0;  // valid only if count_ > 0
    mutable std::mutex mutex_;         // protects the members below
    bool concerns_strangers_ = false;
    // Number of the last settled loss, by client.
    std::map<std::string, std::uint64_t> clients_;
    std::list<std::string> oldest_first_;  // keys of clients_
};

// Losses of all disks, by identity (disk_identity.hh).
class LostWrites {
public:
    // See LossRecord::open(); call before of().
    [[nodiscard]] Result<void> keep_in(const std::string& path, const nbd::Uuid& boot) {
        return record_->open(path, boot);
    }
    // Returns the same object for the same identity while the object is in use or has losses.
    [[nodiscard]] std::shared_ptr<DiskLosses> of(const std::string& identity, const std::string& name);

private:
    const std::shared_ptr<LossRecord> record_ = std::make_shared<LossRecord>();
    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<DiskLosses>> disks_;
};

}  // namespace holdfast::server
