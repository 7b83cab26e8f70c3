// Asks holdfast-provision for the volume of a client. Runs in a helper process of the opener, and may block.
#pragma once

#include <chrono>
#include <expected>
#include <string>

#include "server/config/config.hh"
#include "server/process/question.hh"

namespace holdfast::server {

// `config` has `created`, and is that of the session if by_session(). Returns once the volume exists. The
// error says why there is none, or that it is not complete after `patience`: then holdfast-provision goes on,
// and a later call finds the volume.
[[nodiscard]] std::expected<void, VolumeRefusal> ask_for_volume(const std::string& socket,
                                                                const ExportConfig& config,
                                                                const std::string& host,
                                                                std::chrono::milliseconds patience);
// Asks for the removal of the volume of a session that is over.
[[nodiscard]] std::expected<void, VolumeRefusal> ask_for_end_of_session(const std::string& socket,
                                                                        const ExportConfig& config,
                                                                        const std::string& host,
                                                                        std::chrono::milliseconds patience);

}  // namespace holdfast::server
