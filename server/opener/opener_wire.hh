// What the server and its opener (opener.hh) say to each other. Pure: bytes in, bytes out.
// A request is one message of a SOCK_SEQPACKET socket, and comes with one end of a stream socket pair on
// which the answer is given; the answer ends where that is closed. Both sides run the same program on the
// same machine, so integers are the machine's own. Neither side trusts the other's lengths.
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
    find = 1,     // which disk the export is; a file that is missing and may be made is made
    open,         // its descriptor and facts
    look,         // its traits; nothing is taken into use or changed
    authfiles,    // the texts of all authfiles, as they are now
    reload,       // reads the configuration again, answers its texts and keeps what they say for `commit`
    listen,       // the sockets of listener `number`, of the configuration that was read last
    commit,       // from now on the configuration that was read last is in force
    look_around,  // what will refuse clients as things stand
    unlisten,     // removes the UNIX sockets of the listeners, and with `number` 1 every one
};

struct OpenerRequest {
    OpenerCall call{};
    std::uint32_t number = 0;  // gives meaning to `listen` and `unlisten`
    std::string name;          // of the export. Never a path: what that is, the opener's configuration says
    std::string host;          // of the client: its numeric address, or "unix"

    bool operator==(const OpenerRequest&) const = default;
};

inline constexpr std::size_t longest_opener_request = 12 + 4096 + 64;

// `name` and `host` are cut at what a request may hold, which no name of an export and no address exceeds.
[[nodiscard]] std::vector<std::uint8_t> pack(const OpenerRequest& request);
// nullopt for everything that pack() does not make: unknown calls, wrong lengths, a host that is no address
// as inet_ntop(3) writes it. (Of a host a path may be made, so that "../.." is none.)
[[nodiscard]] std::optional<OpenerRequest> unpack_request(std::span<const std::uint8_t> bytes);

void pack(Packer& to, const DiskKey& key);
void pack(Packer& to, const DiskFacts& facts);
void pack(Packer& to, const VolumeTraits& traits);

// nullopt where the bytes are not exactly one value that a sound opener could send.
[[nodiscard]] std::optional<DiskKey> unpack_key(Unpacker& from);
[[nodiscard]] std::optional<DiskFacts> unpack_facts(Unpacker& from);
[[nodiscard]] std::optional<VolumeTraits> unpack_traits(Unpacker& from);

}  // namespace holdfast::server
