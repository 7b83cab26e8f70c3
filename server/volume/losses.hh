// Lost writes, and who must hear of them. A write is answered when it is in the page cache; when the disk
// refuses it afterwards, or fails to flush, Linux says so once (errseq_t, lib/errseq.c) and then takes the
// pages for clean. Here it stays known, disk by disk, also while the disk's volume is closed and when the
// server is started again (loss_record.hh), until each client whose writes may be among the lost ones has
// been told by a FLUSH that failed: once, as fsync(2) tells each open file once.
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

// One connection that writes to a disk, from the first moment that it could. A client is told of a loss on
// each of its connections, until it is known that it has heard of it.
class Writer {
public:
    // One that cannot write: no loss is its own.
    Writer() = default;
    Writer(Writer&& other) noexcept = default;
    Writer& operator=(Writer&& other) noexcept = default;

    // The error of the disk's last loss, unless this connection began after it or has been told. The client
    // must be told of it. From any thread.
    [[nodiscard]] Result<void> check() const;
    // What check() found is on its way to the client, before everything that the connection sends from now
    // on.
    void told() const;
    // Something was told, and it is not known yet whether the client has read it.
    [[nodiscard]] bool awaits_delivery() const;
    // The client has read it.
    void delivered() const;

private:
    friend class DiskLosses;
    struct State {
        std::shared_ptr<DiskLosses> disk;
        std::string client;
        bool session = false;                      // what its other connections received, it has received
        std::atomic<std::uint64_t> settled = 0;    // the losses up to this number do not concern it any more
        std::atomic<std::uint64_t> found = 0;      // by check()
        std::atomic<std::uint64_t> delivered = 0;  // of what was told
    };
    explicit Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}

    std::unique_ptr<State> state_;
};

// The losses of one disk, which are numbered from 1. Safe to be called from any thread.
class DiskLosses : public std::enable_shared_from_this<DiskLosses> {
public:
    // How many clients are remembered. One that is forgotten, and comes back, counts as one that was here
    // before the first loss, which is safe.
    static constexpr std::size_t most_clients = 1024;

    // `name` is for the log. Losses are kept in `record` under `identity`, and what it knows of them is
    // known from now on.
    DiskLosses(std::string name, std::string identity, std::shared_ptr<LossRecord> record);
    // Kept nowhere.
    explicit DiskLosses(std::string name);

    // Something that was answered may never reach the disk. `error` is an errno. Logs it.
    void add(int error);
    // What was lost so far may be of clients that this server has never seen.
    void concerns_strangers();

    [[nodiscard]] bool any() const { return count_ > 0; }
    [[nodiscard]] std::uint64_t count() const { return count_; }
    // The error of the last loss, if there was one since count() was `before`.
    [[nodiscard]] Result<void> since(std::uint64_t before) const;

    // A connection of a session. `first`: the session has had no connection before, to no server.
    [[nodiscard]] Writer begin(const nbd::Uuid& session, bool first);
    // A connection without a session. All those from one host are taken for one client; `host` is its
    // address, or "unix".
    [[nodiscard]] Writer begin_nameless(const std::string& host);

private:
    friend class Writer;
    // These with mutex_ locked.
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
    mutable std::mutex mutex_;         // of what follows
    bool concerns_strangers_ = false;
    // The losses up to this number do not concern the client any more.
    std::map<std::string, std::uint64_t> clients_;
    std::list<std::string> oldest_first_;  // the keys of clients_
};

// The losses of all disks, by their identities (disk_identity.hh).
class Losses {
public:
    // See LossRecord::open(); before of().
    [[nodiscard]] Result<void> keep_in(const std::string& path, const nbd::Uuid& boot) {
        return record_->open(path, boot);
    }
    // The same for the same identity, from the first call on.
    [[nodiscard]] std::shared_ptr<DiskLosses> of(const std::string& identity, const std::string& name);

private:
    const std::shared_ptr<LossRecord> record_ = std::make_shared<LossRecord>();
    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<DiskLosses>> disks_;
};

}  // namespace holdfast::server
