// The bodies below run in the sandbox, and answer with a line, or with `good`.

#include "netboot/inspect/inspection.hh"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/text/printable.hh"
#include "netboot/inspect/sandbox.hh"
#include "netboot/inspect/unpacking.hh"
#include "netboot/loader/kernel_image.hh"
#include "netboot/loader/xen_kernel.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;

constexpr std::string_view good = "good";
constexpr std::size_t longest_line = 300;

std::string answer_of(const Read<void>& read) { return read ? std::string(good) : read.error(); }

Read<std::string> text_at(int file, std::uint64_t offset, std::size_t most) {
    std::string text(most, '\0');
    const ssize_t count = ::pread(file, text.data(), text.size(), static_cast<off_t>(offset));
    if (count < 0) return unexpected(local_fault(sys_error("read").error().message()));
    text.resize(static_cast<std::size_t>(count));
    return text;
}

InspectionFault local(std::string line) { return {std::move(line), true}; }

InspectionFault fault_of(const SysError& error) {
    if (error.code == ETIMEDOUT)
        return local("reading took too long; make the file smaller, or run `holdfast-netboot take` again");
    if (error.code == ETIME)
        return {fmt::format("reading takes more than {} s of processor time; make the file smaller",
                            longest_work)};
    if (error.code == ECHILD)
        return local(
            "the process that reads the file was ended, for want of memory for example; make room on the "
            "boot server, or run `holdfast-netboot take` again");
    return local(fmt::format("{}; run holdfast-netboot as root, with the capabilities to change its user",
                             error.message()));
}

// Runs the body on the file.
Inspection inspect(const std::string& path, const std::function<Read<void>(int)>& body) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file) return unexpected(local(sys_error("open").error().message()));
    const auto answer = run_in_sandbox(file.get(), [&](int inside) { return answer_of(body(inside)); });
    if (!answer) return unexpected(fault_of(answer.error()));
    if (*answer == good) return {};
    std::string_view line = *answer;
    const bool is_local = take_local_mark(line);
    return unexpected(InspectionFault{printable_ascii(line, longest_line), is_local});
}

Read<void> read_plain_archives(int file, CpioReader& reader, std::uint64_t& at) {
    for (;;) {
        constexpr std::size_t piece = 65536;
        const auto text = text_at(file, at, piece);
        if (!text) return unexpected(text.error());
        if (text->empty()) return {};
        const auto count = reader.read(*text);
        if (!count) return unexpected(count.error());
        at += *count;
        if (*count < text->size()) return {};
    }
}

Read<void> read_archives(int file, CpioReader& reader) {
    std::uint64_t at = 0;
    if (auto read = read_plain_archives(file, reader, at); !read) return read;
    constexpr std::size_t longest_magic = 16;
    const auto start = text_at(file, at, longest_magic);
    if (!start) return unexpected(start.error());
    if (start->empty()) return {};
    const auto unpacker = unpacker_for(*start);
    if (!unpacker) return unexpected(unpacker.error());
    if (::lseek(file, static_cast<off_t>(at), SEEK_SET) < 0)
        return unexpected(local_fault(sys_error("lseek").error().message()));
    return unpack(*unpacker, file, true, [&](std::string_view piece) -> Read<void> {
        const auto count = reader.read(piece);
        if (!count) return unexpected(count.error());
        if (*count < piece.size())
            return unexpected(
                "the initramfs is compressed twice, or damaged; make the file again on the host");
        return {};
    });
}

Read<void> read_initramfs(int file, const std::string& release) {
    InitramfsContents contents(release);
    CpioReader reader([&](const ArchiveEntry& entry) { contents.take(entry); });
    if (auto read = read_archives(file, reader); !read) return read;
    if (!reader.is_complete())
        return unexpected("the initramfs ends early; run `update-initramfs -u` on the host");
    return contents.check();
}

Read<void> read_kernel(int file, const std::string& release) {
    const auto start = text_at(file, 0, bytes_to_recognize);
    if (!start) return unexpected(start.error());
    const auto found = kernel_release(*start);
    if (!found) return unexpected(found.error());
    if (auto checked = check_64_bit(*start); !checked) return checked;
    if (*found != release)
        return unexpected(
            fmt::format("the kernel says that its version is {}, and the host {}; install its "
                        "package again on the host",
                        *found, release));
    return {};
}

Read<void> read_first_domain(int file) {
    const auto start = text_at(file, 0, bytes_to_recognize);
    if (!start) return unexpected(start.error());
    struct stat status {};
    if (::fstat(file, &status) != 0) return unexpected(local_fault(sys_error("fstat").error().message()));
    const auto payload = payload_of(*start, static_cast<std::uint64_t>(status.st_size));
    if (!payload) return unexpected(payload.error());
    constexpr std::size_t longest_magic = 16;
    const auto magic = text_at(file, payload->offset, longest_magic);
    if (!magic) return unexpected(magic.error());
    const auto unpacker = unpacker_for(*magic);
    if (!unpacker) return unexpected(unpacker.error());
    if (::lseek(file, static_cast<off_t>(payload->offset), SEEK_SET) < 0)
        return unexpected(local_fault(sys_error("lseek").error().message()));
    XenKernel kernel;
    // The size of the kernel, and more, follow.
    const auto read = unpack(*unpacker, file, false, [&](std::string_view piece) {
        kernel.read(piece);
        return Read<void>();
    });
    return read ? kernel.check() : read;
}

}  // namespace

Inspection inspect_kernel(const std::string& path, const std::string& release) {
    return inspect(path, [&](int file) { return read_kernel(file, release); });
}

Inspection inspect_initramfs(const std::string& path, const std::string& release) {
    return inspect(path, [&](int file) { return read_initramfs(file, release); });
}

Inspection inspect_first_domain(const std::string& path) { return inspect(path, read_first_domain); }

Inspection inspect_hypervisor(const std::string& path) {
    return inspect(path, [](int file) -> Read<void> {
        const auto start = text_at(file, 0, bytes_to_recognize);
        return start ? check_hypervisor(*start) : unexpected(start.error());
    });
}

}  // namespace holdfast::netboot
