// Names only what differs from the defaults.

#include "netboot/command/hints.hh"

#include <fmt/core.h>

#include <algorithm>

namespace holdfast::netboot {

std::string shell_word(std::string_view word) {
    constexpr std::string_view plain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+-,";
    if (!word.empty() && word.find_first_not_of(plain) == std::string_view::npos) return std::string(word);
    std::string quoted = "'";
    for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return quoted + "'";
}

std::string command_on_tree(const Options& options, std::string_view words) {
    std::string command = fmt::format("holdfast-netboot {}", words);
    if (options.tree != default_tree) command += " --tree " + shell_word(options.tree);
    return command;
}

std::string command_to_find(const Options& options, const std::string& host, bool shared) {
    return command_on_tree(options, shared ? "default " + host : fmt::format("add {} --mac ADDRESS", host));
}

std::string command_to_init(const Options& options) {
    std::string command = "holdfast-netboot init " + shell_word(options.tree);
    if (options.from != "/") command += " --from " + shell_word(options.from);
    return command;
}

}  // namespace holdfast::netboot
