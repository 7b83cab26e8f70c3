// The client sends the next piece after the reply to the last one, or earlier: then the socket holds it.

#include "server/export/boot_upload.hh"

#include <errno.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/linux/log.hh"
#include "common/protocol/boot_manifest.hh"

namespace holdfast::server {

using nbd::OptionReply;
using nbd::Refusal;

namespace {

constexpr std::chrono::seconds short_patience{20};
// Begin and end of a file wait for the disk, and for a sum over the file.
constexpr std::chrono::seconds long_patience{100};
// Bounds how much the end of a file has to flush.
constexpr std::uint64_t sync_interval = 16 << 20;

OptionReply reply_of(BootFaultKind kind) {
    switch (kind) {
        case BootFaultKind::invalid: return OptionReply::err_invalid;
        case BootFaultKind::too_big: return OptionReply::err_too_big;
        case BootFaultKind::none:
        case BootFaultKind::failed: break;
    }
    return OptionReply::err_platform;
}

}  // namespace

bool BootUploads::enter(const std::string& export_name) {
    const std::lock_guard lock(mutex_);
    return exports_.insert(export_name).second;
}

void BootUploads::leave(const std::string& export_name) {
    const std::lock_guard lock(mutex_);
    exports_.erase(export_name);
}

BootUpload::BootUpload(OpenerClient& opener, BootUploads& uploads, std::string peer, Judge judge)
    : opener_(opener), uploads_(uploads), peer_(std::move(peer)), judge_(std::move(judge)) {}

BootUpload::~BootUpload() { leave(); }

void BootUpload::leave() {
    file_.reset();
    wanted_ = {};
    if (!export_name_.empty()) uploads_.leave(std::exchange(export_name_, {}));
}

std::unexpected<Refusal> BootUpload::refuse(const std::string& export_name, Refusal refusal) {
    log::notice(fmt::format("export {}: {}: boot files refused: {}", export_name, peer_, refusal.text));
    return std::unexpected(std::move(refusal));
}

std::expected<std::string, Refusal> BootUpload::enter(std::string_view name, const nbd::Uuid& session) {
    auto own_name = judge_(name, session);
    if (!own_name || *own_name == export_name_) return own_name;
    leave();
    if (!uploads_.enter(*own_name))
        return refuse(*own_name,
                      {OptionReply::err_platform,
                       "another connection is handing in boot files of this export; try again in a "
                       "minute"});
    export_name_ = *own_name;
    return own_name;
}

std::expected<OpenerReply, Refusal> BootUpload::ask(OpenerCall call, const std::string& export_name,
                                                    std::string data, std::chrono::seconds patience) {
    auto answer = opener_.boot_files(call, export_name, std::move(data), Clock::now() + patience);
    if (!answer) return refuse(export_name, {OptionReply::err_platform, answer.error().text});
    return std::move(*answer);
}

std::expected<void, Refusal> BootUpload::ask_plain(OpenerCall call, const std::string& export_name,
                                                   std::string data, std::chrono::seconds patience) {
    const auto answer = ask(call, export_name, std::move(data), patience);
    if (!answer) return std::unexpected(answer.error());
    Unpacker from(answer->bytes);
    const auto outcome = unpack_boot_outcome(from);
    if (!outcome || !from.complete())
        return refuse(export_name, {OptionReply::err_platform, "no answer from the opener process"});
    if (!*outcome) return refuse(export_name, {reply_of(outcome->error().kind), outcome->error().text});
    return {};
}

std::expected<nbd::BootFileState, Refusal> BootUpload::begin(const nbd::BootFileBegin& request) {
    file_.reset();
    const auto name = enter(request.export_name, request.session);
    if (!name) return std::unexpected(name.error());
    session_ = request.session;
    wanted_.sha256 = request.sha256;
    wanted_.size = request.size;
    auto answer = ask(OpenerCall::boot_begin, *name, pack(wanted_), long_patience);
    if (!answer) return std::unexpected(answer.error());
    Unpacker from(answer->bytes);
    const auto outcome = unpack_boot_outcome(from);
    if (outcome && !*outcome) return refuse(*name, {reply_of(outcome->error().kind), outcome->error().text});
    const bool complete = from.flag();
    offset_ = from.number<std::uint64_t>();
    if (!outcome || !from.complete() || answer->files.size() != (complete ? 0 : 1) || offset_ > request.size)
        return refuse(*name, {OptionReply::err_platform, "no answer from the opener process"});
    if (complete) {
        if (wanted_.kept.size() < BootFileWanted::most_kept) wanted_.kept.push_back(wanted_.sha256);
        return nbd::BootFileState{true, offset_};
    }
    file_ = std::move(answer->files.front());
    unsynced_ = 0;
    return nbd::BootFileState{false, offset_};
}

std::expected<void, Refusal> BootUpload::write(const nbd::BootFilePiece& piece) {
    for (auto rest = piece.bytes; !rest.empty();) {
        const ssize_t count = ::pwrite(file_.get(), rest.data(), rest.size(), static_cast<off_t>(offset_));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0)
            return std::unexpected(
                Refusal{OptionReply::err_platform,
                        "the server's disk for boot files: " + SysError{errno, "write"}.message()});
        rest = rest.subspan(static_cast<std::size_t>(count));
        offset_ += static_cast<std::uint64_t>(count);
        unsynced_ += static_cast<std::uint64_t>(count);
    }
    if (unsynced_ < sync_interval) return {};
    unsynced_ = 0;
    if (::fdatasync(file_.get()) == 0) return {};
    return std::unexpected(Refusal{OptionReply::err_platform, "the server's disk for boot files: " +
                                                                  SysError{errno, "fdatasync"}.message()});
}

std::expected<void, Refusal> BootUpload::take(const nbd::BootFilePiece& piece) {
    if (const auto allowed = judge_(export_name_, session_); !allowed) {
        file_.reset();
        return std::unexpected(allowed.error());
    }
    if (piece.offset != offset_ || piece.bytes.size() > wanted_.size - offset_) {
        file_.reset();
        return refuse(export_name_, {OptionReply::err_invalid, "a piece is not the next part of the file"});
    }
    if (const auto written = write(piece); !written) {
        file_.reset();
        (void)ask_plain(OpenerCall::boot_drop, export_name_, pack(wanted_), short_patience);
        return refuse(export_name_, written.error());
    }
    return {};
}

std::expected<void, Refusal> BootUpload::end() {
    file_.reset();
    if (const auto allowed = judge_(export_name_, session_); !allowed)
        return std::unexpected(allowed.error());
    const auto ended = ask_plain(OpenerCall::boot_end, export_name_, pack(wanted_), long_patience);
    if (ended && wanted_.kept.size() < BootFileWanted::most_kept) wanted_.kept.push_back(wanted_.sha256);
    return ended;
}

std::expected<void, Refusal> BootUpload::commit(const nbd::BootFileCommit& request) {
    const auto name = enter(request.export_name, request.session);
    if (!name) return std::unexpected(name.error());
    const auto done = ask_plain(OpenerCall::boot_commit, *name, std::string(request.manifest), long_patience);
    if (!done) return done;
    const auto manifest = nbd::read_boot_manifest(request.manifest);
    log::notice(fmt::format("export {}: {}: boot files committed, kernel {}", *name, peer_,
                            manifest ? manifest->kernel.version : "?"));
    return {};
}

std::expected<std::string, Refusal> BootUpload::status(const nbd::BootFileStatus& request) {
    const auto name = judge_(request.export_name, request.session);
    if (!name) return std::unexpected(name.error());
    const auto answer = ask(OpenerCall::boot_status, *name, {}, short_patience);
    if (!answer) return std::unexpected(answer.error());
    Unpacker from(answer->bytes);
    const auto outcome = unpack_boot_outcome(from);
    std::string text = outcome && *outcome ? from.text() : std::string();
    if (outcome && !*outcome) return refuse(*name, {reply_of(outcome->error().kind), outcome->error().text});
    if (!outcome || !from.complete())
        return refuse(*name, {OptionReply::err_platform, "no answer from the opener process"});
    return text;
}

}  // namespace holdfast::server
