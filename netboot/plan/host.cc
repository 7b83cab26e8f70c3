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
        for (const std::string& sum : several) text += line_of("file", fmt::format("{} {}", sum, path));
    return text;
}

std::string line_of(std::string_view key, const std::optional<KernelCopy>& kernel) {
    if (!kernel) return "";
    return line_of(key,
                   fmt::format("{} {}{}{}{}", kernel->version, kernel->release, kernel->xen ? " xen" : "",
                               kernel->sums.empty() ? "" : " ", kernel->sums));
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

// Takes keys in the form in which they are written, which the names of files rely on.
Taker into_keys(std::vector<std::string>& keys, Read<std::string> (*read)(std::string_view)) {
    return [&keys, read](std::string_view value) {
        keys.emplace_back(value);
        return read(value) == keys.back();
    };
}

Taker into_uuid(std::string& uuid) {
    return [&uuid](std::string_view value) {
        uuid = value;
        return is_stored_uuid(value);
    };
}

Taker into(bool& flag) {
    return [&flag](std::string_view value) {
        flag = value == "yes";
        return flag;
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
        const std::string_view release = take_until(value, ' ');
        const bool xen = value == "xen" || value.starts_with("xen ");
        if (xen) take_until(value, ' ');
        if (version) kernel = KernelCopy{*version, std::string(release), xen, std::string(value)};
        return version.has_value() && value.find_first_not_of("0123456789abcdef,") == std::string_view::npos;
    };
}

Read<void> read_lines(std::string_view text, const Takers& takers) {
    for (unsigned number = 1; !text.empty(); ++number) {
        std::string_view value = take_line(text);
        if (value.empty() || value[0] == '#') continue;
        const auto taker = takers.find(trimmed(take_until(value, '=')));
        if (taker == takers.end() || !taker->second(trimmed(value)))
            return unexpected(fmt::format(
                "line {}: invalid, or of a later version of holdfast-netboot; correct the line, or "
                "install the version that wrote it",
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
           line_of("xen-append", host.xen_append) + line_of("shared", host.shared ? "yes" : "") +
           line_of("kernel", host.kernel) + line_of("previous", host.previous) +
           line_of("taken", host.taken) + line_of("refused", host.refused) + lines_of(host.sums);
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
                                        {"uuid", into_uuid(host.keys.uuid)},
                                        {"mac", into_keys(host.keys.macs, read_mac)},
                                        {"ip", into_keys(host.keys.ips, read_ip)},
                                        {"root", into(host.root)},
                                        {"console", into(host.consoles)},
                                        {"append", into(host.append)},
                                        {"xen-append", into(host.xen_append)},
                                        {"shared", into(host.shared)},
                                        {"kernel", into(host.kernel)},
                                        {"previous", into(host.previous)},
                                        {"taken", into(host.taken)},
                                        {"refused", into(host.refused)},
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

std::vector<std::string> files_in(const KernelCopy& kernel) {
    std::vector<std::string> names{"/vmlinuz", "/initrd.img"};
    if (kernel.xen) names.emplace_back("/xen.gz");
    return names;
}

bool has_xen(const Host& host) {
    return (host.kernel && host.kernel->xen) || (host.previous && host.previous->xen);
}

std::string title_of(const KernelCopy& kernel) {
    return (kernel.xen ? "Xen, Linux " : "Linux ") + kernel.release;
}

std::string reason_of_refusal(const Host& host) {
    std::string_view rest = host.refused;
    take_until(rest, ' ');
    return std::string(rest);
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
