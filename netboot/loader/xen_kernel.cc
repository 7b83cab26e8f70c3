// Layouts: the x86 boot protocol of Linux (Documentation/arch/x86/boot.rst), ELF64 little-endian, and Xen's
// public/elfnote.h and public/features.h.

#include "netboot/loader/xen_kernel.hh"

#include <algorithm>

namespace holdfast::netboot {
namespace {

using std::unexpected;
using namespace std::string_view_literals;

constexpr std::string_view name_of_bus = "\0xen_cpu\0"sv;
constexpr std::size_t header_size = 4096;  // has the program headers
constexpr std::uint64_t largest_notes = 65536;
constexpr std::uint64_t note_of_entry = 1;
constexpr std::uint64_t note_of_features = 17;
constexpr unsigned bit_of_dom0 = 11;

// Little-endian number of `size` bytes; 0 outside of the text.
std::uint64_t number_at(std::string_view text, std::uint64_t at, unsigned size) {
    if (at > text.size() || text.size() - at < size) return 0;
    std::uint64_t value = 0;
    for (unsigned i = size; i-- > 0;)
        value = value << 8 | static_cast<unsigned char>(text[static_cast<std::size_t>(at) + i]);
    return value;
}

// The segment of notes, from the program headers.
std::optional<Payload> notes_in(std::string_view header) {
    constexpr std::uint64_t entry_size = 56;
    constexpr std::uint64_t type_of_notes = 4;
    if (!header.starts_with("\x7f"
                            "ELF\x02\x01"))
        return std::nullopt;
    const std::uint64_t table = number_at(header, 32, 8);
    const std::uint64_t count = number_at(header, 56, 2);
    for (std::uint64_t i = 0; i < count && table < header.size(); ++i) {
        const std::uint64_t at = table + i * entry_size;
        if (at + entry_size > header.size()) break;
        if (number_at(header, at, 4) == type_of_notes)
            return Payload{number_at(header, at + 8, 8), number_at(header, at + 32, 8)};
    }
    return std::nullopt;
}

constexpr std::uint64_t padded(std::uint64_t size) { return (size + 3) / 4 * 4; }

// Content of a note of Xen; nullopt if there is none.
std::optional<std::string_view> note_in(std::string_view notes, std::uint64_t wanted) {
    constexpr std::size_t head = 12;
    while (notes.size() >= head) {
        const std::uint64_t name_size = number_at(notes, 0, 4);
        const std::uint64_t size = number_at(notes, 4, 4);
        const std::uint64_t content = head + padded(name_size);
        if (content + size > notes.size()) return std::nullopt;
        const std::string_view name = notes.substr(head, static_cast<std::size_t>(name_size));
        if (name == "Xen\0"sv && number_at(notes, 8, 4) == wanted)
            return notes.substr(static_cast<std::size_t>(content), static_cast<std::size_t>(size));
        notes.remove_prefix(
            static_cast<std::size_t>(std::min<std::uint64_t>(content + padded(size), notes.size())));
    }
    return std::nullopt;
}

}  // namespace

Read<Payload> payload_of(std::string_view start, std::uint64_t file_size) {
    constexpr std::uint64_t first_version = 0x208;
    constexpr std::uint64_t sector = 512;
    const std::uint64_t sectors = std::max<std::uint64_t>(number_at(start, 0x1f1, 1), 1);
    const Payload payload{(sectors + 1) * sector + number_at(start, 0x248, 4), number_at(start, 0x24c, 4)};
    if (number_at(start, 0x206, 2) < first_version || payload.size == 0 || payload.offset > file_size ||
        payload.size > file_size - payload.offset)
        return unexpected("the kernel is damaged; install its package again on the host");
    return payload;
}

Read<void> check_64_bit(std::string_view start) {
    constexpr std::uint64_t first_version = 0x20c;
    constexpr std::uint64_t kernel_64 = 1;  // XLF_KERNEL_64
    if (number_at(start, 0x206, 2) < first_version || (number_at(start, 0x236, 2) & kernel_64) == 0)
        return unexpected("this is no kernel for x86-64; use the vmlinuz of linux-image-amd64");
    return {};
}

void XenKernel::take_header(std::string_view bytes) {
    if (header_.size() == header_size) return;
    header_ += bytes.substr(0, header_size - header_.size());
    place_ = notes_in(header_);
}

void XenKernel::take_notes(std::string_view bytes) {
    if (!place_ || place_->size > largest_notes || place_->offset < header_size) return;
    const std::uint64_t begin = std::max(at_, place_->offset);
    const std::uint64_t end = std::min(at_ + bytes.size(), place_->offset + place_->size);
    if (begin < end)
        notes_ += bytes.substr(static_cast<std::size_t>(begin - at_), static_cast<std::size_t>(end - begin));
}

void XenKernel::search(std::string_view bytes) {
    if (has_name_) return;
    const std::size_t count = std::min(bytes.size(), name_of_bus.size() - 1);
    has_name_ =
        (tail_ + std::string(bytes.substr(0, count))).contains(name_of_bus) || bytes.contains(name_of_bus);
    tail_ += bytes.substr(bytes.size() - count);
    if (tail_.size() >= name_of_bus.size()) tail_.erase(0, tail_.size() - (name_of_bus.size() - 1));
}

void XenKernel::read(std::string_view bytes) {
    take_header(bytes);
    take_notes(bytes);
    search(bytes);
    at_ += bytes.size();
}

Read<void> XenKernel::check() const {
    const auto features = note_in(notes_, note_of_features);
    const bool has_feature = features && (number_at(*features, 0, 4) >> bit_of_dom0 & 1) != 0;
    if (has_feature && note_in(notes_, note_of_entry) && has_name_) return {};
    return unexpected(
        "this kernel is not known to run as the first domain of Xen (Debian's cloud kernel hangs without a "
        "message); use the kernel of linux-image-amd64");
}

}  // namespace holdfast::netboot
