// Commands in messages: complete, so that they work as printed. Pure.
#pragma once

#include <string>
#include <string_view>

#include "netboot/command/options.hh"

namespace holdfast::netboot {

// The command with these words, on the tree of `options`: "holdfast-netboot list --tree /srv/boot".
[[nodiscard]] std::string command_on_tree(const Options& options, std::string_view words);
// init of the tree of `options`, from the same folder of loaders.
[[nodiscard]] std::string command_to_init(const Options& options);

// The command that makes loaders find a host: by a key; a host that several machines may become, as the
// default.
[[nodiscard]] std::string command_to_find(const Options& options, const std::string& host, bool shared);

// The word as a shell reads it.
[[nodiscard]] std::string shell_word(std::string_view word);

}  // namespace holdfast::netboot
