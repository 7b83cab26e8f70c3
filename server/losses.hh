// Lost writes, and who must hear of them. A write is answered when it is in the page cache; when the disk
// refuses it afterwards, or fails to flush, Linux says so once (errseq_t, lib/errseq.c) and then takes the
// pages for clean. Here it stays known, disk by disk, for as long as the server runs, also while the disk's
// volume is closed: a flush succeeds only for who began to write after the disk's last loss.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/linux/result.hh"
#include "common/protocol/session_option.hh"

namespace holdfast::server {

class DiskLosses;

// One connection that writes to a disk, from the first moment that it could.
class Writer {
public:
    // One that cannot write: no loss is its own.
    Writer() = default;
    Writer(Writer&& other) noexcept = default;
    Writer& operator=(Writer&& other) noexcept;
    ~Writer();

    // The error of the disk's last loss, unless all of its losses came before this writer. The client must be
    // told of it.
    [[nodiscard]] Result<void> check() const;

private:
    friend class DiskLosses;
    Writer(std::shared_ptr<DiskLosses> disk, std::uint64_t began, bool nameless)
        : disk_(std::move(disk)), began_(began), nameless_(nameless) {}

    std::shared_ptr<DiskLosses> disk_;
    std::uint64_t began_ = 0;  // how many losses there were before it
    bool nameless_ = false;
};

// The losses of one disk. Safe to be called from any thread.
class DiskLosses : public std::enable_shared_from_this<DiskLosses> {
public:
    // How many sessions are remembered that began after a loss. A session that is not remembered counts as
    // one that was here before the first loss, which is safe.
    static constexpr std::size_t most_sessions = 1024;

    // `name` is for the log.
    explicit DiskLosses(std::string name) : name_(std::move(name)) {}

    // Something that was answered may never reach the disk. `error` is an errno. Logs it.
    void add(int error);

    [[nodiscard]] bool any() const { return count_ > 0; }

    // A connection of a session. `first`: the session has had no connection before, to no server.
    [[nodiscard]] Writer begin(const nbd::Uuid& session, bool first);
    // A connection without a session. All those of a disk are taken for one client, which comes and goes: a
    // loss is its own while any of them is open that was there at the loss, and until one of them has been
    // told.
    [[nodiscard]] Writer begin_nameless();

private:
    friend class Writer;
    void leave_nameless();
    void told_nameless();
    [[nodiscard]] std::uint64_t session_began(const nbd::Uuid& session, bool first);

    const std::string name_;
    std::atomic<std::uint64_t> count_ = 0;
    std::atomic<int> last_error_ = 0;  // gives meaning to count_ > 0
    std::mutex mutex_;                 // of what follows
    std::map<nbd::Uuid, std::uint64_t> sessions_;
    std::list<nbd::Uuid> oldest_first_;  // the keys of sessions_
    std::uint64_t nameless_began_ = 0;
    std::size_t nameless_ = 0;
    bool nameless_told_ = false;
};

// The losses of all disks, by their identities (disk_identity.hh).
class Losses {
public:
    // The same for the same identity, from the first call on.
    [[nodiscard]] std::shared_ptr<DiskLosses> of(const std::string& identity, const std::string& name);

private:
    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<DiskLosses>> disks_;
};

}  // namespace holdfast::server
