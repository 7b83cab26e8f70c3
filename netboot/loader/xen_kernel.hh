// Decides from a kernel's image whether Xen can run it as the first domain. Pure.
//
// Three signs, all required. The ELF notes of Xen: the feature "dom0", without which the hypervisor refuses
// the kernel, and an entry for a paravirtual domain. Linux before 6.4 or so states the feature whatever its
// configuration is: therefore also the name of the bus xen_cpu, an interface for programs that only
// CONFIG_XEN_DOM0 brings. Seen with Debian's kernels: 6.1.0-57-amd64 has all, 6.1.0-57-cloud-amd64 lacks the
// name, 6.12.118+deb13-cloud-amd64 the feature and the name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "netboot/name/host_keys.hh"

namespace holdfast::netboot {

// The compressed kernel in a bzImage.
struct Payload {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
};
// `start`: the first bytes of the image; the error says that there is none.
[[nodiscard]] Read<Payload> payload_of(std::string_view start, std::uint64_t file_size);

// Error unless the image is for 64-bit processors.
[[nodiscard]] Read<void> check_64_bit(std::string_view start);

// Reads an unpacked kernel piece by piece.
class XenKernel {
public:
    void read(std::string_view bytes);
    // Error unless the kernel can be the first domain.
    [[nodiscard]] Read<void> check() const;

private:
    void take_header(std::string_view bytes);
    void take_notes(std::string_view bytes);
    void search(std::string_view bytes);

    std::uint64_t at_ = 0;
    std::string header_;
    std::optional<Payload> place_;  // where the notes are
    std::string notes_;
    std::string tail_;  // the last bytes, in which the name may begin
    bool has_name_ = false;
};

}  // namespace holdfast::netboot
