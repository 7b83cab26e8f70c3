// Kernels of a host, for the commands that give it a new one: add and take.
#pragma once

#include "netboot/command/update.hh"

namespace holdfast::netboot {

// The host with this name in the state, which is added if it is missing.
[[nodiscard]] Host& host_in(TreeState& state, const std::string& name);

// Makes the copy the kernel of the host. The fallback is the newest of the others whose files are there.
[[nodiscard]] Read<void> put_first(const BootTree& tree, Host& host, const KernelCopy& copy);

// Error if the tree has no loaders for Xen, which the host needs.
[[nodiscard]] Read<void> check_loaders_for_xen(const BootTree& tree, const Host& host,
                                               const Options& options);

// Error if an entry of the host, be it the fallback, would run Xen with words that Xen or its loader cannot
// take.
[[nodiscard]] Read<void> check_words_for_xen(const Host& host);

}  // namespace holdfast::netboot
