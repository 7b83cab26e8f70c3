// The server's configuration: from texts to a Config, or to all the mistakes in them with their places.
// Pure: it reads no file and resolves no name (config_file.hh does the reading), so that every key can be
// tested. The keys and their meaning are nbd-server's (nbd-server(5), 3.24). A key whose silent neglect would
// lose data or protection is an error when it asks for something that we do not do; a harmless one is named
// in a warning.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/protocol/constants.hh"
#include "common/text/ini.hh"

namespace holdfast::server {

inline constexpr std::string_view default_status_socket = "/run/holdfast-server/status.sock";

// A remark about an argument of --export or --listen.
[[nodiscard]] bool is_on_command_line(const Place& place);

// Where to listen: a host and port, or a UNIX socket.
struct Endpoint {
    std::string host;        // empty: all addresses, IPv4 and IPv6
    std::uint16_t port = 0;  // gives meaning to `host`
    std::string unix_path;   // not empty: a UNIX socket, and nothing else counts

    bool operator==(const Endpoint&) const = default;
    auto operator<=>(const Endpoint&) const = default;
};

// "all addresses, port 10809", "192.168.1.1:10809", "[::1]:10809", "unix:/run/nbd.sock".
[[nodiscard]] std::string to_string(const Endpoint& endpoint);

struct Listen {
    Endpoint endpoint;
    Place place;
    bool every_export = false;   // serves all exports by name; otherwise only `default_export`
    std::string default_export;  // what the empty name means here; empty: nothing
};

// "Virtualization": how %s in exportname is replaced by the client's address.
enum class VirtStyle : std::uint8_t { none, ip_literal, ip_hash, cidr_hash };

// qemu's words: whether the page cache is used, and whether every write is on stable storage before its
// reply. Flush and FUA are honoured by all of them.
enum class CacheMode : std::uint8_t {
    writeback,     // the page cache
    none,          // O_DIRECT
    writethrough,  // the page cache, and every write durable
    directsync,    // O_DIRECT, and every write durable
};
[[nodiscard]] std::string_view word_of(CacheMode mode) noexcept;
[[nodiscard]] constexpr CacheMode cache_mode(bool direct, bool durable) noexcept {
    if (direct) return durable ? CacheMode::directsync : CacheMode::none;
    return durable ? CacheMode::writethrough : CacheMode::writeback;
}

struct ExportConfig {
    std::string name;
    Place place;
    std::string path;
    std::string authfile;     // empty: everybody may connect
    std::string identity;     // empty: what disk_identity() says
    std::string description;  // for people who look at a list of exports; empty: none
    bool readonly = false;
    bool flush = true;
    bool fua = true;
    bool trim = true;
    // Empty: `none` for a block device that is written to, otherwise `writeback`. Which of them, the opening
    // of the disk says (VolumeRequest::direct).
    std::optional<CacheMode> cache;
    std::chrono::microseconds busypoll{100};  // how long a quick client is waited for without sleep. 0: never
    std::chrono::microseconds coalesce{50};   // how long a request waits for others. 0: never
    bool sync = false;  // nbd-server's word for writes that are durable, whatever `cache` says
    bool rotational = false;
    std::uint32_t maxconnections = 0;       // 0: no limit
    std::chrono::seconds timeout{0};        // idle for longer: disconnected. 0: never
    std::chrono::seconds stalltimeout{60};  // takes nothing of a reply for longer: disconnected
    std::uint64_t filesize = 0;             // 0: the volume's own
    bool filesize_is_wrong = false;  // a mistake was reported; whether a missing file is made is unknown
    VirtStyle virtstyle = VirtStyle::ip_literal;
    unsigned virt_prefix = 0;                            // gives meaning to cidr_hash
    std::uint16_t port = 0;                              // 0: no port of its own
    std::optional<std::vector<std::string>> listenaddr;  // gives meaning to `port`; none: as [generic] says

    // Whether different clients get different files.
    [[nodiscard]] bool is_virtual() const;
    // Without the page cache. Empty like `cache`.
    [[nodiscard]] std::optional<bool> direct() const {
        if (!cache) return std::nullopt;
        return cache == CacheMode::none || cache == CacheMode::directsync;
    }
    // Every write is answered as if it had asked for FUA. So it must be where no flush is offered: Linux then
    // takes the disk for one without a volatile cache.
    [[nodiscard]] bool durable_writes() const {
        return sync || !flush || cache == CacheMode::writethrough || cache == CacheMode::directsync;
    }
};

struct Config {
    std::string user;
    Place user_place;  // valid only if there is a user
    std::string group;
    Place group_place;  // valid only if there is a group
    bool allowlist = false;
    std::uint32_t maxconnections = 1024;  // all exports together
    // From one IPv4 address or IPv6 /64 network. None: a quarter of maxconnections, and no limit to this
    // machine's own clients, since a program here has 127.0.0.0/8 to come from and a proxy's clients all come
    // from one address.
    std::optional<std::uint32_t> maxperaddress;
    std::uint64_t buffermemory = 256ULL << 20;  // bytes; all connections together, beyond their small pieces
    std::chrono::seconds handshaketimeout{10};
    std::chrono::seconds stoptimeout{30};
    std::string statussocket;             // empty: none
    bool statussocket_is_default = true;  // so that nobody insists on it
    Place statussocket_place;             // gives meaning to one that is not
    bool strict = false;  // a mistake in a file of the includedir keeps the server from starting
    std::vector<Listen> listens;
    std::vector<ExportConfig> exports;  // in the order of the files

    [[nodiscard]] const ExportConfig* find(std::string_view name) const;
};

// Collects texts and then makes a Config of them. Errors and warnings are gathered from all of it.
class ConfigReader {
public:
    // The main file: may have [generic].
    void add_main(std::string_view file, std::string_view text);
    // The includedir of the main file and where it was said; nullopt where there is none.
    struct IncludeDir {
        std::string path;
        Place place;
    };
    [[nodiscard]] const std::optional<IncludeDir>& includedir() const { return includedir_; }
    // A file of the includedir: must not have [generic].
    void add_included(std::string_view file, std::string_view text);
    // An export of the command line: NAME=PATH[,readonly].
    void add_export_argument(std::string_view argument);
    // An address of the command line: ADDR:PORT, [V6]:PORT, unix:PATH. Any of these replaces the addresses of
    // [generic].
    void add_listen_argument(std::string_view argument);
    // For what the caller found wrong, such as a file that cannot be read.
    void add_error(Place place, std::string text);

    // Call once, last. The Config is worth nothing when errors() is not empty.
    [[nodiscard]] Config finish();
    [[nodiscard]] const std::vector<Remark>& errors() const { return errors_; }
    [[nodiscard]] const std::vector<Remark>& warnings() const { return warnings_; }

    // What [generic] says that is not yet what the server wants: finish() makes `Config::listens` of it.
    struct Generic {
        Config config;
        std::vector<std::string> listenaddr;
        Place listenaddr_place;
        std::uint16_t port = nbd::default_port;
        std::string unixsock;
        Place unixsock_place;
        bool duallisten = false;
        std::optional<IncludeDir> includedir;
    };

private:
    void take_generic(const IniSection& section);
    void take_export(const IniSection& section);
    void add_export(ExportConfig made);
    void make_listens();
    void check_cache_modes();
    void check_flush();
    void add_listen(Listen listen);

    Generic generic_;
    std::vector<Listen> listen_arguments_;
    std::string main_file_ = "the configuration";  // until add_main()
    std::optional<Place> generic_place_;
    std::optional<IncludeDir> includedir_;
    std::map<std::string, Place, std::less<>> sections_;
    std::vector<Remark> errors_;
    std::vector<Remark> warnings_;
};

// The file that this client gets: `client` is its numeric address ("unix" for a UNIX socket).
[[nodiscard]] std::string path_for_client(const ExportConfig& config, std::string_view client);

// The known word that is nearest to a misspelt one, or empty where none is near.
[[nodiscard]] std::string_view nearest_word(std::string_view word,
                                            const std::vector<std::string_view>& known);

}  // namespace holdfast::server
