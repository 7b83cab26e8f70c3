// Mistakes on the command line have a status of their own.

#include "server/exit_status.hh"

#include <algorithm>

namespace holdfast::server {

int exit_of(const std::vector<Remark>& errors) {
    const bool usage = std::ranges::any_of(errors, is_on_command_line, &Remark::position);
    return usage ? bad_usage : not_started;
}

Remark remark_of(const ServiceUserFault& fault, const Config& config, const std::string& config_path) {
    const FilePosition& position = fault.of_group ? config.group_position : config.user_position;
    return {position.file.empty() ? FilePosition{config_path, 0} : position, fault.text};
}

}  // namespace holdfast::server
