// The command line of holdfast-netboot. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netboot/dhcp/dhcp_lines.hh"
#include "netboot/name/host_keys.hh"

namespace holdfast::netboot {

inline constexpr const char* default_tree = "/srv/tftp";
inline constexpr const char* default_spool = "/var/spool/holdfast-server";

// Options of all commands; an option that its command does not have is an error. Values are canonical.
// A setting of a host or a tree that is not named stays as it is; an empty value clears it.
struct Options {
    std::string command;  // "", "help" and "version" included
    std::string tree = default_tree;
    std::vector<std::string> trees;  // each --tree; several with take only
    std::string host;                // the argument of add, remove, default and check; of help, the command
    std::vector<std::string> hosts;  // the arguments of take
    bool all = false;
    std::vector<std::string> servers;  // each --server of take
    std::string spool = default_spool;
    bool dry_run = false;
    bool json = false;
    bool keep = false;
    bool force = false;
    bool none = false;
    // init
    std::optional<DhcpServer> dhcp;
    std::string dhcp_file;
    std::string address;
    std::string http;
    std::string proxy;
    std::optional<std::vector<std::string>> loaders;  // kinds
    std::string from = "/";
    // init and add
    std::optional<std::string> server;
    // add; the keys also of check
    std::optional<std::string> export_name;
    std::optional<std::string> root;
    std::optional<std::string> append;
    std::optional<std::vector<std::string>> consoles;
    std::optional<std::string> uuid;
    std::optional<std::vector<std::string>> macs;
    std::optional<std::vector<std::string>> ips;
    std::optional<bool> shared;
    std::optional<std::string> xen_append;
    std::string kernel;
    std::string initrd;
    std::optional<std::string> xen;  // the hypervisor; empty: none
};

// `words`: the command line without the program's name. The error is a line.
[[nodiscard]] Read<Options> read_options(const std::vector<std::string>& words);

// Help of a command, or the overview for ""; empty for an unknown command.
[[nodiscard]] std::string_view help_text(std::string_view command) noexcept;

}  // namespace holdfast::netboot
