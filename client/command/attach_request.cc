// The command line has priority over the table of devices, and that over the configuration file.

#include "client/command/attach_request.hh"

#include <fmt/core.h>

#include "client/attach/takeover.hh"
#include "client/config/config_files.hh"

namespace holdfast::client {
namespace {

// Client and server may power up at the same switch; the server may take longer.
constexpr std::chrono::seconds table_patience{30};

// Returns the servers of the command line or of the files. Fails if neither names a server.
std::expected<std::vector<ServerAddress>, std::string> servers_for(const AttachOptions& options,
                                                                   const std::optional<DeviceLine>& line,
                                                                   const Config& config) {
    std::vector<ServerAddress> servers = line ? line->servers : options.servers;
    if (servers.empty() && options.index) servers = config.servers_of(*options.index);
    // A device whose daemon died has its servers in its record.
    if (servers.empty() && !(options.index && is_orphan(*options.index)))
        return std::unexpected{
            fmt::format("attach: missing export; name one, for example nbd://server/name, or add a line for "
                        "nbd{} to {}, or its server to {}",
                        options.index.value_or(0), default_device_table,
                        options.config_file.value_or(default_config_file))};
    return servers;
}

// Decides whether the daemon renews DHCP leases: outside the initramfs another program maintains the
// addresses; lease= in the files applies only to boot.
void choose_lease_care(AttachRequest& request, const std::optional<LeaseCare>& chosen,
                       const BootFiles& files) {
    const LeaseCare usual = request.carries_root ? LeaseCare::renew : LeaseCare::leave;
    request.chosen.lease = chosen;
    request.policy.lease = chosen.value_or(usual);
    if (request.policy.lease == LeaseCare::renew)
        request.leases = leases_in(read_network_answers(files), ip_word(files));
}

}  // namespace

std::expected<AttachRequest, std::string> request_for(const AttachOptions& options,
                                                      const std::optional<DeviceLine>& line,
                                                      const Config& config, const BootFiles& files) {
    const Choices chosen = line ? merged(options.choices, line->choices) : options.choices;
    const Choices choices = merged(chosen, config.choices_for(options.index));
    AttachRequest request;
    request.index = options.index;
    request.control_group = options.service ? ControlGroup::service : ControlGroup::system;
    if (options.service || line) request.search.patience = table_patience;
    auto servers = servers_for(options, line, config);
    if (!servers) return std::unexpected{std::move(servers.error())};
    request.search.servers = *std::move(servers);
    request.search.block_size = choices.block_size;
    request.search.patience = choices.wait.value_or(request.search.patience);
    request.policy = policy_of(choices);
    request.chosen = choices;
    // Called in the initramfs, from its shell or a script.
    request.carries_root = !options.service && in_initramfs(files);
    request.may_be_lost = request.carries_root && line && line->may_fail;
    choose_lease_care(request, options.choices.lease, files);
    request.read_only = choices.read_only.value_or(false);
    return request;
}

}  // namespace holdfast::client
