// Mistakes on the command line have a status of their own.

#include "server/exit_status.hh"

#include <algorithm>

namespace holdfast::server {

int exit_of(const std::vector<Remark>& errors) {
    const bool usage = std::ranges::any_of(errors, is_on_command_line, &Remark::place);
    return usage ? bad_usage : not_started;
}

Remark remark_of(const ServiceUserFault& fault, const Config& config, const std::string& config_path) {
    const Place& place = fault.of_group ? config.group_place : config.user_place;
    return {place.file.empty() ? Place{config_path, 0} : place, fault.text};
}

}  // namespace holdfast::server
