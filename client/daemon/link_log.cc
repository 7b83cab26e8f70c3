// Limits the lines by time, and by repetition.

#include "client/daemon/link_log.hh"

#include "common/text/plural.hh"

namespace holdfast::client {

void LinkLog::write(log::Level level, const LineText& line, Time now) noexcept {
    if (limit_.admit(now))
        log::write(level, line);
    else
        left_out_ = line;
}

void LinkLog::write_summary(Time now) noexcept {
    if (const auto summary = limit_.due(now))
        log::warning(LineText::of("{}: {} about the link in the last {} s; the last one: {}", device_.name(),
                                  counted(summary->lines, "more line"), summary->during.count(), left_out_));
}

void LinkLog::remember(const LineText& error, Time now) noexcept {
    device_.live.last_error = LineText::of("{}: {}", device_.target().uri, error);
    device_.live.last_error_at = since_boot(now);
}

void LinkLog::note_failure(const LineText& reason, Time now) noexcept {
    remember(reason, now);
    if (is_new(reason))
        write(log::Level::warning, LineText::of("{}: {}; retrying", device_.name(), device_.live.last_error),
              now);
}

}  // namespace holdfast::client
