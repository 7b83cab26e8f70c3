// Contents of an initramfs: cpio archives in the form "newc" (Documentation/driver-api/early-userspace of
// Linux), plain or compressed, one after the other. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "netboot/name/host_keys.hh"

namespace holdfast::netboot {

// A program that unpacks a compressed part to its standard output.
struct Unpacker {
    std::string_view magic;
    const char* program;  // absolute
    const char* package;
};

// The unpacker for a text that begins like this; the error says that there is none.
[[nodiscard]] Read<Unpacker> unpacker_for(std::string_view start);

struct ArchiveEntry {
    std::string name;  // relative, without "./" at its start
    unsigned mode = 0;
    bool has_content = false;  // or several names, of which one has it
};

// Reads archives of any size piece by piece, in constant memory.
class CpioReader {
public:
    explicit CpioReader(std::function<void(const ArchiveEntry&)> take) : take_(std::move(take)) {}

    // Reads on, and returns the number of bytes that belong to archives, or to the zeros between them: less
    // than all if anything else follows an archive.
    [[nodiscard]] Read<std::size_t> read(std::string_view bytes);
    // True unless an archive is incomplete, or none has come.
    [[nodiscard]] bool is_complete() const { return step_ == Step::between && archives_ != 0; }

private:
    enum class Step : std::uint8_t { between, header, name, content };

    [[nodiscard]] bool skip_zeros(std::string_view& bytes);
    void skip_content(std::string_view& bytes);
    [[nodiscard]] Read<void> read_entry(std::string_view& bytes);
    [[nodiscard]] Read<void> take_header();
    [[nodiscard]] Read<void> take_name();
    // Moves bytes to held_ until it has `size`; true if it has.
    [[nodiscard]] bool hold(std::string_view& bytes, std::size_t size);

    std::function<void(const ArchiveEntry&)> take_;
    Step step_ = Step::between;
    unsigned archives_ = 0;
    std::uint64_t at_ = 0;  // bytes so far
    std::string held_;
    ArchiveEntry entry_;
    std::size_t name_size_ = 0;
    std::uint64_t left_ = 0;  // bytes of the content
};

// Finds out whether an initramfs attaches a root disk.
class InitramfsContents {
public:
    // `release`: of the kernel.
    explicit InitramfsContents(std::string release) : release_(std::move(release)) {}

    void take(const ArchiveEntry& entry);
    // Error if holdfast-client or its boot script is missing, or if there are kernel modules, but none of
    // this kernel.
    [[nodiscard]] Read<void> check() const;

private:
    void take_module(std::string_view below);

    std::string release_;
    bool has_program_ = false;
    bool has_script_ = false;
    bool has_modules_ = false;
    bool has_other_modules_ = false;
};

}  // namespace holdfast::netboot
