// Opens names below descriptors of folders, and follows no symbolic link below the spool.

#include "server/opener/boot_spool.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "common/linux/folder.hh"
#include "common/linux/result.hh"
#include "common/protocol/boot_manifest.hh"
#include "common/text/hex.hh"
#include "common/text/sha256.hh"

namespace holdfast::server {
namespace {

using Outcome = std::expected<void, BootFault>;

constexpr const char* manifest_name = "manifest";
constexpr const char* manifest_draft = "manifest.new";
constexpr std::string_view part_suffix = ".part";

std::unexpected<BootFault> fault(BootFaultKind kind, std::string text) {
    return std::unexpected(BootFault{kind, std::move(text)});
}

std::unexpected<BootFault> failure(const char* call) {
    const int code = errno;
    return fault(BootFaultKind::failed,
                 "the server's folder of boot files: " + SysError{code, call}.message());
}

std::string name_of(const nbd::Digest& digest) { return hex_of(digest.data(), digest.size()); }
std::string part_of(const nbd::Digest& digest) { return name_of(digest) + std::string(part_suffix); }

bool is_file_name(std::string_view name) {
    nbd::Digest digest{};
    return read_hex(name, digest);
}

bool give(int file, const BootSpool& spool) {
    return !spool.owner || ::geteuid() != 0 || ::fchown(file, spool.owner->uid, spool.owner->gid) == 0;
}

// Opens a folder, and creates it if absent.
Fd open_folder(int above, const std::string& name, int flags, const BootSpool& spool) {
    const bool created = ::mkdirat(above, name.c_str(), 0700) == 0;
    if (!created && errno != EEXIST) return Fd();
    Fd folder(::openat(above, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags));
    if (created && folder && !give(folder.get(), spool)) return Fd();
    return folder;
}

// Folder of an export, locked.
struct Folder {
    Fd above;
    Fd own;
};

std::expected<Folder, BootFault> open_folder(const BootSpool& spool) {
    Folder folder;
    folder.above = open_folder(AT_FDCWD, spool.folder, 0, spool);
    if (!folder.above) return failure("open");
    folder.own = open_folder(folder.above.get(), nbd::boot_folder_name(spool.export_name), O_NOFOLLOW, spool);
    if (!folder.own) return failure("open");
    if (::flock(folder.own.get(), LOCK_EX) != 0) return failure("flock");
    return folder;
}

// Opens a regular file; O_NONBLOCK, so that no other kind of file holds up the caller.
Fd open_file(const Folder& folder, const std::string& name, int flags) {
    Fd file(::openat(folder.own.get(), name.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    struct stat status {};
    if (file && (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))) {
        errno = EINVAL;
        return Fd();
    }
    return file;
}

std::optional<std::uint64_t> size_of(const Folder& folder, const std::string& name) {
    struct stat status {};
    if (::fstatat(folder.own.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
    if (!S_ISREG(status.st_mode)) return std::nullopt;
    return static_cast<std::uint64_t>(status.st_size);
}

// Disk space of a file, which may be reserved beyond the end of the file.
std::uint64_t space_of(const Folder& folder, const std::string& name) {
    constexpr std::uint64_t stat_block = 512;
    struct stat status {};
    if (::fstatat(folder.own.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return 0;
    if (!S_ISREG(status.st_mode)) return 0;
    return std::max(static_cast<std::uint64_t>(status.st_size),
                    static_cast<std::uint64_t>(status.st_blocks) * stat_block);
}

void remove(const Folder& folder, const std::string& name) {
    (void)::unlinkat(folder.own.get(), name.c_str(), 0);
}

std::expected<std::string, int> read_text(const Folder& folder, const char* name, std::size_t longest) {
    const Fd file = open_file(folder, name, O_RDONLY);
    if (!file) return std::unexpected(errno);
    std::string text(longest + 1, '\0');
    const ssize_t count = ::pread(file.get(), text.data(), text.size(), 0);
    if (count < 0) return std::unexpected(errno);
    if (static_cast<std::size_t>(count) > longest) return std::unexpected(EFBIG);
    text.resize(static_cast<std::size_t>(count));
    return text;
}

std::set<std::string> names_in(const nbd::BootManifest& manifest) {
    std::set<std::string> names{name_of(manifest.kernel.sha256), name_of(manifest.initrd.sha256)};
    if (manifest.xen) names.insert(name_of(manifest.xen->sha256));
    return names;
}

// Names of the committed manifest; none if there is no valid manifest.
std::set<std::string> committed_names(const Folder& folder) {
    const auto text = read_text(folder, manifest_name, nbd::longest_boot_manifest);
    const auto manifest = text ? nbd::read_boot_manifest(*text) : std::unexpected(std::string());
    return manifest ? names_in(*manifest) : std::set<std::string>();
}

// Removes incomplete files of other contents: an export has one upload at a time.
void remove_other_parts(const Folder& folder, const std::string& part) {
    for (const std::string& name : holdfast::names_in(".", folder.own.get())) {
        std::string_view stem = name;
        if (name == part || !stem.ends_with(part_suffix)) continue;
        stem.remove_suffix(part_suffix.size());
        if (is_file_name(stem)) remove(folder, name);
    }
}

// Removes complete and incomplete files, except those named.
void remove_all_but(const Folder& folder, const std::set<std::string>& names) {
    for (const std::string& name : holdfast::names_in(".", folder.own.get())) {
        std::string_view stem = name;
        if (stem.ends_with(part_suffix)) stem.remove_suffix(part_suffix.size());
        if (is_file_name(stem) && !names.contains(name)) remove(folder, name);
    }
}

struct Contents {
    std::uint64_t bytes = 0;
    std::size_t files = 0;
};

Contents contents_beside(const Folder& folder, const std::string& part) {
    Contents contents;
    for (const std::string& name : holdfast::names_in(".", folder.own.get())) {
        if (name == part) continue;
        contents.bytes += space_of(folder, name);
        ++contents.files;
    }
    return contents;
}

// Reserves disk space without changing the file's size; 0 or the error. A file system that cannot reserve
// space reports a full disk later.
int reserve(int file, std::uint64_t size) {
    if (::fallocate(file, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size)) == 0) return 0;
    return errno == ENOSPC || errno == EDQUOT ? errno : 0;
}

Outcome make_room(const Folder& folder, int file, const BootSpool& spool, const BootFileWanted& wanted) {
    const std::string part = part_of(wanted.sha256);
    // Twice the files of a manifest, the kept ones and those of netboot; small ones may take no space.
    constexpr std::size_t most_files = 16;
    Contents beside = contents_beside(folder, part);
    const auto fits = [&] { return beside.bytes + wanted.size <= spool.quota; };
    if (fits() && beside.files < most_files && reserve(file, wanted.size) == 0) return {};
    std::set<std::string> names = committed_names(folder);
    names.insert(part);
    for (const nbd::Digest& one : wanted.kept) names.insert(name_of(one));
    remove_all_but(folder, names);
    beside = contents_beside(folder, part);
    if (!fits())
        return fault(BootFaultKind::too_big,
                     fmt::format("a file of {} bytes beside {} bytes exceeds the quota of {} bytes; "
                                 "raise bootfilesquota on the server",
                                 wanted.size, beside.bytes, spool.quota));
    errno = reserve(file, wanted.size);
    return errno == 0 ? Outcome() : failure("fallocate");
}

std::expected<nbd::Digest, int> sum_of(int file) {
    Sha256 sum;
    std::string piece(256 << 10, '\0');
    for (off_t at = 0;;) {
        const ssize_t count = ::pread(file, piece.data(), piece.size(), at);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return std::unexpected(errno);
        if (count == 0) return sum.finish();
        sum.add({piece.data(), static_cast<std::size_t>(count)});
        at += count;
    }
}

// Whether the file's size and content are those wanted. A file that cannot be read is not.
bool is_sound(const Folder& folder, const std::string& name, const BootFileWanted& wanted) {
    if (size_of(folder, name) != wanted.size) return false;
    const Fd file = open_file(folder, name, O_RDONLY);
    return file && sum_of(file.get()) == wanted.sha256;
}

// Checks size and content of a file, frees the space beyond its end, and brings the file to stable storage.
Outcome prove(int file, const BootFileWanted& wanted) {
    struct stat status {};
    if (::fstat(file, &status) != 0) return failure("fstat");
    if (static_cast<std::uint64_t>(status.st_size) != wanted.size)
        return fault(BootFaultKind::invalid,
                     fmt::format("{} bytes came instead of {}", status.st_size, wanted.size));
    if (::ftruncate(file, status.st_size) != 0) return failure("ftruncate");
    if (::fsync(file) != 0) return failure("fsync");
    const auto sum = sum_of(file);
    if (!sum) {
        errno = sum.error();
        return failure("read");
    }
    if (*sum != wanted.sha256)
        return fault(BootFaultKind::invalid, "the content does not have the SHA-256 that was announced");
    return {};
}

Outcome check_files(const Folder& folder, const nbd::BootManifest& manifest) {
    for (const nbd::BootFile* const one :
         {&manifest.kernel, &manifest.initrd, manifest.xen ? &*manifest.xen : &manifest.kernel}) {
        if (size_of(folder, name_of(one->sha256)) != one->size)
            return fault(BootFaultKind::invalid,
                         fmt::format("the manifest names {}, which was not sent", name_of(one->sha256)));
    }
    return {};
}

Outcome write_manifest(const Folder& folder, const BootSpool& spool, std::string_view text) {
    remove(folder, manifest_draft);
    {
        const Fd file = open_file(folder, manifest_draft, O_WRONLY | O_CREAT | O_EXCL);
        if (!file || !give(file.get(), spool)) return failure("open");
        const ssize_t count = ::write(file.get(), text.data(), text.size());
        if (count >= 0 && static_cast<std::size_t>(count) < text.size()) errno = ENOSPC;
        if (count < 0 || static_cast<std::size_t>(count) < text.size()) return failure("write");
        if (::fsync(file.get()) != 0) return failure("fsync");
    }
    // Before the manifest: the names of the files.
    if (::fsync(folder.own.get()) != 0) return failure("fsync");
    if (::renameat(folder.own.get(), manifest_draft, folder.own.get(), manifest_name) != 0)
        return failure("rename");
    if (::fsync(folder.own.get()) != 0 || ::fsync(folder.above.get()) != 0) return failure("fsync");
    return {};
}

// Sets the mark of new manifests, which netboot removes when it takes them.
Outcome set_mark(const Folder& folder, const BootSpool& spool) {
    const Fd file(::openat(folder.above.get(), ".committed",
                           O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    if (!file || !give(file.get(), spool)) return failure("open");
    return ::fsync(folder.above.get()) == 0 ? Outcome() : failure("fsync");
}

}  // namespace

std::string pack(const BootFileWanted& wanted) {
    std::string data(reinterpret_cast<const char*>(wanted.sha256.data()), wanted.sha256.size());
    data.append(reinterpret_cast<const char*>(&wanted.size), sizeof wanted.size);
    for (const nbd::Digest& one : wanted.kept)
        data.append(reinterpret_cast<const char*>(one.data()), one.size());
    return data;
}

std::optional<BootFileWanted> unpack_boot_file(std::string_view data) {
    BootFileWanted wanted;
    constexpr std::size_t digest_size = sizeof(nbd::Digest);
    constexpr std::size_t head = digest_size + sizeof wanted.size;
    if (data.size() < head || (data.size() - head) % digest_size != 0) return std::nullopt;
    if (data.size() > head + BootFileWanted::most_kept * digest_size) return std::nullopt;
    std::memcpy(wanted.sha256.data(), data.data(), digest_size);
    std::memcpy(&wanted.size, data.data() + digest_size, sizeof wanted.size);
    if (wanted.size < 1 || wanted.size > nbd::largest_boot_file) return std::nullopt;
    for (data.remove_prefix(head); !data.empty(); data.remove_prefix(digest_size))
        std::memcpy(wanted.kept.emplace_back().data(), data.data(), digest_size);
    return wanted;
}

std::expected<BegunBootFile, BootFault> begin_boot_file(const BootSpool& spool,
                                                        const BootFileWanted& wanted) {
    const auto folder = open_folder(spool);
    if (!folder) return std::unexpected(folder.error());
    const std::string name = name_of(wanted.sha256);
    const std::string part = part_of(wanted.sha256);
    if (is_sound(*folder, name, wanted)) return BegunBootFile{true, wanted.size, Fd()};
    remove(*folder, name);
    remove_other_parts(*folder, part);
    Fd file = open_file(*folder, part, O_RDWR | O_CREAT);
    if (!file || !give(file.get(), spool)) return failure("open");
    std::uint64_t offset = size_of(*folder, part).value_or(0);
    if (offset > wanted.size) offset = 0;
    // Frees the space that was reserved for another size, too.
    if (::ftruncate(file.get(), static_cast<off_t>(offset)) != 0) return failure("ftruncate");
    if (const auto room = make_room(*folder, file.get(), spool, wanted); !room) {
        remove(*folder, part);
        return std::unexpected(room.error());
    }
    return BegunBootFile{false, offset, std::move(file)};
}

Outcome end_boot_file(const BootSpool& spool, const BootFileWanted& wanted) {
    const auto folder = open_folder(spool);
    if (!folder) return std::unexpected(folder.error());
    const std::string part = part_of(wanted.sha256);
    const Fd file = open_file(*folder, part, O_RDWR);
    if (!file) return failure("open");
    if (const Outcome proven = prove(file.get(), wanted); !proven) {
        remove(*folder, part);
        return proven;
    }
    if (::renameat(folder->own.get(), part.c_str(), folder->own.get(), name_of(wanted.sha256).c_str()) != 0)
        return failure("rename");
    return ::fsync(folder->own.get()) == 0 ? Outcome() : failure("fsync");
}

Outcome drop_boot_file(const BootSpool& spool, const BootFileWanted& wanted) {
    const auto folder = open_folder(spool);
    if (!folder) return std::unexpected(folder.error());
    remove(*folder, part_of(wanted.sha256));
    return {};
}

Outcome commit_boot_files(const BootSpool& spool, std::string_view text) {
    const auto manifest = nbd::read_boot_manifest(text);
    if (!manifest) return fault(BootFaultKind::invalid, manifest.error());
    const auto folder = open_folder(spool);
    if (!folder) return std::unexpected(folder.error());
    if (const Outcome complete = check_files(*folder, *manifest); !complete) return complete;
    if (const Outcome written = write_manifest(*folder, spool, text); !written) {
        remove(*folder, manifest_draft);
        return written;
    }
    remove_all_but(*folder, names_in(*manifest));
    return set_mark(*folder, spool);
}

std::expected<std::string, BootFault> published_boot_files(const BootSpool& spool) {
    Folder folder;
    constexpr int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    folder.above.reset(::open(spool.folder.c_str(), flags));
    if (folder.above)
        folder.own.reset(::openat(folder.above.get(), nbd::boot_folder_name(spool.export_name).c_str(),
                                  flags | O_NOFOLLOW));
    if (!folder.own && errno == ENOENT) return std::string();
    if (!folder.own) return failure("open");
    auto text = read_text(folder, "published", nbd::longest_boot_published);
    if (text) return std::move(*text);
    if (text.error() == ENOENT) return std::string();
    errno = text.error();
    return failure("read");
}

void pack(Packer& to, const Outcome& outcome) {
    to.number(static_cast<std::uint8_t>(outcome ? BootFaultKind::none : outcome.error().kind));
    to.text(outcome ? std::string() : outcome.error().text);
}

std::optional<Outcome> unpack_boot_outcome(Unpacker& from) {
    const auto kind = static_cast<BootFaultKind>(from.number<std::uint8_t>());
    std::string text = from.text();
    if (!from.sound() || kind > BootFaultKind::failed) return std::nullopt;
    if (kind == BootFaultKind::none) return Outcome();
    return Outcome(fault(kind, std::move(text)));
}

}  // namespace holdfast::server
