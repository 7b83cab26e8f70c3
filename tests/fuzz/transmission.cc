// The request loop itself: the real transmission, over a socket, with a volume in memory. Whatever a client
// sends after the handshake, it gets one answer to each request that arrived whole, each is well-formed and
// says what can be true, nothing is written beyond the volume's end, and the loop ends with the client's end.
#include "server/connection/transmission.hh"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "tests/fuzz/input.hh"

using namespace holdfast;
using namespace holdfast::nbd;
using namespace holdfast::server;
using fuzz::check;

namespace {

// Longer than any memory that a request gets at once, so that long reads and writes go in pieces.
constexpr std::uint64_t volume_size = 6U << 20;
constexpr std::size_t most_data = 16U << 20;  // what the reads of one input may ask for

// Of all inputs. The volume's threads may stay; what it holds is put right before each.
struct Disk {
    Fd file{::memfd_create("volume", MFD_CLOEXEC)};
    std::shared_ptr<VolumeSlot> slot = std::make_shared<VolumeSlot>();
    OpenerClient opener;
    Shared shared{.opener = opener};

    Disk() {
        DiskFacts facts{.writable = true, .identity = "fuzz", .path = "a volume in memory"};
        check(::ftruncate(file.get(), volume_size) == 0, "the volume can be made");
        Fd first(::dup(file.get()));
        Fd second(::dup(file.get()));
        slot->volume = make_volume({{std::move(first), std::move(second), false}, std::move(facts)});
        slot->jobs = std::make_unique<JobPool>();
        slot->users = 1;
    }
    // Data at its beginning, and then a hole.
    void reset() const {
        const std::vector<std::uint8_t> data(256U << 10, 'd');
        check(::ftruncate(file.get(), 0) == 0 && ::ftruncate(file.get(), volume_size) == 0 &&
                  ::pwrite(file.get(), data.data(), data.size(), 0) == std::ssize(data),
              "the volume can be filled");
    }
    VolumeUse use() const {
        const std::lock_guard lock(slot->mutex);
        ++slot->users;
        return VolumeUse(slot);
    }
};

struct Client {
    std::vector<std::uint8_t> says;
    std::map<std::uint64_t, Request> asked;  // what arrives whole and is to be answered, by its cookie
};

// The bytes as they are, but with cookies that differ, and, with `right_magic`, in sync.
Client make_client(std::span<const std::uint8_t> bytes, bool right_magic, const Offer& offer) {
    Client client{{bytes.begin(), bytes.end()}, {}};
    std::size_t at = 0;
    for (std::size_t data = 0; client.says.size() - at >= sizeof(WireRequest);) {
        const auto wire = std::span(client.says).subspan(at).first<sizeof(WireRequest)>();
        if (right_magic) std::ranges::copy(bytes_of(be32(request_magic)), wire.begin());
        std::optional<Request> request = decode_request(wire);
        if (!request) return client;
        request->cookie = at;
        const WireRequest again = encode_request(*request);
        std::ranges::copy(bytes_of(again), wire.begin());
        const auto command = static_cast<Command>(request->command);
        const bool endless =
            command == Command::write && judge(*request, offer).verdict == Verdict::disconnect;
        if (command == Command::disconnect || endless) return client;
        if (command == Command::read && request->length <= volume_size) data += request->length;
        const std::size_t payload = command == Command::write ? request->length : 0;
        if (data > most_data) break;  // enough of this
        at += sizeof(WireRequest);
        if (client.says.size() - at < payload) return client;
        at += payload;
        client.asked.emplace(request->cookie, *request);
    }
    client.says.resize(at);
    return client;
}

// Reads what the server has said, as a client does.
class Reader {
public:
    Reader(std::span<const std::uint8_t> said, const Client& client, const Offer& offer)
        : said_(said), client_(client), offer_(offer) {}

    void read() {
        while (!said_.empty()) {
            check(said_.size() >= sizeof(WireSimpleReply), "a reply has a whole head");
            if (load<be32>(said_) == structured_reply_magic)
                chunk();
            else
                simple_reply();
        }
        check(answered_ == client_.asked.size(), "every request that came whole is answered");
    }

private:
    struct Progress {
        std::uint64_t length = 0;
        bool over = false;
        bool failed = false;
    };

    const Request& find(std::uint64_t cookie) {
        const auto found = client_.asked.find(cookie);
        check(found != client_.asked.end(), "an answer is to something that was asked");
        check(!progress_[cookie].over, "nothing is answered twice");
        return found->second;
    }

    void end(const Request& request, bool good) {
        progress_[request.cookie].over = true;
        ++answered_;
        const auto command = static_cast<Command>(request.command);
        __extension__ using Wide = unsigned __int128;
        if (command != Command::flush && Wide{request.offset} + request.length > volume_size)
            check(!good, "nothing beyond the end is carried out");
        if (command == Command::write || command == Command::trim || command == Command::write_zeroes)
            check(!good || (offer_.flags & flag_read_only) == 0, "nothing that is read-only is changed");
        check(!good || command <= Command::block_status, "nothing unknown is carried out");
    }

    void simple_reply() {
        const auto reply = decode_simple_reply(said_.first<sizeof(WireSimpleReply)>());
        check(reply.has_value(), "a reply has a magic number");
        said_ = said_.subspan(sizeof(WireSimpleReply));
        const Request& request = find(reply->cookie);
        const bool good = reply->error == ErrorCode::none;
        end(request, good);
        if (request.command != static_cast<std::uint16_t>(Command::read)) return;
        check(!offer_.structured_replies, "a read is answered by chunks to who asked for them");
        if (good) take(request.length);
    }

    void chunk() {
        check(offer_.structured_replies, "chunks are for who asked for them");
        check(said_.size() >= sizeof(WireChunk), "a chunk has a whole head");
        const auto head = load<WireChunk>(said_);
        said_ = said_.subspan(sizeof(WireChunk));
        const Request& request = find(head.cookie);
        const std::span<const std::uint8_t> body = take(head.length);
        Progress& progress = progress_[request.cookie];
        fuzz::Input input(body.data(), body.size());
        switch (static_cast<Chunk>(std::uint16_t{head.type})) {
            case Chunk::none: check(body.empty(), "a chunk of nothing is empty"); break;
            case Chunk::offset_data: {
                check(body.size() > 8, "data have an offset, and there are some");
                part(request, input.number(8), body.size() - 8);
                break;
            }
            case Chunk::offset_hole: {
                check(body.size() == 12, "a hole has an offset and a length");
                const std::uint64_t offset = input.number(8);
                part(request, offset, input.number(4));
                break;
            }
            case Chunk::block_status:
                check(request.command == static_cast<std::uint16_t>(Command::block_status) &&
                          body.size() >= 12 && body.size() % 8 == 4,
                      "extents are for who asked for them, and whole");
                break;
            case Chunk::error:
            case Chunk::error_offset:
                check(body.size() >= 6 && input.number(4) != 0, "an error has a number");
                progress.failed = true;
                break;
            default: check(false, "a chunk has a type");
        }
        if ((head.flags & reply_flag_done) == 0) return;
        const bool read = request.command == static_cast<std::uint16_t>(Command::read);
        if (read && !progress.failed) check(progress.length == request.length, "a read has all of its data");
        end(request, !progress.failed);
    }

    // The parts of a read follow one another.
    void part(const Request& request, std::uint64_t offset, std::uint64_t length) {
        check(request.command == static_cast<std::uint16_t>(Command::read), "data are for reads");
        std::uint64_t& done = progress_[request.cookie].length;
        check(offset == request.offset + done && length <= request.length - done,
              "a part lies within its read");
        done += length;
    }

    std::span<const std::uint8_t> take(std::size_t size) {
        check(size <= said_.size(), "a reply is as long as it says");
        const auto taken = said_.first(size);
        said_ = said_.subspan(size);
        return taken;
    }

    std::span<const std::uint8_t> said_;
    const Client& client_;
    const Offer& offer_;
    std::map<std::uint64_t, Progress> progress_;
    std::size_t answered_ = 0;
};

Offer make_offer(std::uint64_t bits) {
    Offer offer;
    offer.size = volume_size;
    offer.flags = flag_has_flags | flag_send_flush | flag_send_fua | flag_send_trim | flag_send_write_zeroes |
                  flag_send_cache | flag_send_fast_zero;
    if ((bits & 1) != 0) offer.flags |= flag_read_only;
    offer.structured_replies = (bits & 2) != 0;
    if (offer.structured_replies) offer.flags |= flag_send_df;
    offer.block_status = offer.structured_replies && (bits & 4) != 0;
    offer.block_sizes = {(bits & 8) != 0 ? 512U : 1U, 4096, largest_payload};
    return offer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto& disk = *new Disk();
    disk.reset();
    fuzz::Input input(data, size);
    const std::uint64_t bits = input.number(1);
    const Offer offer = make_offer(bits);
    const std::size_t first =
        input.number(2);  // how much of it is there when the server looks for the first time
    const Client client = make_client(input.rest_bytes(), (bits & 16) != 0, offer);

    ExportConfig config;
    config.name = "disk";
    config.timeout = std::chrono::seconds(0);
    auto& shared = const_cast<Shared&>(disk.shared);
    check(shared.counts.enter(config.name, 0), "there is room for a connection");
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "there is a socket");
    const Fd link(ends[1]);
    Fd ours(ends[0]);
    std::vector<std::uint8_t> said;
    {
        const auto send = [&](std::span<const std::uint8_t> bytes) {
            // The server may have hung up.
            while (!bytes.empty()) {
                const ssize_t sent = ::send(link.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
                if (sent < 0) return;
                bytes = bytes.subspan(static_cast<std::size_t>(sent));
            }
        };
        const auto early = std::span(client.says).first(std::min(first, client.says.size()));
        send(early);
        std::thread peer([&] {
            send(std::span(client.says).subspan(early.size()));
            (void)::shutdown(link.get(), SHUT_WR);
            std::vector<std::uint8_t> piece(256U << 10);
            for (ssize_t got = 0; (got = ::read(link.get(), piece.data(), piece.size())) > 0;)
                said.insert(said.end(), piece.begin(), piece.begin() + got);
        });
        {
            Budget budget((bits & 32) != 0 ? 0 : 64U << 20);
            OpenExport opened(
                config, shared, disk.use(),
                {.export_name = config.name, .peer = "fuzz", .cache = {}, .session = {}, .since = {}}, {});
            const std::atomic<Order> order = Order::serve;
            std::atomic<bool> sending = false;
            Transmission transmission(ours.get(), offer, opened, budget.borrower("disk", "fuzz"),
                                      shared.poll_seats, shared.pipes, "fuzz", order, sending);
            // It sleeps only where this machine does.
            while (!transmission.run()) continue;
            check(opened.counters().tally().in_flight <= 1, "at most half a write is left in flight");
        }
        ours.reset();
        peer.join();
    }
    Reader(said, client, offer).read();
    check(::lseek(disk.file.get(), 0, SEEK_END) == static_cast<off_t>(volume_size),
          "the volume keeps its size");
    return 0;
}
