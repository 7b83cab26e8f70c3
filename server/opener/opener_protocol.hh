// Protocol between the server and its opener (opener.hh). Pure: bytes in, bytes out.
// A request is a message of a SOCK_SEQPACKET socket, and carries an end of a stream socket pair for the
// answer; the answer ends when that end is closed. Both sides run the same program on the same machine, so
// integers are in native format. Neither side trusts the other's lengths.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/process/packing.hh"
#include "server/volume/volume.hh"

namespace holdfast::server {

enum class OpenerCall : std::uint8_t {
    find = 1,     // the export's disk; creates a missing file where permitted
    open,         // descriptor and facts of the export's disk
    look,         // traits of the export's disk; claims and changes nothing
    authfiles,    // present texts of all authfiles
    reload,       // reads the configuration again, answers its texts and keeps the result for `commit`
    listen,       // sockets of listener `number` of the configuration that was read last
    commit,       // puts the configuration that was read last in force
    look_around,  // present causes of refusals
    unlisten,     // removes the listeners' UNIX sockets; with `number` 1, all UNIX sockets
    boot_begin,   // a boot file's state, and a descriptor to write to unless it is complete (boot_spool.hh)
    boot_end,     // checks a complete boot file, and gives it its name
    boot_drop,    // removes an incomplete boot file
    boot_commit,  // replaces the manifest of the export's boot files
    boot_status,  // text about the published boot files
    end_session,  // has the volume of a session that is over removed
};
[[nodiscard]] constexpr bool is_of_boot_files(OpenerCall call) noexcept {
    return call >= OpenerCall::boot_begin && call <= OpenerCall::boot_status;
}

struct OpenerRequest {
    OpenerCall call{};
    std::uint32_t number = 0;  // valid only for `listen` and `unlisten`
    std::string name;  // name of the export. Never a path: the path comes from the opener's configuration
    std::string host;  // numeric address of the client, or "unix"
    // For boot files: see boot_spool.hh. For disks: word of the client's session (HostKind::session), or
    // empty.
    std::string data{};

    bool operator==(const OpenerRequest&) const = default;
};

inline constexpr std::size_t longest_opener_request = 12 + 4096 + 64 + 4096;

// Truncates `name`, `host` and `data` to the limits of a request, which no name of an export and no address
// exceeds.
[[nodiscard]] std::vector<std::uint8_t> pack(const OpenerRequest& request);
// Returns nullopt for bytes that pack() does not make: unknown calls, wrong lengths, a host that is no
// address as inet_ntop(3) writes it. (A path may be made of the host, so "../.." is rejected.)
[[nodiscard]] std::optional<OpenerRequest> unpack_request(std::span<const std::uint8_t> bytes);

void pack(Packer& to, const DiskKey& key);
void pack(Packer& to, const DiskFacts& facts);
void pack(Packer& to, const VolumeTraits& traits);

// Return nullopt unless the bytes are exactly one value that a sound opener could send.
[[nodiscard]] std::optional<DiskKey> unpack_key(Unpacker& from);
[[nodiscard]] std::optional<DiskFacts> unpack_facts(Unpacker& from);
[[nodiscard]] std::optional<VolumeTraits> unpack_traits(Unpacker& from);

}  // namespace holdfast::server
