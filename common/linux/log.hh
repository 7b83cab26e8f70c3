// Logs an event per line to the system's log. The layer that decides logs, once; no function both logs and
// returns an error. A single process-wide sink, because a line may be written from anywhere and must not be
// lost for lack of a handle.
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
    syslog,    // /dev/log, like syslog(3) but without waiting
    kernel,    // /dev/kmsg, for the initramfs: "<4>holdfast-client: text"
    resident,  // /dev/kmsg, from which systemd's journal reads; and the socket "log" of the working directory
               // (/dev) if it is a real socket, as under System V init, whose loggers skip kmsg lines not
               // from the kernel
};

// Selects the sink. Call early, before threads. `program` must live for ever. For `kernel` the descriptor is
// opened here and kept (after switch_root the path is invalid).
void open(const char* program, Sink sink, Level least = Level::info);

// Returns journal if stderr is the journal's stream (JOURNAL_STREAM), else terminal.
[[nodiscard]] Sink default_sink();

// Makes logging non-blocking from here on, for a program with threads whose loop must not stall. Lines that
// cannot be written at once are kept, up to 64 KiB, and sent before the next line; further lines are dropped,
// and a line reports their number. If stderr is a regular file, a separate process writes to it. For the
// sinks terminal, journal and syslog; call it after open(), before threads and before the process is
// confined. Allocates.
void never_wait();
// Waits until kept lines are written, for at most two seconds. Call it last.
void finish() noexcept;
// Sends kept lines. Returns true if some are left; then call it again soon.
bool catch_up() noexcept;

// Internal to log_backlog.cc, which contains never_wait(): a program that does not call never_wait() is
// linked without it.
class LineTaker {
public:
    virtual ~LineTaker() = default;
    // Takes a whole line in the sink's format.
    virtual void add(std::string line) = 0;
    // Sends kept lines. Returns true if some are left.
    [[nodiscard]] virtual bool send() = 0;
    virtual void finish() = 0;
};
struct Setup {
    Sink sink;
    const char* program;
};
[[nodiscard]] Setup setup() noexcept;
// Redirects lines to `taker`, in place of the sink.
void hand_lines_to(std::unique_ptr<LineTaker> taker) noexcept;

// Never blocks for long; failures are silent. Control characters in `text` are replaced (names come from the
// network).
void write(Level level, std::string_view text) noexcept;

inline void error(std::string_view text) noexcept { write(Level::error, text); }
inline void warning(std::string_view text) noexcept { write(Level::warning, text); }
inline void notice(std::string_view text) noexcept { write(Level::notice, text); }
inline void info(std::string_view text) noexcept { write(Level::info, text); }
inline void debug(std::string_view text) noexcept { write(Level::debug, text); }

}  // namespace holdfast::log
