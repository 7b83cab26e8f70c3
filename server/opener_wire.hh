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

#include "server/config_file.hh"
#include "server/volume.hh"

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

enum class OpenerStatus : std::uint8_t {
    done,     // what was asked for follows
    refused,  // a text follows that says why
    absent,   // the same; there is nothing at the path
    busy,     // as many requests as may be are waiting: ask again. A text follows that says for what
};

// Puts values behind each other.
class Packer {
public:
    explicit Packer(OpenerStatus status) { number(static_cast<std::uint8_t>(status)); }
    template <std::unsigned_integral T>
    void number(T value) {
        put(&value, sizeof value);
    }
    void text(std::string_view value);
    [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

private:
    void put(const void* from, std::size_t size);

    std::vector<std::uint8_t> bytes_;
};

// Takes them out again. After the first that is not there, all are zero or empty and complete() is false.
class Unpacker {
public:
    explicit Unpacker(std::span<const std::uint8_t> bytes) : rest_(bytes) {}
    template <std::unsigned_integral T>
    [[nodiscard]] T number() {
        T value = 0;
        take(&value, sizeof value);
        return value;
    }
    [[nodiscard]] bool flag() { return number<std::uint8_t>() != 0; }
    [[nodiscard]] std::string text();
    // Everything that was asked for was there, and nothing is left.
    [[nodiscard]] bool complete() const { return sound_ && rest_.empty(); }
    [[nodiscard]] bool sound() const { return sound_; }

private:
    void take(void* into, std::size_t size);

    std::span<const std::uint8_t> rest_;
    bool sound_ = true;
};

void pack(Packer& to, const DiskKey& key);
void pack(Packer& to, const DiskFacts& facts);
void pack(Packer& to, const VolumeTraits& traits);
void pack(Packer& to, const ConfigTexts& texts);
void pack(Packer& to, const std::vector<Remark>& remarks);

// nullopt where the bytes are not exactly one value that a sound opener could send.
[[nodiscard]] std::optional<DiskKey> unpack_key(Unpacker& from);
[[nodiscard]] std::optional<DiskFacts> unpack_facts(Unpacker& from);
[[nodiscard]] std::optional<VolumeTraits> unpack_traits(Unpacker& from);
[[nodiscard]] std::optional<ConfigTexts> unpack_texts(Unpacker& from);
[[nodiscard]] std::optional<std::vector<Remark>> unpack_remarks(Unpacker& from);

}  // namespace holdfast::server
