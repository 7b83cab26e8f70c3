// bootfiles: hands kernel and initramfs to the server of the root disk, and shows which of them the next boot
// gets.

#include "client/command/boot_files.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "client/boot/installed_kernel.hh"
#include "client/command/commands.hh"
#include "client/control/command_turn.hh"
#include "client/control/control_client.hh"
#include "client/control/device_record.hh"
#include "client/control/record_file.hh"
#include "client/control/root_disk.hh"
#include "client/kernel/sysfs.hh"
#include "client/link/boot_file_link.hh"
#include "common/linux/pause.hh"
#include "common/protocol/boot_manifest.hh"
#include "common/text/hex.hh"
#include "common/text/json.hh"
#include "common/text/printable.hh"
#include "common/text/sha256.hh"

namespace holdfast::client {
namespace {

// For the whole command. Less than the hooks wait (kernel-hooks/boot-files); what was sent by then stays at
// the server, and the next command goes on there.
constexpr std::chrono::seconds push_patience{590};
constexpr std::chrono::seconds status_patience{60};
// Time for the device to reconnect, if its server is reachable.
constexpr std::chrono::seconds reconnect_patience{30};

struct Failed {
    ExitCode code = ExitCode::failure;
    std::string text;
};
template <class T>
using Outcome = std::expected<T, Failed>;

std::unexpected<Failed> failed(std::string text, ExitCode code = ExitCode::failure) {
    return std::unexpected(Failed{code, std::move(text)});
}

// A file to hand in.
struct LocalFile {
    const char* role = "";  // for the user
    std::string path;
    Fd file;
    nbd::BootFile facts;
};

struct LocalFiles {
    LocalFile kernel;
    LocalFile initrd;
    std::optional<LocalFile> xen;

    [[nodiscard]] nbd::BootManifest manifest() const {
        return {kernel.facts, initrd.facts, xen ? std::optional(xen->facts) : std::nullopt};
    }
};

std::unexpected<Failed> file_failure(const std::string& path, const char* call) {
    const SysError error{errno, call};
    return failed(fmt::format("{}: {}{}", path, error.message(), root_hint(error.code)));
}

// Calls `take` with each piece of a file from an offset on.
template <class Take>
Outcome<void> read_pieces(const LocalFile& local, std::uint64_t offset, const Take& take) {
    std::vector<std::uint8_t> piece(nbd::longest_boot_piece);
    for (;;) {
        const ssize_t count =
            ::pread(local.file.get(), piece.data(), piece.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return file_failure(local.path, "read");
        if (count == 0) return {};
        if (Outcome<void> taken = take(offset, std::span(piece).first(static_cast<std::size_t>(count)));
            !taken)
            return taken;
        offset += static_cast<std::uint64_t>(count);
    }
}

Outcome<LocalFile> open_file(const char* role, const std::string& path, const std::string& version) {
    LocalFile local{
        role, path, Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)), {version, {}, 0}};
    if (!local.file) return file_failure(path, "open");
    struct stat status {};
    if (::fstat(local.file.get(), &status) != 0) return file_failure(path, "stat");
    if (!S_ISREG(status.st_mode))
        return failed(fmt::format("{}: not a file; name the {} itself", path, role));
    Sha256 sum;
    const auto summed = read_pieces(local, 0, [&](std::uint64_t, std::span<const std::uint8_t> piece) {
        sum.add({reinterpret_cast<const char*>(piece.data()), piece.size()});
        local.facts.size += piece.size();
        return Outcome<void>();
    });
    if (!summed) return std::unexpected(summed.error());
    if (local.facts.size < 1 || local.facts.size > nbd::largest_boot_file)
        return failed(fmt::format("{}: {} bytes; a boot file has 1 byte to {} MiB", path, local.facts.size,
                                  nbd::largest_boot_file >> 20));
    local.facts.sha256 = sum.finish();
    return local;
}

Outcome<InstalledKernel> kernel_of(const BootFilesOptions& options) {
    if (!options.kernel) {
        auto newest = newest_kernel();
        if (!newest) return failed(newest.error());
        return std::move(*newest);
    }
    const std::string version = version_in(*options.kernel);
    if (version.empty())
        return failed(fmt::format("{}: its name gives no version; name the file vmlinuz-VERSION",
                                  printable(*options.kernel)),
                      ExitCode::usage);
    return InstalledKernel{version, *options.kernel, *options.initrd};
}

Outcome<LocalFiles> files_of(const BootFilesOptions& options) {
    const auto kernel = kernel_of(options);
    if (!kernel) return std::unexpected(kernel.error());
    LocalFiles files;
    auto image = open_file("kernel", kernel->kernel, kernel->version);
    if (!image) return std::unexpected(image.error());
    auto initrd = open_file("initramfs", kernel->initrd, kernel->version);
    if (!initrd) return std::unexpected(initrd.error());
    files.kernel = std::move(*image);
    files.initrd = std::move(*initrd);
    const auto hypervisor = options.xen ? options.xen : newest_xen();
    if (!hypervisor) return files;
    const std::string version = version_in(*hypervisor);
    if (version.empty())
        return failed(fmt::format("{}: its name gives no version; name the file xen-VERSION.gz",
                                  printable(*hypervisor)),
                      ExitCode::usage);
    auto xen = open_file("Xen", *hypervisor, version);
    if (!xen) return std::unexpected(xen.error());
    files.xen = std::move(*xen);
    return files;
}

// The device that was named; otherwise the root disk, or the only attached device.
Outcome<std::uint32_t> device_of(const BootFilesOptions& options) {
    if (options.index) return *options.index;
    std::vector<std::uint32_t> attached = nbd_devices();
    if (const auto root = root_disk(attached)) return *root;
    std::erase_if(attached, [](std::uint32_t index) { return !read_state_file(index); });
    if (attached.size() == 1) return attached.front();
    if (attached.empty())
        return failed(fmt::format("no device is attached{}", root_hint(::geteuid() == 0 ? 0 : EACCES)),
                      ExitCode::not_attached);
    return failed("several devices are attached, and none carries the root file system; name the device",
                  ExitCode::usage);
}

Outcome<KnownDevice> record_of(std::uint32_t index) {
    const auto text = read_state_file(index);
    if (!text && text.error().code == ENOENT)
        return failed(fmt::format("/dev/nbd{}: not attached", index), ExitCode::not_attached);
    if (!text)
        return failed(
            fmt::format("/dev/nbd{}: {}{}", index, text.error().message(), root_hint(text.error().code)));
    auto known = read_known_device(*text);
    if (!known) return failed(fmt::format("/dev/nbd{}: its record: {}", index, known.error()));
    if (known->live.target >= known->record.targets.size())
        return failed(fmt::format("/dev/nbd{}: its record names no server", index));
    return std::move(*known);
}

// Tells a server that takes no boot files from this machine from one that takes none just now, that fails to
// store them, or that is not understood.
ExitCode code_of(const BootFileError& error) {
    if (error.fault == LinkFault::unreachable) return ExitCode::unreachable;
    if (error.reply == nbd::OptionReply::err_no_writer) return ExitCode::link_down;
    const bool takes_none =
        error.fault == LinkFault::refused &&
        (error.reply == nbd::OptionReply::err_policy || error.reply == nbd::OptionReply::err_unsup);
    return takes_none ? ExitCode::refused : ExitCode::failure;
}

Failed failed_link(const Target& target, const BootFileError& error) {
    return {code_of(error), fmt::format("{}: boot files: {}", target.uri, error.text)};
}

class Transfer {
public:
    Transfer(BootFileLink link, const Target& target) : link_(std::move(link)), target_(target) {}

    // Empty: the server has published nothing yet.
    Outcome<std::string> status() {
        auto text = link_.status();
        if (!text) return std::unexpected(failed_link(target_, text.error()));
        return std::move(*text);
    }

    // Sends what the server lacks. A part that the server holds may be damaged, by a power cut: then the
    // server removes the part, and the file is sent once more.
    Outcome<void> hand_in(const LocalFile& local) {
        const auto ended = send_file(local);
        if (ended || ended.error().reply != nbd::OptionReply::err_invalid) return outcome(ended);
        return outcome(send_file(local));
    }

    Outcome<void> commit(const std::string& manifest) { return outcome(link_.commit(manifest)); }

    [[nodiscard]] std::uint64_t sent() const { return sent_; }

private:
    using Answer = std::expected<void, BootFileError>;

    Outcome<void> outcome(const Answer& answer) const {
        if (!answer) return std::unexpected(failed_link(target_, answer.error()));
        return {};
    }

    Answer send_file(const LocalFile& local) {
        const auto state = link_.begin(local.facts.sha256, local.facts.size);
        if (!state) return std::unexpected(state.error());
        if (state->complete) return {};
        Answer answer;
        const auto read =
            read_pieces(local, state->offset,
                        [&](std::uint64_t offset, std::span<const std::uint8_t> piece) -> Outcome<void> {
                            answer = link_.send(offset, piece);
                            if (!answer) return failed("");
                            sent_ += piece.size();
                            show(local, offset + piece.size());
                            return {};
                        });
        hide();
        if (!answer) return answer;
        if (!read) return std::unexpected(BootFileError{LinkFault::unusable, {}, read.error().text});
        return link_.end();
    }

    void show(const LocalFile& local, std::uint64_t done) {
        const auto percent = static_cast<int>(done * 100 / local.facts.size);
        if (::isatty(STDERR_FILENO) == 0 || percent == shown_) return;
        shown_ = percent;
        fmt::print(stderr, "\r{}: {} %", local.role, percent);
        (void)std::fflush(stderr);
    }
    void hide() {
        if (shown_ >= 0) fmt::print(stderr, "\r\033[K");
        shown_ = -1;
    }

    BootFileLink link_;
    const Target& target_;
    std::uint64_t sent_ = 0;
    int shown_ = -1;
};

Outcome<Transfer> open_transfer(const KnownDevice& known, Deadline end) {
    const Target& target = known.record.targets[known.live.target];
    auto link = BootFileLink::open(target.endpoint, known.record.session, target.export_name, end);
    if (!link) return std::unexpected(failed_link(target, link.error()));
    return Transfer(std::move(*link), target);
}

Outcome<std::optional<nbd::BootPublished>> published_of(Transfer& transfer) {
    const auto text = transfer.status();
    if (!text) return std::unexpected(text.error());
    if (text->empty()) return std::nullopt;
    auto published = nbd::read_boot_published(*text);
    if (!published)
        return failed(fmt::format("the server's statement about published boot files: {}",
                                  printable(published.error())));
    return std::move(*published);
}

std::string as_text(const std::optional<nbd::BootPublished>& published) {
    if (!published) return "next boot: nothing was published from this machine yet\n";
    std::string text = published->next
                           ? fmt::format("next boot: kernel {}", published->next->version)
                           : std::string("next boot: nothing was published from this machine yet");
    if (!published->previous.empty()) text += fmt::format(", fallback {}", published->previous);
    text += "\n";
    if (!published->refused.empty())
        text += fmt::format("last boot files refused: {}\n", printable(published->refused));
    return text;
}

std::string as_json(const std::optional<nbd::BootPublished>& published) {
    if (!published) return "{\"published\":false}\n";
    std::string json = fmt::format(R"({{"published":{})", published->next ? "true" : "false");
    if (published->next)
        json += fmt::format(R"(,"next":{},"kernel_sha256":"{}","initrd_sha256":"{}")",
                            json_string(published->next->version), hex_of(published->next->kernel.data(), 32),
                            hex_of(published->next->initrd.data(), 32));
    if (!published->previous.empty())
        json += fmt::format(R"(,"previous":{})", json_string(published->previous));
    if (!published->refused.empty()) json += fmt::format(R"(,"refused":{})", json_string(published->refused));
    return json + "}\n";
}

// Exists if the server of this root disk has answered since the boot.
std::string mark_path(std::uint32_t index) {
    return fmt::format("{}/nbd{}.bootfiles-accepted", run_directory, index);
}

void mark_accepted(std::uint32_t index) {
    if (root_disk(nbd_devices()) == index)
        Fd(::open(mark_path(index).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
}

// Lets a single command work at a time, so that each commit is of files that were complete before the next
// begins: hooks for kernel and initramfs follow each other quickly.
Outcome<Fd> take_turn_to_push(Deadline end) {
    const std::string path = fmt::format("{}/bootfiles.lock", run_directory);
    auto turn = take_turn(
        path, end, [] { complain("waiting until another \"holdfast-client bootfiles --push\" has ended"); });
    if (turn) return std::move(*turn);
    if (turn.error().code != ETIMEDOUT)
        return failed(fmt::format("{}: {}{}", path, turn.error().message(), root_hint(turn.error().code)));
    return failed(
        fmt::format("{}: locked by another \"holdfast-client bootfiles --push\" for {} s; try again, "
                    "or look for a hung process",
                    path, push_patience.count()),
        ExitCode::busy);
}

Outcome<void> hand_in_all(Transfer& transfer, const LocalFiles& files) {
    for (const LocalFile* const local : {&files.kernel, &files.initrd})
        if (const auto done = transfer.hand_in(*local); !done) return done;
    if (files.xen)
        if (const auto done = transfer.hand_in(*files.xen); !done) return done;
    return transfer.commit(to_text(files.manifest()));
}

// Whether the server has published these very files. Refused ones may have been damaged there, or the cause
// is gone: they are handed in again. A statement that cannot be read stops nothing: the files are sent, and
// will be published anew.
Outcome<bool> is_known(Transfer& transfer, const LocalFiles& files) {
    const auto published = published_of(transfer);
    if (published)
        return *published && (*published)->refused.empty() &&
               (*published)->manifest == sha256(to_text(files.manifest()));
    if (published.error().code == ExitCode::failure) return false;
    return std::unexpected(published.error());
}

std::string push_report(bool json, const std::string& version, bool known, std::uint64_t sent) {
    if (json)
        return fmt::format(R"({{"kernel":{},"sent":{},"new":{}}})"
                           "\n",
                           json_string(version), sent, known ? "false" : "true");
    return known ? fmt::format("kernel {}: the server has it already\n", version)
                 : fmt::format("kernel {}: handed to the server, {} bytes sent\n", version, sent);
}

// Reads the record anew: its daemon may have changed to another server meanwhile.
Outcome<void> push_once(const BootFilesOptions& options, std::uint32_t index, const LocalFiles& files,
                        Deadline end) {
    const auto device = record_of(index);
    if (!device) return std::unexpected(device.error());
    auto transfer = open_transfer(*device, end);
    if (!transfer) return std::unexpected(transfer.error());
    const auto known = is_known(*transfer, files);
    if (!known) return std::unexpected(known.error());
    if (!*known)
        if (const auto done = hand_in_all(*transfer, files); !done) return done;
    mark_accepted(index);
    say(push_report(options.json, files.kernel.facts.version, *known, transfer->sent()));
    return {};
}

// Tries again while the device reconnects: its server takes boot files from a session in use only.
Outcome<void> push(const BootFilesOptions& options, std::uint32_t index) {
    const Deadline end = Clock::now() + push_patience;
    const auto turn = take_turn_to_push(end);
    if (!turn) return std::unexpected(turn.error());
    const auto files = files_of(options);
    if (!files) return std::unexpected(files.error());
    const Deadline reconnected = std::min(end, Clock::now() + reconnect_patience);
    for (;;) {
        auto done = push_once(options, index, *files, end);
        if (done || done.error().code != ExitCode::link_down || Clock::now() >= reconnected) return done;
        pause_for(std::chrono::seconds{1});
    }
}

Outcome<void> show_status(const BootFilesOptions& options, std::uint32_t index) {
    const auto known = record_of(index);
    if (!known) return std::unexpected(known.error());
    auto transfer = open_transfer(*known, Clock::now() + status_patience);
    if (!transfer) return std::unexpected(transfer.error());
    const auto published = published_of(*transfer);
    if (!published) return std::unexpected(published.error());
    mark_accepted(index);
    say(options.json ? as_json(*published) : as_text(*published));
    return {};
}

Outcome<void> carry_out(const BootFilesOptions& options) {
    const auto index = device_of(options);
    if (!index) return std::unexpected(index.error());
    return options.push ? push(options, *index) : show_status(options, *index);
}

}  // namespace

std::optional<nbd::BootPublished> published_for_root(std::uint32_t index, Deadline end) {
    if (::access(mark_path(index).c_str(), F_OK) != 0 || root_disk(nbd_devices()) != index)
        return std::nullopt;
    const auto known = record_of(index);
    if (!known) return std::nullopt;
    auto transfer = open_transfer(*known, end);
    if (!transfer) return std::nullopt;
    auto published = published_of(*transfer);
    return published ? std::move(*published) : std::nullopt;
}

ExitCode run_boot_files(const BootFilesOptions& options) {
    const auto done = carry_out(options);
    if (done) return ExitCode::ok;
    complain(done.error().text);
    return done.error().code;
}

}  // namespace holdfast::client
