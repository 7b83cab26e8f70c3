// confine: makes the daemons enter their AppArmor profile. For daemons that are older than the profiles, as
// that of the root disk at boot.

#include <fmt/core.h>

#include <chrono>

#include "client/attach/takeover.hh"
#include "client/command/commands.hh"
#include "client/control/control_client.hh"
#include "client/control/orders.hh"
#include "client/kernel/sysfs.hh"
#include "client/process/apparmor_profile.hh"

namespace holdfast::client {
namespace {

constexpr std::chrono::seconds patience{10};

ExitCode confine(std::uint32_t index) {
    const auto answer = ask(index, Order::confine, patience, say_waiting);
    if (answer && *answer == "ok\n") return ExitCode::ok;
    std::string_view words = answer ? std::string_view{*answer} : std::string_view{};
    if (words.ends_with('\n')) words.remove_suffix(1);
    if (words.starts_with("error ")) words.remove_prefix(6);
    complain(fmt::format("/dev/nbd{}: {}", index, answer ? words : describe_failure(index, answer.error())));
    return ExitCode::failure;
}

}  // namespace

ExitCode run_confine(const ConfineOptions& options) {
    const auto loaded = is_profile_loaded();
    if (!loaded) {
        complain("confine: this kernel runs without AppArmor; boot it with lsm=...,apparmor to use profiles");
        return ExitCode::failure;
    }
    if (!*loaded) {
        complain(
            "confine: the profile holdfast-client is not loaded; run apparmor_parser -r "
            "/etc/apparmor.d/holdfast-client");
        return ExitCode::failure;
    }
    if (options.index) return confine(*options.index);
    ExitCode code = ExitCode::not_attached;
    for (const std::uint32_t index : nbd_devices()) {
        if (!is_ours(index)) continue;
        const ExitCode one = confine(index);
        if (code == ExitCode::not_attached || code == ExitCode::ok) code = one;
    }
    if (code == ExitCode::not_attached) complain("confine: no device attached by holdfast-client");
    return code;
}

}  // namespace holdfast::client
