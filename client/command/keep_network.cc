// keep-network: runs in the initramfs after the root file system is mounted. No failure here may prevent the
// boot: failures are only reported.

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "client/boot/boot_files.hh"
#include "client/boot/network_handover.hh"
#include "client/command/commands.hh"
#include "client/config/config_files.hh"
#include "common/linux/clock.hh"
#include "common/linux/log.hh"
#include "common/linux/pause.hh"

namespace holdfast::client {
namespace {

// Prints on the console, and logs to the kernel's log for dmesg.
void tell(std::string_view line) {
    complain(line);
    log::debug(line);
}

void warn(const std::vector<std::string>& warnings) {
    for (const std::string& warning : warnings) tell("warning: " + warning);
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

// Waits for the interface of the root disk: another script may have taken the interface down, and the
// daemon's process restores it (client/daemon/network_guard.hh).
std::vector<RootNetwork> networks_in_time(const HandoverFolders& folders) {
    constexpr std::chrono::seconds patience{15};
    constexpr std::chrono::milliseconds interval{200};
    const Deadline end = Clock::now() + patience;
    for (;;) {
        std::vector<RootNetwork> networks = root_networks(folders);
        if (std::ranges::none_of(networks, &RootNetwork::lost) || Clock::now() >= end) return networks;
        pause_for(interval);
    }
}

}  // namespace

ExitCode run_keep_network(const KeepNetworkOptions& options) {
    log::open("holdfast-client", log::Sink::kernel, log::Level::debug);
    HandoverFolders folders;
    folders.root = options.root;
    folders.init = init_of(options.root, options.init);
    auto config = load_config(options.config_file, options.root + default_config_file);
    if (!config) {
        for (const std::string& error : config.error()) tell(error);
        if (options.config_file) return ExitCode::usage;
    }
    const NetworkChoices choices = config ? config->network : NetworkChoices{};
    const std::vector<RootNetwork> networks = networks_in_time(folders);
    if (networks.empty()) return ExitCode::not_attached;
    for (const RootNetwork& network : networks)
        if (network.interfaces.empty())
            tell(fmt::format("nbd{}: network interface unknown; nothing was done to protect it",
                             network.device));
    const Handover handover = hand_over(folders, networks, choices);
    warn(handover.warnings);
    warn(hand_over_facts(folders, networks, read_network_answers(BootFiles{}), choices));
    if (handover.kept_from.empty()) return ExitCode::ok;
    for (const RootNetwork& network : networks)
        if (!network.interfaces.empty())
            log::info(fmt::format("nbd{0}: {2} will leave {1} alone", network.device,
                                  joined(network.interfaces), joined(handover.kept_from)));
    return ExitCode::ok;
}

}  // namespace holdfast::client
