// Compares every length with the bytes present before use.
#include "common/protocol/boot_file_option.hh"

#include <algorithm>

#include "common/protocol/wire.hh"

namespace holdfast::nbd {

namespace {

enum class FileCommand : std::uint8_t { begin = 1, piece = 2, end = 3, commit = 4, status = 5 };

// Start of the commands that name an export: the name and the command's own data follow.
struct WireNamed {
    Uuid session;
    be32 name_length;
};

struct WireFile {  // after the name, in `begin`
    Digest sha256;
    be64 size;
};

struct WireState {
    std::uint8_t state;
    be64 offset;
};

using Bytes = std::span<const std::uint8_t>;

std::string_view text_of(Bytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool has_nul(std::string_view text) noexcept { return text.find('\0') != std::string_view::npos; }

struct Named {
    Uuid session;
    std::string_view name;
    Bytes rest;
};

std::optional<Named> decode_named(Bytes data) noexcept {
    if (data.size() < sizeof(WireNamed)) return std::nullopt;
    const auto head = load<WireNamed>(data);
    const Bytes rest = data.subspan(sizeof head);
    const std::uint32_t length = head.name_length;
    if (length > rest.size() || length > longest_string) return std::nullopt;
    const std::string_view name = text_of(rest.first(length));
    if (has_nul(name)) return std::nullopt;
    return Named{head.session, name, rest.subspan(length)};
}

std::optional<BootFileRequest> decode_begin(Bytes data) noexcept {
    const auto named = decode_named(data);
    if (!named || named->rest.size() != sizeof(WireFile)) return std::nullopt;
    const auto file = load<WireFile>(named->rest);
    if (file.size < 1 || file.size > largest_boot_file) return std::nullopt;
    return BootFileBegin{named->session, named->name, file.sha256, file.size};
}

std::optional<BootFileRequest> decode_piece(Bytes data) noexcept {
    if (data.size() <= sizeof(be64) || data.size() > sizeof(be64) + longest_boot_piece) return std::nullopt;
    return BootFilePiece{load<be64>(data), data.subspan(sizeof(be64))};
}

std::optional<BootFileRequest> decode_commit(Bytes data) noexcept {
    const auto named = decode_named(data);
    if (!named || named->rest.empty() || named->rest.size() > longest_boot_manifest) return std::nullopt;
    return BootFileCommit{named->session, named->name, text_of(named->rest)};
}

std::optional<BootFileRequest> decode_status(Bytes data) noexcept {
    const auto named = decode_named(data);
    if (!named || !named->rest.empty()) return std::nullopt;
    return BootFileStatus{named->session, named->name};
}

// Appends the commands to `bytes`.
struct Encoder {
    std::vector<std::uint8_t>& bytes;

    void put(Bytes more) const { bytes.insert(bytes.end(), more.begin(), more.end()); }
    void put(std::string_view text) const {
        put(Bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
    }
    void put(FileCommand command) const { bytes.push_back(static_cast<std::uint8_t>(command)); }
    void put(const Uuid& session, std::string_view name) const {
        put(bytes_of(WireNamed{session, static_cast<std::uint32_t>(name.size())}));
        put(name);
    }

    void operator()(const BootFileBegin& begin) const {
        put(FileCommand::begin);
        put(begin.session, begin.export_name);
        put(bytes_of(WireFile{begin.sha256, begin.size}));
    }
    void operator()(const BootFilePiece& piece) const {
        put(FileCommand::piece);
        put(bytes_of(be64(piece.offset)));
        put(piece.bytes);
    }
    void operator()(const BootFileEnd&) const { put(FileCommand::end); }
    void operator()(const BootFileCommit& commit) const {
        put(FileCommand::commit);
        put(commit.session, commit.export_name);
        put(commit.manifest);
    }
    void operator()(const BootFileStatus& status) const {
        put(FileCommand::status);
        put(status.session, status.export_name);
    }
};

}  // namespace

std::vector<std::uint8_t> encode(const BootFileRequest& request) {
    std::vector<std::uint8_t> bytes;
    std::visit(Encoder{bytes}, request);
    return bytes;
}

std::optional<BootFileRequest> decode_boot_file_request(std::span<const std::uint8_t> data) noexcept {
    if (data.empty()) return std::nullopt;
    const Bytes rest = data.subspan(1);
    switch (static_cast<FileCommand>(data.front())) {
        case FileCommand::begin: return decode_begin(rest);
        case FileCommand::piece: return decode_piece(rest);
        case FileCommand::end:
            return rest.empty() ? std::optional<BootFileRequest>(BootFileEnd{}) : std::nullopt;
        case FileCommand::commit: return decode_commit(rest);
        case FileCommand::status: return decode_status(rest);
    }
    return std::nullopt;
}

std::vector<std::uint8_t> encode(const BootFileState& state) {
    const WireState wire{static_cast<std::uint8_t>(state.complete ? 1 : 0), state.offset};
    const auto bytes = bytes_of(wire);
    return {bytes.begin(), bytes.end()};
}

std::optional<BootFileState> decode_boot_file_state(std::span<const std::uint8_t> data) noexcept {
    if (data.size() != sizeof(WireState)) return std::nullopt;
    const auto wire = load<WireState>(data);
    if (wire.state > 1 || wire.offset > largest_boot_file) return std::nullopt;
    return BootFileState{wire.state == 1, wire.offset};
}

}  // namespace holdfast::nbd
