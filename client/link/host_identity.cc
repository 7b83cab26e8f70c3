// Skips doubtful names: if two machines shared a name, a server would refuse the second machine.

#include "client/link/host_identity.hh"

#include <dirent.h>
#include <fmt/core.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <vector>

#include "common/linux/text_file.hh"
#include "common/protocol/uuid.hh"
#include "common/text/sha256.hh"
#include "common/text/text.hh"

namespace holdfast::client {
namespace {

// UUIDs shipped by vendors on many boards, as lower case digits.
constexpr std::array<std::string_view, 5> shared_uuids{
    "03000200040005000006000700080009", "00020003000400050006000700080009",
    "030201000504070608090a0b0c0d0e0f", "4c4c454400002010802080c04f202020",
    "12345678123412341234123456789abc"};
// QEMU's default hardware address.
constexpr std::string_view shared_address = "52:54:00:12:34:56";

// Returns the first line of a file; empty if unreadable.
std::string line_of(const std::string& path) {
    const auto text = read_text_file(path, 4096);
    if (!text) return {};
    std::string_view rest = *text;
    return std::string(trimmed(holdfast::take_line(rest)));
}

// Returns 32 lower case digits without dashes; empty if the text is not a UUID.
std::string uuid_digits(const std::string& text) {
    std::string digits;
    for (const char c : text)
        if (c != '-') digits += c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    return nbd::read_uuid(digits) ? digits : std::string{};
}

// Detects placeholders: zeroes, ones, and patterns of a few bytes.
bool is_placeholder(const std::string& digits) {
    constexpr std::size_t fewest_different = 4;
    std::set<std::string> bytes;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) bytes.insert(digits.substr(i, 2));
    return bytes.size() < fewest_different || std::ranges::find(shared_uuids, digits) != shared_uuids.end();
}

// Returns the lowest address of a physical card, not of a bridge, bond or similar; empty if there is none.
std::string lowest_permanent_address(const std::string& folder) {
    std::vector<std::string> addresses;
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(folder.c_str()), &::closedir);
    while (const dirent* entry = stream ? ::readdir(stream.get()) : nullptr) {
        const std::string card = folder + "/" + entry->d_name;
        if (::access((card + "/device").c_str(), F_OK) != 0) continue;
        if (line_of(card + "/type") != "1" || line_of(card + "/addr_assign_type") != "0") continue;
        const std::string address = line_of(card + "/address");
        if (address.find_first_not_of("0:") != std::string::npos && address != shared_address)
            addresses.push_back(address);
    }
    return addresses.empty() ? std::string{} : std::ranges::min(addresses);
}

std::uint64_t nanoseconds_since_boot() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

std::string machine_name(const HostFiles& files) {
    const std::string uuid = uuid_digits(line_of(files.sys + "/class/dmi/id/product_uuid"));
    if (!uuid.empty() && !is_placeholder(uuid)) return "dmi " + uuid;
    if (const std::string address = lowest_permanent_address(files.sys + "/class/net"); !address.empty())
        return "mac " + address;
    const std::string id = uuid_digits(line_of(files.machine_id));
    return id.empty() || is_placeholder(id) ? std::string{} : "machine-id " + id;
}

std::optional<nbd::HostRequest> new_attachment(std::uint32_t index, const HostFiles& files) {
    const std::string name = machine_name(files);
    const auto boot = nbd::read_uuid(uuid_digits(line_of(files.boot_id)));
    if (name.empty() || !boot) return std::nullopt;
    const auto digest = sha256(fmt::format("holdfast host 1\n{}\nnbd{}\n", name, index));
    nbd::HostRequest host;
    std::copy_n(digest.begin(), host.host.size(), host.host.begin());
    host.boot = *boot;
    host.attachment = nanoseconds_since_boot();
    return host;
}

}  // namespace holdfast::client
