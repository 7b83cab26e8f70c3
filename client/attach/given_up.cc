// Claims old sessions with INFO: the server fences the session, and no new link begins.

#include "client/attach/given_up.hh"

#include <dirent.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "client/control/record_file.hh"
#include "common/linux/log.hh"
#include "common/linux/text_file.hh"

namespace holdfast::client {
namespace {

// Size of a record with as many servers as an older version accepted.
constexpr std::size_t longest_record = std::size_t{64} << 20;

std::vector<std::string> records_in(const char* folder) {
    std::vector<std::string> paths;
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(folder), &::closedir);
    while (const dirent* entry = stream ? ::readdir(stream.get()) : nullptr)
        if (std::string_view(entry->d_name).ends_with(given_up_suffix))
            paths.push_back(fmt::format("{}/{}", folder, entry->d_name));
    std::ranges::sort(paths);
    return paths;
}

const Target& linked_target(const KnownDevice& known) {
    const bool is_known = known.live.linked_target < known.record.targets.size();
    return known.record.targets[is_known ? known.live.linked_target : known.live.target];
}

bool is_same_disk(const KnownDevice& known, const SessionFacts& session) {
    return known.live.boot_identity == session.boot_identity && !known.live.export_identity.empty() &&
           known.live.export_identity == session.export_identity;
}

// Returns true if the server, with the claim of the new attachment, has fenced every older attachment under
// this device number; the server then rejects claims of an older session.
bool is_fenced(const KnownDevice& known, const Found& found) {
    return found.link.session->host_fenced && known.record.host && found.claim.host &&
           known.record.host->host == found.claim.host->host;
}

// Returns an empty text if the server has fenced the session. INFO ends the claim's own connection.
LineText claim_session(const KnownDevice& known, const Endpoint& endpoint, std::chrono::seconds dead_after) {
    const auto tenths = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch()).count() / 100);
    const nbd::SessionClaim claim{known.record.session, 0, std::max(known.live.generation + 1, tenths), {}};
    const auto link = make_link(
        endpoint,
        nbd::ClientHandshake(nbd::ClientHandshake::Goal::info, linked_target(known).export_name, claim),
        dead_after);
    if (!link) return link.error().text;
    return link->session ? LineText() : LineText("it no longer fences");
}

}  // namespace

std::expected<void, Failure> fence_given_up(const Found& found, std::chrono::seconds dead_after,
                                            const char* folder) {
    if (!found.link.session) return {};
    const Target& target = found.targets[found.target];
    for (const std::string& path : records_in(folder)) {
        const auto text = read_text_file(path, longest_record);
        const auto known = text ? read_known_device(*text) : std::unexpected(std::string("cannot be read"));
        if (!known) {
            log::warning(LineText::of("{}: {}; skipped", path, known.error()));
            continue;
        }
        if (!is_same_disk(*known, *found.link.session)) continue;
        const LineText problem =
            is_fenced(*known, found) ? LineText() : claim_session(*known, target.endpoint, dead_after);
        if (!problem.empty())
            return std::unexpected(Failure{
                ExitCode::refused,
                fmt::format("{} ({}): may still hold writes of /dev/nbd{}, which was given up or "
                            "detached by force, and did not confirm that they are discarded: {}; try again, "
                            "or, if that is impossible, delete {}",
                            target.uri, target.endpoint.text, known->record.index, problem, path)});
        ::unlink(path.c_str());
    }
    return {};
}

}  // namespace holdfast::client
