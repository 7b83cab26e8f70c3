// Refuses by name, with the reason: a value that nobody understands ends in a timeout of the initramfs.

#include "client/boot/root_word.hh"

#include <fmt/core.h>

#include <algorithm>

#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

// A value of root=, or the beginning of values if it ends in a colon.
struct RefusedRoot {
    std::string_view value;
    std::string_view why;
};

constexpr std::string_view no_image =
    "live images are not supported; export the image's root file system, and write root=/dev/nbd0";
constexpr std::string_view no_search =
    "the root partition of an NBD disk is not searched for; write root=/dev/nbd0p2, or root=PARTUUID=...";
constexpr std::string_view not_nbd =
    "no NBD disk, but the command line names one, too; write root=/dev/nbd0, or remove nbdroot= and similar "
    "words";

constexpr RefusedRoot refused_roots[] = {
    {"live:", no_image},    {"liveimg:", no_image}, {"gpt-auto", no_search}, {"gpt-auto-force", no_search},
    {"dissect", no_search}, {"fstab", no_search},   {"/dev/nfs", not_nbd},   {"/dev/cifs", not_nbd},
    {"nfs:", not_nbd},      {"nfs4:", not_nbd},     {"cifs:", not_nbd},      {"iscsi:", not_nbd},
    {"fcoe:", not_nbd},     {"aoe:", not_nbd},      {"nvmf:", not_nbd},      {"virtiofs:", not_nbd},
    {"http:", not_nbd},     {"https:", not_nbd},    {"tmpfs", not_nbd},
};

bool matches(std::string_view root, const RefusedRoot& refused) {
    return refused.value.ends_with(':') ? root.starts_with(refused.value) : root == refused.value;
}

}  // namespace

bool names_no_device(std::string_view root) {
    return root.empty() || root == "/dev/root" || root == "dhcp" || root == "dhcp6" ||
           root.starts_with("nbd:");
}

std::expected<void, BootError> check_root(const std::string& root) {
    if (root.starts_with("/dev/nbd") && !parse_nbd_device(root))
        return wrong_word(
            "root=" + root,
            "not an NBD device; write root=/dev/nbd0 or, for its first partition, root=/dev/nbd0p1");
    const auto* const refused =
        std::ranges::find_if(refused_roots, [&](const RefusedRoot& one) { return matches(root, one); });
    if (refused != std::end(refused_roots)) return wrong_word("root=" + root, refused->why);
    return {};
}

std::expected<void, BootError> check_partition(const NbdDevice& device, bool no_partitions) {
    if (!no_partitions || device.partition == 0) return {};
    return wrong_word("nbd.max_part=0",
                      fmt::format("the kernel makes no partitions of NBD disks, and the root device {} is "
                                  "one; remove max_part=0 from the kernel command line, or from "
                                  "/etc/modprobe.d and create the initramfs again",
                                  device_path(device)));
}

}  // namespace holdfast::client
