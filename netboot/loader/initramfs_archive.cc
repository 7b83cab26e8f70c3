// A header: the magic, and 13 numbers of 8 hexadecimal digits; then the name with a zero, and the content,
// each padded to a multiple of 4.

#include "netboot/loader/initramfs_archive.hh"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace holdfast::netboot {
namespace {

using std::unexpected;
using namespace std::string_view_literals;

constexpr std::size_t header_size = 110;
constexpr std::size_t longest_name = 4096;
constexpr std::string_view damaged = "the initramfs is damaged; run `update-initramfs -u` on the host";

constexpr Unpacker unpackers[] = {
    {"\x1f\x8b"sv, "/usr/bin/gzip", "gzip"},
    {"\x28\xb5\x2f\xfd"sv, "/usr/bin/zstd", "zstd"},
    {"\xfd\x37zXZ"sv, "/usr/bin/xz", "xz-utils"},
    {"\x02\x21\x4c\x18"sv, "/usr/bin/lz4", "lz4"},
};

constexpr std::size_t padding_of(std::uint64_t size) { return (4 - size % 4) % 4; }

// Number `at` of the header.
std::optional<std::uint32_t> number_in(std::string_view header, std::size_t at) {
    const std::string_view digits = header.substr(6 + at * 8, 8);
    std::uint32_t value = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (error != std::errc() || stop != digits.data() + digits.size()) return std::nullopt;
    return value;
}

constexpr std::size_t mode_at = 1;
constexpr std::size_t links_at = 4;
constexpr std::size_t content_size_at = 6;
constexpr std::size_t name_size_at = 11;

bool is_regular(unsigned mode) { return (mode & 0170000U) == 0100000U; }

// The rest of the name after `prefix`, with or without usr/ before; nullopt for another name.
std::optional<std::string_view> below(std::string_view name, std::string_view prefix) {
    if (name.starts_with("usr/")) name.remove_prefix(4);
    if (!name.starts_with(prefix)) return std::nullopt;
    return name.substr(prefix.size());
}

bool is_program(std::string_view name, std::string_view program) {
    return below(name, "sbin/") == program || below(name, "bin/") == program;
}

}  // namespace

Read<Unpacker> unpacker_for(std::string_view start) {
    for (const Unpacker& each : unpackers)
        if (start.starts_with(each.magic)) return each;
    return unexpected("compressed in an unknown way; use gzip, xz, lz4 or zstd");
}

bool CpioReader::hold(std::string_view& bytes, std::size_t size) {
    const std::size_t count = std::min(bytes.size(), size - held_.size());
    held_ += bytes.substr(0, count);
    bytes.remove_prefix(count);
    return held_.size() == size;
}

Read<void> CpioReader::take_header() {
    const auto mode = number_in(held_, mode_at);
    const auto links = number_in(held_, links_at);
    const auto size = number_in(held_, content_size_at);
    const auto name_size = number_in(held_, name_size_at);
    const bool is_header = held_.starts_with("070701") || held_.starts_with("070702");
    if (!is_header || !mode || !links || !size || !name_size || *name_size == 0 || *name_size > longest_name)
        return unexpected(std::string(damaged));
    entry_.mode = *mode;
    entry_.has_content = *size != 0 || *links > 1;
    left_ = *size + padding_of(*size);
    name_size_ = *name_size;
    held_.clear();
    step_ = Step::name;
    return {};
}

Read<void> CpioReader::take_name() {
    if (held_[name_size_ - 1] != '\0') return unexpected(std::string(damaged));
    const std::string_view held = held_;
    std::string_view name = held.substr(0, held.find('\0'));
    while (name.starts_with("./") || name.starts_with('/')) name.remove_prefix(name[0] == '.' ? 2 : 1);
    entry_.name = name;
    held_.clear();
    if (entry_.name == "TRAILER!!!") {
        ++archives_;
        step_ = Step::between;
        return {};
    }
    take_(entry_);
    step_ = left_ == 0 ? Step::header : Step::content;
    return {};
}

// True if an archive begins at the first byte that is not zero.
bool CpioReader::skip_zeros(std::string_view& bytes) {
    const std::size_t zeros = std::min(bytes.find_first_not_of('\0'), bytes.size());
    bytes.remove_prefix(zeros);
    if (!bytes.starts_with('0') || (at_ + zeros) % 4 != 0) return false;
    step_ = Step::header;
    return true;
}

void CpioReader::skip_content(std::string_view& bytes) {
    const std::uint64_t count = std::min<std::uint64_t>(bytes.size(), left_);
    bytes.remove_prefix(static_cast<std::size_t>(count));
    left_ -= count;
    if (left_ == 0) step_ = Step::header;
}

Read<void> CpioReader::read_entry(std::string_view& bytes) {
    if (step_ == Step::content) skip_content(bytes);
    if (step_ == Step::header && hold(bytes, header_size)) return take_header();
    if (step_ == Step::name && hold(bytes, name_size_ + padding_of(header_size + name_size_)))
        return take_name();
    return {};
}

Read<std::size_t> CpioReader::read(std::string_view bytes) {
    const std::size_t all = bytes.size();
    while (!bytes.empty()) {
        const std::size_t before = bytes.size();
        if (step_ == Step::between) {
            if (!skip_zeros(bytes)) {
                at_ += before - bytes.size();
                return all - bytes.size();
            }
        } else if (auto read = read_entry(bytes); !read) {
            return unexpected(read.error());
        }
        at_ += before - bytes.size();
    }
    return all;
}

void InitramfsContents::take_module(std::string_view name) {
    const std::string_view release = name.substr(0, name.find('/'));
    if (release.empty()) return;
    (release == release_ ? has_modules_ : has_other_modules_) = true;
}

void InitramfsContents::take(const ArchiveEntry& entry) {
    if (const auto module = below(entry.name, "lib/modules/")) take_module(*module);
    if (!is_regular(entry.mode) || !entry.has_content || (entry.mode & 0100U) == 0) return;
    if (is_program(entry.name, "holdfast-client")) has_program_ = true;
    // The first is that of initramfs-tools, the second that of dracut.
    if (entry.name == "scripts/local-top/holdfast" || is_program(entry.name, "holdfastroot"))
        has_script_ = true;
}

Read<void> InitramfsContents::check() const {
    if (!has_program_ || !has_script_)
        return unexpected(
            fmt::format("the initramfs has no {} of Holdfast, and would not find its disk; install "
                        "holdfast-client on the host, and run `update-initramfs -u` there",
                        has_program_ ? "boot script" : "holdfast-client"));
    if (has_other_modules_ && !has_modules_)
        return unexpected(fmt::format(
            "the initramfs has modules of another kernel than {0}; run `update-initramfs -c -k {0}` on the "
            "host",
            release_));
    return {};
}

}  // namespace holdfast::netboot
