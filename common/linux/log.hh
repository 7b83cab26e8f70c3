// One line an event, to where this system keeps its log. The layer that decides logs, once; nobody both logs
// and returns. Shaped as one process-wide sink, because a line may have to be written from anywhere and must
// never be lost to plumbing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace holdfast::log {

// The numbers are those of syslog(3).
enum class Level : std::uint8_t { error = 3, warning = 4, notice = 5, info = 6, debug = 7 };

enum class Sink : std::uint8_t {
    terminal,  // stderr: "holdfast-server: warning: text"
    journal,   // stderr with sd-daemon(3) prefixes: "<4>text"
    syslog,    // /dev/log, as syslog(3) does it, but without waiting
    kernel,    // /dev/kmsg, for the initramfs: "<4>holdfast-client: text"
    resident,  // /dev/kmsg, from where systemd's journal takes it; and the socket "log" of the working folder
               // (/dev) where that is one of its own, as under System V init, whose loggers leave out what is
               // not the kernel's
};

// Called early, before threads. `program` must live for ever. Picks what `Sink` names; for `kernel` the
// descriptor is opened here and kept (after switch_root the path no longer leads anywhere).
void open(const char* program, Sink sink, Level least = Level::info);

// journal where stderr is the journal's stream (JOURNAL_STREAM), else terminal.
[[nodiscard]] Sink default_sink();

// From here on no line waits for its reader, for a program with threads whose loop must not stand still.
// Lines that are not taken at once are kept, up to 64 KiB, and sent before the next one; further lines are
// dropped, and a line says how many. Where stderr is a regular file, a process writes to it. For the sinks
// terminal, journal and syslog; call it after open(), before threads and before the process is confined.
// Allocates.
void never_wait();
// Last: waits until lines that were kept are written, for two seconds at most.
void finish() noexcept;
// Sends lines that were kept. True: some are left, so call it again soon.
bool catch_up() noexcept;

// For log_backlog.cc alone, which never_wait() is in: a program that does not call never_wait() is linked
// without it.
class LineTaker {
public:
    virtual ~LineTaker() = default;
    // A whole line, as the sink wants it.
    virtual void add(std::string line) = 0;
    // Sends kept lines. True: some are left.
    [[nodiscard]] virtual bool send() = 0;
    virtual void finish() = 0;
};
struct Setup {
    Sink sink;
    const char* program;
};
[[nodiscard]] Setup setup() noexcept;
// Lines go to `taker` from here on, in place of the sink.
void hand_lines_to(std::unique_ptr<LineTaker> taker) noexcept;

// Never blocks for long, never fails loudly; control characters in `text` are replaced (names come from the
// network).
void write(Level level, std::string_view text) noexcept;

inline void error(std::string_view text) noexcept { write(Level::error, text); }
inline void warning(std::string_view text) noexcept { write(Level::warning, text); }
inline void notice(std::string_view text) noexcept { write(Level::notice, text); }
inline void info(std::string_view text) noexcept { write(Level::info, text); }
inline void debug(std::string_view text) noexcept { write(Level::debug, text); }

}  // namespace holdfast::log
