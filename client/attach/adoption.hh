// Compares the options of a new attach of an attached device with its record. Pure.
#pragma once

#include <string>
#include <vector>

#include "client/address/server_address.hh"
#include "client/config/choices.hh"
#include "client/control/device_record.hh"

namespace holdfast::client {

// Returns true if the record has that server and export, by meaning: the same host or address, port and name,
// in any spelling. Resolves no names.
[[nodiscard]] bool is_known(const ServerAddress& server, const std::vector<Target>& targets);

// Returns a line for each server and option that adoption ignores, since the device stays as it was attached.
[[nodiscard]] std::vector<std::string> ignored_by_adoption(const std::vector<ServerAddress>& servers,
                                                           const Choices& chosen, const DeviceRecord& record);

}  // namespace holdfast::client
