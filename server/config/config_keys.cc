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
    "TLS is not implemented yet, and the data would be sent unencrypted; remove the key to allow that";
constexpr std::string_view no_commands =
    "commands are not run, and the export would be served without the preparations or checks of this one; "
    "remove the key to allow that";

constexpr std::size_t longest_socket_path = 107;

void take_statussocket(Generic& g, ConfigValue& v) {
    g.config.statussocket_is_default = false;
    g.config.statussocket_position = v.position();
    g.config.statussocket.clear();
    if (v.text() == "none") return;
    g.config.statussocket = v.absolute_path();
    if (v.text().size() > longest_socket_path)
        v.error("path longer than 107 bytes, the limit of UNIX sockets");
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
         g.config.group_position = v.position();
     }},
    {"includedir",
     [](Generic& g, ConfigValue& v) {
         if (v.empty()) return;
         std::string path = v.absolute_path();
         if (!v.is_wrong()) g.includedir = {std::move(path), v.position()};
     }},
    {"keyfile", [](Generic&, ConfigValue& v) { v.refuse_if_set(no_tls); }},
    {"listenaddr",
     [](Generic& g, ConfigValue& v) {
         g.listenaddr = v.addresses();
         g.listenaddr_position = v.position();
     }},
    {"max_threads",
     [](Generic&, ConfigValue& v) { v.warn_not_needed("every connection has its own thread"); }},
    {"oldstyle",
     [](Generic&, ConfigValue& v) {
         v.refuse_if_true(
             "the oldstyle handshake is obsolete in every NBD server; give the export a port instead");
     }},
    {"port", [](Generic& g, ConfigValue& v) { g.port = v.port(); }},
    {"strict", [](Generic& g, ConfigValue& v) { g.config.strict = v.boolean(); }},
    {"splice",
     [](Generic&, ConfigValue& v) { v.warn_not_needed("only affects how nbd-server copies data"); }},
    {"tlsonly", [](Generic&, ConfigValue& v) { v.refuse_if_true(no_tls); }},
    {"tlsprio", [](Generic&, ConfigValue& v) { v.refuse_if_set(no_tls); }},
    {"unixsock",
     [](Generic& g, ConfigValue& v) {
         if (v.empty()) return;
         g.unixsock = v.absolute_path();
         g.unixsock_position = v.position();
         if (g.unixsock.size() > longest_socket_path)
             v.error("path longer than 107 bytes, the limit of UNIX sockets");
     }},
    {"user",
     [](Generic& g, ConfigValue& v) {
         g.config.user = v.text();
         g.config.user_position = v.position();
     }},
    // our own keys
    {"bootfilesdir",
     [](Generic& g, ConfigValue& v) {
         std::string path = v.absolute_path();
         if (v.is_wrong()) return;
         g.config.bootfilesdir = std::move(path);
         g.config.bootfilesdir_position = v.position();
     }},
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
    {"provisionsocket",
     [](Generic& g, ConfigValue& v) {
         g.config.provisionsocket = v.absolute_path();
         if (v.text().size() > longest_socket_path)
             v.error("path longer than 107 bytes, the limit of UNIX sockets");
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
        if (!length || *length > 128)
            v.error("cidrhash requires a prefix length from 0 to 128, for example cidrhash 24");
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
            (v.text() == "unsafe" ? "; flushes are always honoured" : ""));
}

void take_identity(ExportConfig& e, ConfigValue& v) {
    if (!v.empty() && !is_identity(v.text()))
        v.error("an identity has at most 255 characters of printable ASCII");
    e.identity = v.text();
}

void take_description(ExportConfig& e, ConfigValue& v) {
    constexpr std::size_t longest = 255;
    if (v.text().size() > longest || !is_printable(v.text()))
        v.error("a description has at most 255 bytes of printable UTF-8");
    e.description = v.text();
}

void take_full(ExportConfig& e, ConfigValue& v) {
    e.wait_if_full = v.text() == "wait";
    if (!e.wait_if_full && v.text() != "error") v.error("\"" + v.text() + "\" is none of: error, wait");
}

void take_waitfile(ExportConfig&, ConfigValue& v) {
    // The man page says string, the program reads a boolean.
    if (v.empty() || v.text() == "false" || v.text() == "no" || v.text() == "0") return;
    v.refuse_if_set(
        "changes are not collected for a later merge, writes go to the volume directly; remove the key");
}

// The keys of created volumes are read together, by a function that holdfast-provision shares
// (common/golden/created_export.hh).
void read_elsewhere(ExportConfig&, ConfigValue&) {}

constexpr ExportKey export_table[] = {
    // keys of nbd-server
    {"authfile",
     [](ExportConfig& e, ConfigValue& v) {
         if (v.empty())
             return v.warning("empty, so every client may connect; name a file, or remove the key");
         e.authfile = v.absolute_path();
     }},
    {"copyonwrite", [](ExportConfig&, ConfigValue& v) { (void)v.boolean(); }},  // and read elsewhere
    {"cowdir",
     [](ExportConfig&, ConfigValue& v) { v.warn_not_needed("copies are snapshots in the volume group"); }},
    {"datalog",
     [](ExportConfig&, ConfigValue& v) { v.warn_not_supported("transaction logs are not written"); }},
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
         v.refuse_if_true(
             "only single files and devices can be exported; join the parts, or put them on LVM");
     }},
    {"port", [](ExportConfig& e, ConfigValue& v) { e.port = v.port(); }},
    {"postrun", [](ExportConfig&, ConfigValue& v) { v.refuse_if_set(no_commands); }},
    {"prerun", [](ExportConfig&, ConfigValue& v) { v.refuse_if_set(no_commands); }},
    {"readonly",
     [](ExportConfig& e, ConfigValue& v) {
         e.readonly = v.boolean();
         e.must_be_writable = !v.is_wrong() && !e.readonly;
     }},
    {"rotational", [](ExportConfig& e, ConfigValue& v) { e.rotational = v.boolean(); }},
    {"sdp",
     [](ExportConfig&, ConfigValue& v) {
         v.refuse_if_true("Linux no longer has the Socket Direct Protocol; remove the key to use TCP");
     }},
    {"sparse_cow",
     [](ExportConfig&, ConfigValue& v) {
         if (v.boolean()) v.warn_not_needed("copies are snapshots, which hold the changes only");
     }},
    {"splice",
     [](ExportConfig&, ConfigValue& v) { v.warn_not_needed("only affects how nbd-server copies data"); }},
    {"sync", [](ExportConfig& e, ConfigValue& v) { e.sync = v.boolean(); }},
    {"temporary",
     [](ExportConfig&, ConfigValue& v) {
         v.refuse_if_true("temporary files are not implemented; create the file and export it");
     }},
    {"timeout",
     [](ExportConfig& e, ConfigValue& v) { e.timeout = std::chrono::seconds(v.number(0, 1'000'000'000)); }},
    {"tlsonly", [](ExportConfig&, ConfigValue& v) { v.refuse_if_true(no_tls); }},
    {"transactionlog",
     [](ExportConfig&, ConfigValue& v) { v.warn_not_supported("transaction logs are not written"); }},
    {"treefiles",
     [](ExportConfig&, ConfigValue& v) {
         v.refuse_if_true(
             "only single files and devices can be exported; copy the tree's content into one file");
     }},
    {"trim", [](ExportConfig& e, ConfigValue& v) { e.trim = v.boolean(); }},
    {"virtstyle", take_virtstyle},
    {"waitfile", take_waitfile},
    // our own keys
    {"bootfiles", [](ExportConfig& e, ConfigValue& v) { e.bootfiles = v.boolean(); }},
    {"bootfilesquota",
     [](ExportConfig& e, ConfigValue& v) { e.bootfilesquota = v.number(1 << 20, 1ULL << 40); }},
    {"busypoll",
     [](ExportConfig& e, ConfigValue& v) { e.busypoll = std::chrono::microseconds(v.number(0, 1000)); }},
    {"cache", take_cache},
    {"coalesce",
     [](ExportConfig& e, ConfigValue& v) { e.coalesce = std::chrono::microseconds(v.number(0, 1000)); }},
    {"copyonwritekeep", read_elsewhere},
    {"create", read_elsewhere},
    {"createclients", read_elsewhere},
    {"createlimit", read_elsewhere},
    {"createmaxsize", read_elsewhere},
    {"description", take_description},
    {"full", take_full},
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
