// Claims old sessions with INFO: the server fences the session, and no new link begins.

#include "client/attach/given_up.hh"

#include <dirent.h>
#include <errno.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "client/control/record_file.hh"
#include "common/linux/log.hh"
#include "common/linux/pause.hh"
#include "common/linux/text_file.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

// Pause before the second attempt; each further pause is twice as long.
constexpr milliseconds first_pause{250};

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

// Empty text: the server has fenced the session.
struct ClaimResult {
    LineText problem;
    bool is_final = false;  // another attempt would have the same result
};

// INFO ends the claim's own connection.
ClaimResult claim_session(const KnownDevice& known, const Endpoint& endpoint, std::uint32_t attempt,
                          milliseconds patience) {
    const auto tenths = static_cast<std::uint32_t>(
        std::chrono::duration_cast<milliseconds>(Clock::now().time_since_epoch()).count() / 100);
    const nbd::SessionClaim claim{
        known.record.session, 0, std::max(known.live.generation + 1 + attempt, tenths), {}};
    const auto link = make_link(
        endpoint,
        nbd::ClientHandshake(nbd::ClientHandshake::Goal::info, linked_target(known).export_name, claim),
        known.record.policy.dead_after, patience);
    if (!link) return {link.error().text};
    if (!link->session) return {"it no longer fences", true};
    if (!is_same_disk(known, *link->session))
        return {"a different server machine or a restarted one, or a different disk", true};
    return {};
}

// Repeats the claim, with growing pauses, until it succeeds or `patience` is over.
ClaimResult claim_in_time(const KnownDevice& known, const Endpoint& endpoint, milliseconds patience) {
    const auto end = Clock::now() + patience;
    milliseconds pause = first_pause;
    for (std::uint32_t attempt = 0;; ++attempt) {
        const auto left = std::chrono::ceil<milliseconds>(end - Clock::now());
        const ClaimResult result = claim_session(known, endpoint, attempt, std::max(left, first_pause));
        if (result.problem.empty() || result.is_final || Clock::now() + pause >= end) return result;
        pause_for(pause);
        pause *= 2;
    }
}

std::string path_of(std::uint32_t index, const std::string& identifier, const char* folder) {
    DeviceRecord record;
    record.index = index;
    record.identifier = identifier;
    return fmt::format("{}/{}", folder, given_up_name(record));
}

std::expected<KnownDevice, std::string> read_record(const std::string& path) {
    const auto text = read_text_file(path, longest_record);
    return text ? read_known_device(*text) : std::unexpected(std::string("cannot be read"));
}

}  // namespace

std::expected<void, Failure> fence_given_up(const Found& found, milliseconds patience, const char* folder) {
    if (!found.link.session) return {};
    const Target& target = found.targets[found.target];
    // Bounds all records together: the caller has the turn of the disk's writers (second_writer.hh).
    const auto end = Clock::now() + patience;
    for (const std::string& path : records_in(folder)) {
        const auto known = read_record(path);
        if (!known) {
            log::warning(LineText::of("{}: {}; skipped", path, known.error()));
            continue;
        }
        if (!is_same_disk(*known, *found.link.session)) continue;
        const LineText problem =
            is_fenced(*known, found)
                ? LineText()
                : claim_in_time(*known, target.endpoint, std::chrono::ceil<milliseconds>(end - Clock::now()))
                      .problem;
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

bool is_given_up(std::uint32_t index, const std::string& identifier, const char* folder) {
    const std::string path = path_of(index, identifier, folder);
    return ::access(path.c_str(), F_OK) == 0 || errno != ENOENT;
}

std::string fence_released(std::uint32_t index, const std::string& identifier, milliseconds patience,
                           const char* folder) {
    if (!is_given_up(index, identifier, folder)) return {};
    const std::string path = path_of(index, identifier, folder);
    const auto known = read_record(path);
    if (!known)
        return fmt::format(
            "{}: {}, so the server of /dev/nbd{} was not asked to discard the writes that it may still hold; "
            "before the disk is written to, restart that server",
            path, known.error(), index);
    if (known->record.identifier != identifier) return {};
    const Target& target = linked_target(*known);
    const ClaimResult result = claim_in_time(*known, target.endpoint, patience);
    if (result.problem.empty()) {
        ::unlink(path.c_str());
        return {};
    }
    // The next attach skips the record: it sees the same server.
    const char* const remedy =
        result.is_final
            ? "if the machine that had the disk was not restarted, restart its server before the "
              "disk is written to"
            : "the next attach of the disk on this machine makes it do so; before another machine "
              "writes to the disk, restart that server";
    return fmt::format(
        "{} ({}): may still hold writes of /dev/nbd{}, and did not confirm that they are discarded: {}; {}",
        target.uri, target.endpoint.text, index, result.problem, remedy);
}

}  // namespace holdfast::client
