// The server's configuration: parses texts into a Config, or into all their mistakes with their positions.
// Pure: reads no file and resolves no name (config_file.hh reads the files), so that every key can be tested.
// The keys and their meaning are nbd-server's (nbd-server(5), 3.24). A key that asks for an unsupported
// feature is an error if ignoring the key could lose data or protection; otherwise a warning names the key.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/golden/created_export.hh"
#include "common/golden/provision_protocol.hh"
#include "common/protocol/constants.hh"
#include "common/text/ini.hh"

namespace holdfast::server {

inline constexpr std::string_view default_status_socket = "/run/holdfast-server/status.sock";
inline constexpr std::string_view default_boot_folder = "/var/spool/holdfast-server";

// Whether the position is an argument of --export or --listen.
[[nodiscard]] bool is_on_command_line(const FilePosition& position);

// Address to listen on: host and port, or a UNIX socket.
struct Endpoint {
    std::string host;        // empty: all addresses, IPv4 and IPv6
    std::uint16_t port = 0;  // valid only with `host`
    std::string unix_path;   // not empty: a UNIX socket; the other members are ignored

    bool operator==(const Endpoint&) const = default;
    auto operator<=>(const Endpoint&) const = default;
};

// Formats as "all addresses, port 10809", "192.168.1.1:10809", "[::1]:10809", "unix:/run/nbd.sock".
[[nodiscard]] std::string to_string(const Endpoint& endpoint);

struct Listen {
    Endpoint endpoint;
    FilePosition position;
    bool every_export = false;   // serves all exports by name; otherwise only `default_export`
    std::string default_export;  // export that the empty name selects here; empty: none
};

// "Virtualization": how %s in exportname is replaced by the client's address.
enum class VirtStyle : std::uint8_t { none, ip_literal, ip_hash, cidr_hash };

// Cache modes, named as in qemu: whether the page cache is used, and whether every write is on stable storage
// before its reply. All modes honour flush and FUA.
enum class CacheMode : std::uint8_t {
    writeback,     // page cache
    none,          // O_DIRECT
    writethrough,  // page cache, every write durable
    directsync,    // O_DIRECT, every write durable
};
[[nodiscard]] std::string_view word_of(CacheMode mode) noexcept;
[[nodiscard]] constexpr CacheMode cache_mode(bool direct, bool durable) noexcept {
    if (direct) return durable ? CacheMode::directsync : CacheMode::none;
    return durable ? CacheMode::writethrough : CacheMode::writeback;
}

struct ExportConfig {
    std::string name;
    FilePosition position;
    std::string path;
    std::string authfile;     // empty: every client may connect
    std::string identity;     // empty: the result of disk_identity()
    std::string description;  // shown in lists of exports; empty: none
    bool readonly = false;
    bool must_be_writable = false;  // `readonly = false` was written: never offered read-only
    bool flush = true;
    bool fua = true;
    bool trim = true;
    // Empty: `none` for a writable block device with 512-byte blocks, otherwise `writeback`; decided when the
    // disk is opened (VolumeRequest::direct).
    std::optional<CacheMode> cache;
    std::chrono::microseconds busypoll{100};  // longest busy poll for a quick client's next request. 0: never
    std::chrono::microseconds coalesce{50};   // longest wait of a request for others to join. 0: never
    bool sync = false;                        // nbd-server's key for durable writes, whatever `cache` is
    bool rotational = false;
    std::uint32_t maxconnections = 0;       // 0: no limit
    std::chrono::seconds timeout{0};        // an idle client is disconnected after this. 0: never
    std::chrono::seconds stalltimeout{60};  // a client that accepts no byte for longer is disconnected
    bool wait_if_full = false;   // a write that finds no room on the disk waits, instead of failing
    std::uint64_t filesize = 0;  // 0: the volume's own size
    bool bootfiles = false;      // hosts may hand in kernel and initramfs (boot_file_option.hh)
    std::uint64_t bootfilesquota = 1ULL << 30;  // bytes that these files may take
    bool filesize_is_wrong = false;  // a mistake was reported; unknown whether a missing file is created
    VirtStyle virtstyle = VirtStyle::ip_literal;
    unsigned virt_prefix = 0;              // valid only for cidr_hash
    std::optional<CreatedExport> created;  // the volumes are created for the hosts
    std::string host_word{};  // word of the volume's name; see export_for() and export_of_session()
    std::uint16_t port = 0;   // 0: no port of its own
    std::optional<std::vector<std::string>> listenaddr;  // valid only with `port`; nullopt: as in [generic]

    // Whether the section stands for the exports of many hosts, which their clients name.
    [[nodiscard]] bool by_name() const { return created && created->by_name(); }
    // Whether each session of a client has a volume of its own (copyonwrite). `path` is then the volume that
    // all sessions begin with, and `host_word` that of the session; see export_of_session().
    [[nodiscard]] bool by_session() const { return created && created->by_session(); }
    // Whether different clients get different files.
    [[nodiscard]] bool is_virtual() const;
    // Whether the page cache is bypassed. Empty if `cache` is empty.
    [[nodiscard]] std::optional<bool> direct() const {
        if (!cache) return std::nullopt;
        return cache == CacheMode::none || cache == CacheMode::directsync;
    }
    // Whether every write is handled as if the request had FUA. Required if flush is not offered, because
    // Linux then assumes a disk without a volatile cache.
    [[nodiscard]] bool durable_writes() const {
        return sync || !flush || cache == CacheMode::writethrough || cache == CacheMode::directsync;
    }
};

struct Config {
    std::string user;
    FilePosition user_position;  // valid only if there is a user
    std::string group;
    FilePosition group_position;  // valid only if there is a group
    bool allowlist = false;
    std::uint32_t maxconnections = 1024;  // over all exports
    // Limit of connections from an IPv4 address or an IPv6 /64 network. Empty: a quarter of maxconnections,
    // and no limit for this machine's own clients, since a local program can use all of 127.0.0.0/8, and all
    // clients of a local proxy share its address.
    std::optional<std::uint32_t> maxperaddress;
    std::uint64_t buffermemory = 256ULL << 20;  // bytes; for all connections, beyond their small pieces
    std::chrono::seconds handshaketimeout{10};
    std::chrono::seconds stoptimeout{30};
    std::string statussocket;                       // empty: none
    bool statussocket_is_default = true;            // true: a failure to open the socket is not an error
    FilePosition statussocket_position;             // valid only if statussocket is not the default
    std::string bootfilesdir{default_boot_folder};  // folder with a folder for each export with boot files
    FilePosition bootfilesdir_position;             // valid only if bootfilesdir is not the default
    std::string provisionsocket{default_provision_socket};  // socket of holdfast-provision
    bool strict = false;  // a mistake in a file of the includedir keeps the server from starting
    std::vector<Listen> listens;
    std::vector<ExportConfig> exports;  // in the order of the files
    // Sections of files that a start has left out. A section by_name() does not stand in for them, since its
    // authfile admits others.
    std::set<std::string, std::less<>> left_out;
    bool left_out_unknown = false;  // ... whose names are not known: no section by_name() serves anything

    // The section that serves the export of this name: the section of this name, in any spelling of a MAC
    // address, or the section by_name() that the name matches.
    [[nodiscard]] const ExportConfig* find(std::string_view name) const;
    // The export of this name. Of a section by_name() that is a copy, with the name and the word of the host.
    [[nodiscard]] std::optional<ExportConfig> export_for(std::string_view name) const;
};

// Collects texts, then makes a Config of them. Errors and warnings of all texts are gathered.
class ConfigReader {
public:
    // Adds the main file, which may have [generic].
    void add_main(std::string_view file, std::string_view text);
    // The includedir of the main file, and the position of its key; nullopt if there is none.
    struct IncludeDir {
        std::string path;
        FilePosition position;
    };
    [[nodiscard]] const std::optional<IncludeDir>& includedir() const { return includedir_; }
    // Adds a file of the includedir, which must not have [generic].
    void add_included(std::string_view file, std::string_view text);
    // Adds an export of the command line: NAME=PATH[,readonly].
    void add_export_argument(std::string_view argument);
    // Adds an address of the command line: ADDR:PORT, [V6]:PORT, unix:PATH. Any such address replaces the
    // addresses of [generic].
    void add_listen_argument(std::string_view argument);
    // Adds an error that the caller found, such as an unreadable file.
    void add_error(FilePosition position, std::string text);

    // Call once, last. The Config is invalid unless errors() is empty.
    [[nodiscard]] Config finish();
    [[nodiscard]] const std::vector<Remark>& errors() const { return errors_; }
    [[nodiscard]] const std::vector<Remark>& warnings() const { return warnings_; }

    // Values of [generic]; finish() turns the listening addresses among them into `Config::listens`.
    struct Generic {
        Config config;
        std::vector<std::string> listenaddr;
        FilePosition listenaddr_position;
        std::uint16_t port = nbd::default_port;
        std::string unixsock;
        FilePosition unixsock_position;
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
    void check_boot_files();
    void check_created();
    void add_listen(Listen listen);

    Generic generic_;
    std::vector<Listen> listen_arguments_;
    std::string main_file_ = "the configuration";  // until add_main()
    std::optional<FilePosition> generic_position_;
    std::optional<IncludeDir> includedir_;
    std::map<std::string, FilePosition, std::less<>> sections_;
    std::vector<Remark> errors_;
    std::vector<Remark> warnings_;
};

// Returns the export of a host; nullopt: the section is not by_name(), or the name does not match it.
[[nodiscard]] std::optional<ExportConfig> export_of_host(const ExportConfig& section, std::string_view name);

// Returns the export with the volume of a session; nullopt: the export is not by_session(), or the word is
// none of HostKind::session.
[[nodiscard]] std::optional<ExportConfig> export_of_session(const ExportConfig& config,
                                                            std::string_view word);

// Returns the path of this client's file. `client` is the numeric address ("unix" for a UNIX socket).
[[nodiscard]] std::string path_for_client(const ExportConfig& config, std::string_view client);

// Returns the known word nearest to a misspelt word; empty if none is near.
[[nodiscard]] std::string_view nearest_word(std::string_view word,
                                            const std::vector<std::string_view>& known);

}  // namespace holdfast::server
