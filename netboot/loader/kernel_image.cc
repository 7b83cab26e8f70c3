// Offsets of the x86 boot protocol: 0x202 magic, 0x20e pointer to the version, relative to 0x200.

#include "netboot/loader/kernel_image.hh"

#include <algorithm>

#include "common/text/printable.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;
using namespace std::string_view_literals;

constexpr std::string_view initramfs_starts[] = {
    "070701"sv,           "070702"sv,            // cpio
    "\x1f\x8b"sv,         "\x28\xb5\x2f\xfd"sv,  // gzip, zstd
    "\xfd\x37zXZ"sv,      "BZh"sv,               // xz, bzip2
    "\x02\x21\x4c\x18"sv, "\x5d\0\0"sv,          // lz4, lzma
    "\x89LZO"sv,
};

bool is_initramfs(std::string_view start) {
    return std::ranges::any_of(initramfs_starts,
                               [&](std::string_view magic) { return start.starts_with(magic); });
}

// True for a release that may stand in menus and scripts.
bool is_plain(std::string_view release) {
    return !release.empty() && std::ranges::all_of(release, [](char c) {
        return is_printable_ascii(c) && !std::string_view("'\"$\\{").contains(c);
    });
}

unsigned byte_at(std::string_view text, std::size_t at) { return static_cast<unsigned char>(text[at]); }

}  // namespace

Read<std::string> kernel_release(std::string_view start) {
    if (is_initramfs(start)) return unexpected("this is an initramfs or an archive; use it with --initrd");
    if (start.starts_with("\x7f"
                          "ELF"))
        return unexpected("this is an ELF file; use the vmlinuz of the kernel package");
    if (start.size() < 0x230 || start.substr(0x202, 4) != "HdrS")
        return unexpected("this is no Linux kernel for x86; use the vmlinuz of the host");
    const std::size_t at = 0x200 + (byte_at(start, 0x20e) | byte_at(start, 0x20f) << 8);
    if (at >= start.size()) return std::string("unknown");
    const std::string_view version = start.substr(at, std::min<std::size_t>(start.size() - at, 120));
    const std::string_view release = version.substr(0, version.find_first_of(" \0"sv));
    return is_plain(release) ? std::string(release) : "unknown";
}

Read<void> check_initramfs(std::string_view start) {
    if (!is_initramfs(start)) return unexpected("this is no initramfs; use the initrd.img of the host");
    return {};
}

Read<void> check_hypervisor(std::string_view start) {
    if (!start.starts_with("\x1f\x8b") && !start.starts_with("\x7f"
                                                             "ELF"))
        return unexpected("this is no hypervisor for multiboot; use the xen-VERSION-amd64.gz of the host");
    return {};
}

Read<void> check_first_domain(std::string_view release) {
    if (release.contains("-cloud-"))
        return unexpected(
            "Debian's cloud kernel hangs without a message under Xen; use the kernel of linux-image-amd64");
    return {};
}

}  // namespace holdfast::netboot
