// Compares what a new attach of an attached device asks for with what its record says. Pure.
#pragma once

#include <string>
#include <vector>

#include "client/address/export_address.hh"
#include "client/config/choices.hh"
#include "client/control/record.hh"

namespace holdfast::client {

// Whether the record has that server and export, by meaning: the same host or address, port and name, however
// written. No name is resolved.
[[nodiscard]] bool is_known(const ServerAddress& server, const std::vector<Target>& targets);

// A line for each server and option that adoption ignores, since the device stays as it was attached.
[[nodiscard]] std::vector<std::string> ignored_by_adoption(const std::vector<ServerAddress>& servers,
                                                           const Choices& chosen, const DeviceRecord& record);

}  // namespace holdfast::client
