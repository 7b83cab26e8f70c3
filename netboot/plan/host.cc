// Lines "key = value"; a key with several values has a line for each.

#include "netboot/plan/host.hh"

#include <fmt/core.h>

#include <functional>

#include "common/text/hex.hh"
#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "common/text/sha256.hh"
#include "common/text/text.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;

// Takes the value of a key; false if the value is invalid.
using Taker = std::function<bool(std::string_view value)>;
using Takers = std::map<std::string_view, Taker>;

std::string line_of(std::string_view key, std::string_view value) {
    return value.empty() ? "" : fmt::format("{} = {}\n", key, value);
}

std::string lines_of(std::string_view key, const std::vector<std::string>& values) {
    std::string text;
    for (const std::string& value : values) text += line_of(key, value);
    return text;
}

std::string lines_of(const Sums& sums) {
    std::string text;
    for (const auto& [path, several] : sums)
        for (const std::string& sum : several) text += line_of("file", sum + " " + path);
    return text;
}

std::string line_of(std::string_view key, const std::optional<KernelCopy>& kernel) {
    return kernel ? line_of(key, fmt::format("{} {}", kernel->version, kernel->release)) : "";
}

Taker into(std::string& text) {
    return [&text](std::string_view value) {
        text = value;
        return true;
    };
}

Taker into(std::vector<std::string>& texts) {
    return [&texts](std::string_view value) {
        texts.emplace_back(value);
        return true;
    };
}

Taker into(Sums& sums) {
    return [&sums](std::string_view value) {
        const std::string_view sum = take_until(value, ' ');
        sums[std::string(value)].emplace(sum);
        return !value.empty();
    };
}

Taker into(std::optional<KernelCopy>& kernel) {
    return [&kernel](std::string_view value) {
        const auto version = number_of<unsigned>(take_until(value, ' '));
        if (version) kernel = KernelCopy{*version, std::string(value)};
        return version.has_value();
    };
}

Read<void> read_lines(std::string_view text, const Takers& takers) {
    for (unsigned number = 1; !text.empty(); ++number) {
        std::string_view value = take_line(text);
        if (value.empty() || value[0] == '#') continue;
        const auto taker = takers.find(trimmed(take_until(value, '=')));
        if (taker == takers.end() || !taker->second(trimmed(value)))
            return unexpected(
                fmt::format("line {}: not readable by this version of holdfast-netboot; install the version "
                            "that wrote it",
                            number));
    }
    return {};
}

}  // namespace

std::string to_text(const Host& host) {
    return "# State of holdfast-netboot. Use the program to change it.\n" +
           line_of("export", host.export_name) + line_of("server", host.server) +
           line_of("uuid", host.keys.uuid) + lines_of("mac", host.keys.macs) + lines_of("ip", host.keys.ips) +
           line_of("root", host.root) + lines_of("console", host.consoles) + line_of("append", host.append) +
           line_of("kernel", host.kernel) + line_of("previous", host.previous) + lines_of(host.sums);
}

std::string to_text(const TreeSettings& settings) {
    return "# State of holdfast-netboot. Use the program to change it.\n" +
           line_of("server", settings.server) + line_of("default", settings.default_host) +
           lines_of(settings.sums);
}

Read<Host> read_host(std::string_view name, std::string_view text) {
    Host host;
    host.name = name;
    const auto read = read_lines(text, {{"export", into(host.export_name)},
                                        {"server", into(host.server)},
                                        {"uuid", into(host.keys.uuid)},
                                        {"mac", into(host.keys.macs)},
                                        {"ip", into(host.keys.ips)},
                                        {"root", into(host.root)},
                                        {"console", into(host.consoles)},
                                        {"append", into(host.append)},
                                        {"kernel", into(host.kernel)},
                                        {"previous", into(host.previous)},
                                        {"file", into(host.sums)}});
    if (!read) return unexpected(read.error());
    return host;
}

Read<TreeSettings> read_settings(std::string_view text) {
    TreeSettings settings;
    const auto read = read_lines(text, {{"server", into(settings.server)},
                                        {"default", into(settings.default_host)},
                                        {"file", into(settings.sums)}});
    if (!read) return unexpected(read.error());
    return settings;
}

std::string folder_of(const Host& host, const KernelCopy& kernel) {
    return fmt::format("hosts/{}/{}", host.name, kernel.version);
}

std::string sum_of(std::string_view text) {
    const auto digest = sha256(text);
    return hex_of(digest.data(), digest.size());
}

Sums sums_of(const Texts& texts) {
    Sums sums;
    for (const auto& [path, text] : texts) sums[path] = {sum_of(text)};
    return sums;
}

}  // namespace holdfast::netboot
