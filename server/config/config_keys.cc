// Tables with a line for each key. Decides which keys of nbd-server are harmless to ignore and which are
// errors.

#include "server/config/config_keys.hh"

#include <limits>
#include <optional>
#include <utility>

#include "common/protocol/export_identity.hh"
#include "common/text/number.hh"
#include "common/text/utf8.hh"

namespace holdfast::server {
namespace {

using Generic = ConfigReader::Generic;

constexpr std::string_view no_tls =
    "it has no TLS yet, and would serve without the encryption that is asked for here; remove the key to "
    "allow that";
constexpr std::string_view no_commands =
    "it runs no commands, and would serve without what this one prepares or checks; remove the key to allow "
    "that";

constexpr std::size_t longest_socket_path = 107;

void take_statussocket(Generic& g, ConfigValue& v) {
    g.config.statussocket_is_default = false;
    g.config.statussocket_place = v.place();
    g.config.statussocket.clear();
    if (v.text() == "none") return;
    g.config.statussocket = v.absolute_path();
    if (v.text().size() > longest_socket_path)
        v.error("the path is longer than the 107 bytes that a UNIX socket may have");
}

constexpr GenericKey generic_table[] = {
    // keys of nbd-server
    {"allowlist", [](Generic& g, ConfigValue& v) { g.config.allowlist = v.boolean(); }},
    {"cacertfile", [](Generic&, ConfigValue& v) { v.refuse_if_set(no_tls); }},
    {"certfile", [](Generic&, ConfigValue& v) { v.refuse_if_set(no_tls); }},
    {"duallisten", [](Generic& g, ConfigValue& v) { g.duallisten = v.boolean(); }},
    {"force_tls", [](Generic&, ConfigValue& v) { v.refuse_if_true(no_tls); }},
    {"group",
     [](Generic& g, ConfigValue& v) {
         g.config.group = v.text();
         g.config.group_place = v.place();
     }},
    {"includedir",
     [](Generic& g, ConfigValue& v) {
         if (v.empty()) return;
         std::string path = v.absolute_path();
         if (!v.is_wrong()) g.includedir = {std::move(path), v.place()};
     }},
    {"keyfile", [](Generic&, ConfigValue& v) { v.refuse_if_set(no_tls); }},
    {"listenaddr",
     [](Generic& g, ConfigValue& v) {
         g.listenaddr = v.addresses();
         g.listenaddr_place = v.place();
     }},
    {"max_threads",
     [](Generic&, ConfigValue& v) { v.warn_not_needed("every connection has a thread of its own"); }},
    {"oldstyle",
     [](Generic&, ConfigValue& v) {
         v.refuse_if_true(
             "the oldstyle handshake is gone from every NBD server; give the export a port instead");
     }},
    {"port", [](Generic& g, ConfigValue& v) { g.port = v.port(); }},
    {"strict", [](Generic& g, ConfigValue& v) { g.config.strict = v.boolean(); }},
    {"splice",
     [](Generic&, ConfigValue& v) { v.warn_not_needed("it changes only how nbd-server copies data"); }},
    {"tlsonly", [](Generic&, ConfigValue& v) { v.refuse_if_true(no_tls); }},
    {"tlsprio", [](Generic&, ConfigValue& v) { v.refuse_if_set(no_tls); }},
    {"unixsock",
     [](Generic& g, ConfigValue& v) {
         if (v.empty()) return;
         g.unixsock = v.absolute_path();
         g.unixsock_place = v.place();
         if (g.unixsock.size() > longest_socket_path)
             v.error("the path is longer than the 107 bytes that a UNIX socket may have");
     }},
    {"user",
     [](Generic& g, ConfigValue& v) {
         g.config.user = v.text();
         g.config.user_place = v.place();
     }},
    // our own keys
    {"buffermemory", [](Generic& g, ConfigValue& v) { g.config.buffermemory = v.number(0, 1ULL << 40); }},
    {"handshaketimeout",
     [](Generic& g, ConfigValue& v) { g.config.handshaketimeout = std::chrono::seconds(v.number(1, 3600)); }},
    {"maxconnections",
     [](Generic& g, ConfigValue& v) {
         g.config.maxconnections = static_cast<std::uint32_t>(v.number(1, 30000));
     }},
    {"maxperaddress",
     [](Generic& g, ConfigValue& v) {
         g.config.maxperaddress = static_cast<std::uint32_t>(v.number(1, 30000));
     }},
    {"statussocket", take_statussocket},
    {"stoptimeout",
     [](Generic& g, ConfigValue& v) { g.config.stoptimeout = std::chrono::seconds(v.number(1, 3600)); }},
};

void take_virtstyle(ExportConfig& e, ConfigValue& v) {
    const std::string& text = v.text();
    if (text == "none") {
        e.virtstyle = VirtStyle::none;
    } else if (text == "ipliteral") {
        e.virtstyle = VirtStyle::ip_literal;
    } else if (text == "iphash") {
        e.virtstyle = VirtStyle::ip_hash;
    } else if (text.starts_with("cidrhash")) {
        std::string_view rest = std::string_view(text).substr(8);
        while (rest.starts_with(' ')) rest.remove_prefix(1);
        const std::optional<unsigned> length = number_of<unsigned>(rest);
        if (!length || *length > 128) v.error("cidrhash wants a mask from 0 to 128: cidrhash 24");
        e.virtstyle = VirtStyle::cidr_hash;
        e.virt_prefix = length.value_or(0);
    } else {
        v.error("\"" + text + "\" is none of: none, ipliteral, iphash, cidrhash LENGTH");
    }
}

void take_cache(ExportConfig& e, ConfigValue& v) {
    for (const CacheMode mode :
         {CacheMode::writeback, CacheMode::none, CacheMode::writethrough, CacheMode::directsync}) {
        if (v.text() != word_of(mode)) continue;
        e.cache = mode;
        return;
    }
    v.error("\"" + v.text() + "\" is none of: writeback, none, writethrough, directsync" +
            (v.text() == "unsafe" ? "; a flush is always honoured here" : ""));
}

void take_identity(ExportConfig& e, ConfigValue& v) {
    if (!v.empty() && !is_identity(v.text()))
        v.error("an identity is at most 255 letters, digits and other characters of printable ASCII");
    e.identity = v.text();
}

void take_description(ExportConfig& e, ConfigValue& v) {
    constexpr std::size_t longest = 255;
    if (v.text().size() > longest || !is_printable(v.text()))
        v.error("a description is at most 255 bytes of printable UTF-8");
    e.description = v.text();
}

void take_waitfile(ExportConfig&, ConfigValue& v) {
    // The man page says string, the program reads a boolean.
    if (v.empty() || v.text() == "false" || v.text() == "no" || v.text() == "0") return;
    v.refuse_if_set(
        "it keeps no differences to be merged later, writes go to the volume at once; remove the key");
}

constexpr ExportKey export_table[] = {
    // keys of nbd-server
    {"authfile",
     [](ExportConfig& e, ConfigValue& v) {
         if (v.empty())
             return v.warning("no file is named, so every client may connect; name one, or remove the key");
         e.authfile = v.absolute_path();
     }},
    {"copyonwrite",
     [](ExportConfig&, ConfigValue& v) {
         v.refuse_if_true("writes would go to the original; export an LVM snapshot, or set readonly = true");
     }},
    {"cowdir", [](ExportConfig&, ConfigValue& v) { v.warn_not_supported("there is no copy on write"); }},
    {"datalog", [](ExportConfig&, ConfigValue& v) { v.warn_not_supported("it writes no transaction logs"); }},
    {"exportname", [](ExportConfig& e, ConfigValue& v) { e.path = v.absolute_path(); }},
    {"filesize",
     [](ExportConfig& e, ConfigValue& v) {
         e.filesize = v.number(0, std::numeric_limits<std::int64_t>::max());
         e.filesize_is_wrong = v.is_wrong();
     }},
    {"flush", [](ExportConfig& e, ConfigValue& v) { e.flush = v.boolean(); }},
    {"force_tls", [](ExportConfig&, ConfigValue& v) { v.refuse_if_true(no_tls); }},
    {"fua", [](ExportConfig& e, ConfigValue& v) { e.fua = v.boolean(); }},
    {"listenaddr", [](ExportConfig& e, ConfigValue& v) { e.listenaddr = v.addresses(); }},
    {"maxconnections",
     [](ExportConfig& e, ConfigValue& v) {
         e.maxconnections = static_cast<std::uint32_t>(v.number(0, 30000));
     }},
    {"multifile",
     [](ExportConfig&, ConfigValue& v) {
         v.refuse_if_true("only single files and devices are exported; join the parts, or put them on LVM");
     }},
    {"port", [](ExportConfig& e, ConfigValue& v) { e.port = v.port(); }},
    {"postrun", [](ExportConfig&, ConfigValue& v) { v.refuse_if_set(no_commands); }},
    {"prerun", [](ExportConfig&, ConfigValue& v) { v.refuse_if_set(no_commands); }},
    {"readonly", [](ExportConfig& e, ConfigValue& v) { e.readonly = v.boolean(); }},
    {"rotational", [](ExportConfig& e, ConfigValue& v) { e.rotational = v.boolean(); }},
    {"sdp", [](ExportConfig&,
               ConfigValue& v) { v.refuse_if_true("the Socket Direct Protocol is gone from Linux"); }},
    {"sparse_cow",
     [](ExportConfig&, ConfigValue& v) { v.warn_not_supported_if_true("there is no copy on write"); }},
    {"splice",
     [](ExportConfig&, ConfigValue& v) { v.warn_not_needed("it changes only how nbd-server copies data"); }},
    {"sync", [](ExportConfig& e, ConfigValue& v) { e.sync = v.boolean(); }},
    {"temporary",
     [](ExportConfig&, ConfigValue& v) {
         v.refuse_if_true("it makes no files that vanish; export a file that you make");
     }},
    {"timeout",
     [](ExportConfig& e, ConfigValue& v) { e.timeout = std::chrono::seconds(v.number(0, 1'000'000'000)); }},
    {"tlsonly", [](ExportConfig&, ConfigValue& v) { v.refuse_if_true(no_tls); }},
    {"transactionlog",
     [](ExportConfig&, ConfigValue& v) { v.warn_not_supported("it writes no transaction logs"); }},
    {"treefiles",
     [](ExportConfig&, ConfigValue& v) { v.refuse_if_true("only single files and devices are exported"); }},
    {"trim", [](ExportConfig& e, ConfigValue& v) { e.trim = v.boolean(); }},
    {"virtstyle", take_virtstyle},
    {"waitfile", take_waitfile},
    // our own keys
    {"busypoll",
     [](ExportConfig& e, ConfigValue& v) { e.busypoll = std::chrono::microseconds(v.number(0, 1000)); }},
    {"cache", take_cache},
    {"coalesce",
     [](ExportConfig& e, ConfigValue& v) { e.coalesce = std::chrono::microseconds(v.number(0, 1000)); }},
    {"description", take_description},
    {"identity", take_identity},
    {"stalltimeout",
     [](ExportConfig& e, ConfigValue& v) { e.stalltimeout = std::chrono::seconds(v.number(1, 86'400)); }},
};

}  // namespace

std::string_view word_of(CacheMode mode) noexcept {
    switch (mode) {
        case CacheMode::writeback: return "writeback";
        case CacheMode::none: return "none";
        case CacheMode::writethrough: return "writethrough";
        case CacheMode::directsync: break;
    }
    return "directsync";
}

std::span<const GenericKey> generic_keys() { return generic_table; }
std::span<const ExportKey> export_keys() { return export_table; }

}  // namespace holdfast::server
