// Checks everything that can be checked, and rejects in doubt: under a mounted file system, a wrong disk is
// worse than no disk.

#include "client/daemon/offer_verdict.hh"

#include <algorithm>
#include <array>
#include <utility>

#include "client/kernel/block_size.hh"

namespace holdfast::client {
namespace {

// Features that the block layer may use.
constexpr std::array needed_flags{
    std::pair{nbd::flag_send_flush, "flush"},
    std::pair{nbd::flag_send_fua, "fua"},
    std::pair{nbd::flag_send_trim, "trim"},
    std::pair{nbd::flag_send_write_zeroes, "write-zeroes"},
};

// Largest request that the kernel may still resend: lowering its limit now would not split such a request.
// Requests larger than the previous server's maximum were never sent.
std::uint64_t largest_to_come(const LiveState& live) {
    if (live.request_limit == 0) return live.largest_request;
    return std::min(live.largest_request, live.request_limit);
}

LineText flaw_of_offer(const nbd::Offer& offer, const DeviceRecord& record, const LiveState& live) {
    if (offer.size < live.size)
        return LineText::of("the export now has {} bytes, the device needs {}", offer.size, live.size);
    if ((offer.flags & nbd::flag_read_only) != 0 && (record.server_flags & nbd::flag_read_only) == 0)
        return "the export is now read-only, the device is writable";
    if (offer.block_sizes.minimum > record.block_size)
        return LineText::of(
            "the server now accepts no requests under {} bytes, the device's block size is {}",
            offer.block_sizes.minimum, record.block_size);
    if (whole_requests(offer.block_sizes.maximum, record.block_size) < largest_to_come(live))
        return LineText::of(
            "the server now accepts no requests over {} bytes, the device may have some of {} in flight; "
            "raise the server's maximum block size",
            offer.block_sizes.maximum, largest_to_come(live));
    for (const auto& [flag, word] : needed_flags)
        if ((record.server_flags & flag) != 0 && (offer.flags & flag) == 0)
            return LineText::of("the server no longer offers {}, which the device uses", word);
    return {};
}

LineText flaw_of_identity(const std::optional<SessionFacts>& session, const LiveState& live) {
    if (live.export_identity.empty()) return {};  // the disk's identity is not known yet
    if (!session)
        return LineText::of("this server does not identify the export's disk; the device has {}",
                            live.export_identity);
    if (session->export_identity == live.export_identity) return {};
    return LineText::of("another disk: the export is now {}, the device is {}", session->export_identity,
                        live.export_identity);
}

}  // namespace

OfferVerdict judge(const nbd::Offer& offer, const std::optional<SessionFacts>& session,
                   const DeviceRecord& record, const LiveState& live, bool written) {
    OfferVerdict verdict;
    verdict.refusal = flaw_of_identity(session, live);
    if (verdict.refusal.empty()) verdict.refusal = flaw_of_offer(offer, record, live);
    const bool writable = (record.server_flags & nbd::flag_read_only) == 0;
    // Stable writes are a property of the machine with the last link: another machine may lack some of them.
    const bool nothing_to_lose = live.writes_stable && live.target == live.linked_target;
    verdict.cache_lost = writable && written && !nothing_to_lose && session && live.boot_identity &&
                         session->boot_identity != *live.boot_identity;
    return verdict;
}

bool writes_stay_stable(const LiveState& live, const SessionFacts& session) {
    const bool same_boot = live.boot_identity && *live.boot_identity == session.boot_identity;
    return session.writes_stable && (!same_boot || live.writes_stable);
}

bool is_too_early(const std::optional<SessionFacts>& session, const DeviceRecord& record,
                  const LiveState& live, Monotonic now) noexcept {
    const bool writable = (record.server_flags & nbd::flag_read_only) == 0;
    const bool other = session && live.boot_identity && session->boot_identity != *live.boot_identity;
    return writable && other && now < live.elsewhere_after;
}

}  // namespace holdfast::client
