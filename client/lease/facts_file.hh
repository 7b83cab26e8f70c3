// /run/holdfast/facts/INTERFACE.renewed: the facts of the last renewal of the interface's lease, for a
// program of the system (network-hooks/lease-facts), which systemd starts when the folder changes.
#pragma once

#include <string>
#include <string_view>

#include "client/lease/network_facts.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

class FactsFile {
public:
    // Creates and opens the folder "facts" in `folder`; writes nothing yet. Before the seal.
    [[nodiscard]] static Result<FactsFile> open(std::string_view folder, std::string_view interface);
    // Replaces the file atomically, unless this object has written the same text last. May be called after
    // the seal.
    [[nodiscard]] Result<void> publish(const FactsText& text) noexcept;

private:
    Fd directory_;
    std::string name_;   // "eth0.renewed"
    std::string draft_;  // ".eth0.new"
    FactsText last_;
};

}  // namespace holdfast::client
