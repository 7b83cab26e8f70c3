// list: prints the names of a server's exports, and with --long their details.

#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "client/address/uri.hh"
#include "client/command/commands.hh"
#include "client/control/device_status.hh"
#include "client/link/link.hh"
#include "common/text/json.hh"
#include "common/text/plural.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

// Maximum bytes of names and descriptions. The handshake limits only the number of exports.
constexpr std::size_t most_text = 8 << 20;
// Time for a server to list its exports.
constexpr std::chrono::seconds list_patience{30};
// Time for the details of all exports of a server, with a connection for each.
constexpr std::chrono::seconds details_patience{60};

struct Export {
    std::string name;
    std::string description;
    bool looked_at = false;
    nbd::Offer offer;     // valid only if looked_at and without a problem
    std::string problem;  // valid only if looked_at
};

struct Listing {
    std::vector<Export> exports;
    std::size_t text = 0;      // bytes of all names and descriptions
    std::size_t left_out = 0;  // exports beyond most_text

    void take(std::string_view name, std::string_view description) {
        text += name.size() + description.size();
        if (text <= most_text)
            exports.push_back({std::string(name), std::string(description), false, {}, {}});
        else
            ++left_out;
    }
};

std::expected<Listing, LinkError> exports_of(const ServerAddress& server, Endpoint& used) {
    auto endpoints = resolve(server);
    if (!endpoints) return std::unexpected(endpoints.error());
    LinkError last{LinkFault::unreachable, "the host name has no address"};
    for (const Endpoint& endpoint : *endpoints) {
        Listing listing;
        const auto sink = [&listing](std::string_view name, std::string_view description) {
            listing.take(name, description);
        };
        auto link = make_link(endpoint, nbd::ClientHandshake(sink), default_dead_after, list_patience);
        used = endpoint;
        if (link) return listing;
        last = link.error();
        last.text = LineText::of("{}: {}", endpoint.text, LineText(last.text));
    }
    return std::unexpected(last);
}

void look_at_export(const Endpoint& endpoint, Export& entry) {
    entry.looked_at = true;
    auto link = make_link(endpoint, nbd::ClientHandshake(nbd::ClientHandshake::Goal::info, entry.name));
    if (link)
        entry.offer = link->offer;
    else
        entry.problem = link.error().text.view();
}

void give_up_export(Export& entry) {
    entry.looked_at = true;
    entry.problem = fmt::format("not queried: the server took more than {} s for the exports before it",
                                details_patience.count());
}

void look_at_exports(const Endpoint& endpoint, std::vector<Export>& exports) {
    const auto end = Clock::now() + details_patience;
    for (Export& entry : exports) {
        if (Clock::now() < end)
            look_at_export(endpoint, entry);
        else
            give_up_export(entry);
    }
}

std::string shown_name(const Export& entry) {
    return entry.name.empty() ? "(default)" : printable(entry.name);
}

std::string as_text(const std::vector<Export>& exports) {
    std::size_t width = 0;
    for (const Export& entry : exports) width = std::max(width, shown_name(entry).size());
    std::string text;
    for (const Export& entry : exports) {
        if (!entry.looked_at) {
            text += shown_name(entry) + "\n";
            continue;
        }
        std::string details = entry.problem.empty() ? fmt::format("{:>10}  {}", size_words(entry.offer.size),
                                                                  flag_words(entry.offer.flags))
                                                    : entry.problem;
        if (!entry.description.empty()) details += "  " + printable(entry.description);
        text += fmt::format("{:<{}}  {}\n", shown_name(entry), width, details);
    }
    return text;
}

std::string as_json(const std::vector<Export>& exports) {
    std::string json;
    for (const Export& entry : exports) {
        json += json.empty() ? "[" : ",\n ";
        json += fmt::format(R"({{"name":{},"description":{})", json_string(entry.name),
                            json_string(entry.description));
        if (entry.looked_at && entry.problem.empty())
            json +=
                fmt::format(R"(,"size":{},"flags":{},"read_only":{},"minimum_block_size":{})",
                            entry.offer.size, entry.offer.flags,
                            (entry.offer.flags & nbd::flag_read_only) != 0, entry.offer.block_sizes.minimum);
        if (!entry.problem.empty()) json += fmt::format(R"(,"error":{})", json_string(entry.problem));
        json += "}";
    }
    return (json.empty() ? "[" : json) + "]\n";
}

}  // namespace

ExitCode run_list(const ListOptions& options) {
    Endpoint endpoint;
    auto listing = exports_of(options.server, endpoint);
    if (!listing) {
        complain(fmt::format("{}: {}", to_uri(options.server), listing.error().text));
        return listing.error().fault == LinkFault::unreachable ? ExitCode::unreachable : ExitCode::refused;
    }
    if (options.with_details) look_at_exports(endpoint, listing->exports);
    say(options.json ? as_json(listing->exports) : as_text(listing->exports));
    if (listing->left_out == 0) return ExitCode::ok;
    complain(fmt::format("{}: {} left out: the names and descriptions exceed {} MiB", to_uri(options.server),
                         counted(listing->left_out, "export"), most_text >> 20));
    return ExitCode::failure;
}

}  // namespace holdfast::client
