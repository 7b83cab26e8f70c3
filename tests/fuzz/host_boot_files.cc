// Boot files of a host, which holdfast-netboot looks into: the archives of an initramfs, the notes of a
// kernel, its payload. Whatever comes: the same in pieces of any size, and nothing read beyond its end.
#include <vector>

#include "netboot/loader/initramfs_archive.hh"
#include "netboot/loader/kernel_image.hh"
#include "netboot/loader/xen_kernel.hh"
#include "tests/fuzz/input.hh"

using namespace holdfast::netboot;
using fuzz::check;

namespace {

struct Outcome {
    std::vector<std::string> names;
    std::size_t used = 0;
    bool complete = false;
    bool failed = false;
    bool operator==(const Outcome&) const = default;
};

Outcome read_archives(std::string_view bytes, std::size_t piece) {
    Outcome outcome;
    CpioReader reader([&](const ArchiveEntry& entry) { outcome.names.push_back(entry.name); });
    while (!bytes.empty()) {
        const std::string_view given = bytes.substr(0, piece);
        const auto count = reader.read(given);
        outcome.failed = !count;
        if (!count) return outcome;
        check(*count <= given.size(), "no more is used than given");
        outcome.used += *count;
        if (*count < given.size()) break;
        bytes.remove_prefix(given.size());
    }
    outcome.complete = reader.is_complete();
    return outcome;
}

bool is_first_domain(std::string_view bytes, std::size_t piece) {
    XenKernel kernel;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size())))
        kernel.read(bytes.substr(0, piece));
    return kernel.check().has_value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const auto piece = static_cast<std::size_t>(input.number(1)) + 1;
    const std::string_view bytes = input.rest();
    const Outcome whole = read_archives(bytes, bytes.size() + 1);
    Outcome parts = read_archives(bytes, piece);
    // The sum stops at the piece with the error.
    if (whole.failed) parts.used = whole.used;
    check(parts == whole, "archives are the same in pieces");
    check(is_first_domain(bytes, piece) == is_first_domain(bytes, bytes.size() + 1),
          "a kernel is the same in pieces");
    if (const auto payload = payload_of(bytes, bytes.size()))
        check(payload->offset + payload->size <= bytes.size(), "a payload is within the file");
    (void)check_64_bit(bytes);
    (void)kernel_release(bytes);
    return 0;
}
