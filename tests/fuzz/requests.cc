// Any request against any offer: what is served lies inside the export and was offered, what is refused says
// how much of it is still to be read.
#include <array>

#include "common/protocol/transmission.hh"
#include "tests/fuzz/input.hh"

using namespace holdfast::nbd;
using fuzz::check;

namespace {

bool modifies(Command command) {
    return command == Command::write || command == Command::trim || command == Command::write_zeroes;
}

void check_served(const Request& request, const Offer& offer) {
    const auto command = static_cast<Command>(request.command);
    const bool flush = command == Command::flush;
    check(request.command <= static_cast<std::uint16_t>(Command::block_status), "a served command is known");
    check(command != Command::disconnect, "a farewell is not served");
    check(!modifies(command) || (offer.flags & flag_read_only) == 0, "what is read-only is not written");
    check((request.flags & cmd_flag_fua) == 0 || (offer.flags & flag_send_fua) != 0, "FUA was offered");
    if (flush) {
        check((offer.flags & flag_send_flush) != 0, "a flush was offered");
        return;
    }
    __extension__ using Wide = unsigned __int128;
    check(Wide{request.offset} + request.length <= offer.size, "what is served lies inside the export");
    const std::uint32_t minimum = std::max(offer.block_sizes.minimum, 1U);
    check(request.offset % minimum == 0 && request.length % minimum == 0, "what is served is whole blocks");
    if (command == Command::read || command == Command::write)
        check(request.length <= offer.block_sizes.maximum, "a payload is no longer than the maximum");
    if (command == Command::trim) check((offer.flags & flag_send_trim) != 0, "a trim was offered");
    if (command == Command::write_zeroes)
        check((offer.flags & flag_send_write_zeroes) != 0, "zeroes were offered");
    if (command == Command::block_status)
        check(offer.block_status && request.length > 0, "a block status was negotiated, and is of something");
    if (command == Command::cache) check((offer.flags & flag_send_cache) != 0, "a cache was offered");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    Offer offer;
    offer.size = input.number(8);
    offer.flags = static_cast<std::uint16_t>(input.number(2));
    // What a server offers: powers of two, the maximum among them.
    offer.block_sizes.minimum = 1U << input.number(1) % 17;
    offer.block_sizes.maximum = std::max(offer.block_sizes.minimum, 1U << input.number(1) % 26);
    const std::uint64_t bits = input.number(1);
    const bool right_magic = (bits & 1) != 0;
    offer.structured_replies = (bits & 2) != 0;
    offer.block_status = (bits & 4) != 0;

    std::array<std::uint8_t, sizeof(WireRequest)> wire{};
    std::ranges::copy(input.bytes(wire.size()), wire.begin());
    if (right_magic) std::ranges::copy(bytes_of(be32(request_magic)), wire.begin());
    const auto request = decode_request(wire);
    check(request.has_value() == (load<be32>(wire) == request_magic), "the magic number decides");
    if (!request) return 0;
    const WireRequest again = encode_request(*request);
    check(std::ranges::equal(bytes_of(again), wire), "a request is encoded as it was decoded");

    const Judgement judgement = judge(*request, offer);
    const bool write = request->command == static_cast<std::uint16_t>(Command::write);
    switch (judgement.verdict) {
        case Verdict::serve: check_served(*request, offer); break;
        case Verdict::refuse:
            check(judgement.error != ErrorCode::none, "a refusal has an error");
            check(judgement.payload_to_skip == (write ? request->length : 0), "a refused payload is skipped");
            check(judgement.payload_to_skip <= 2 * std::max(largest_payload, offer.block_sizes.maximum),
                  "what is skipped is bounded");
            break;
        case Verdict::disconnect:
            check(write || request->command == static_cast<std::uint16_t>(Command::disconnect),
                  "only a farewell and an endless payload end the connection");
            break;
    }
    return 0;
}
