// resize: makes the daemon check the export's size now, instead of at its next probe.

#include <fmt/core.h>

#include <charconv>
#include <chrono>

#include "client/command/commands.hh"
#include "client/control/control_client.hh"
#include "client/control/orders.hh"
#include "client/kernel/sysfs.hh"

namespace holdfast::client {
namespace {

// Includes the daemon's probe, a new link, and a moment without old requests in flight.
constexpr std::chrono::seconds patience{60};

}  // namespace

ExitCode run_resize(const ResizeOptions& options) {
    const auto sysfs = SysfsDevice::open(options.index);
    if (!sysfs || !sysfs->connected()) {
        complain(fmt::format("/dev/nbd{}: not attached", options.index));
        return ExitCode::not_attached;
    }
    const auto answer = ask(options.index, Order::resize, patience, say_waiting);
    if (!answer) {
        complain(
            fmt::format("/dev/nbd{}: {}", options.index, describe_failure(options.index, answer.error())));
        return ExitCode::failure;
    }
    std::string_view words = *answer;
    if (words.ends_with('\n')) words.remove_suffix(1);
    if (words.starts_with("ok ")) {
        say(fmt::format("/dev/nbd{} has {} bytes\n", options.index, words.substr(3)));
        return ExitCode::ok;
    }
    if (words.starts_with("error ")) words.remove_prefix(6);
    complain(fmt::format("/dev/nbd{}: {}", options.index, words));
    return ExitCode::failure;
}

}  // namespace holdfast::client
