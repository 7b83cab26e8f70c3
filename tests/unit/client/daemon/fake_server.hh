// An NBD server on loopback, without a thread: answers when the test lets it.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "client/link/endpoint.hh"
#include "common/linux/fd.hh"
#include "common/protocol/server_handshake.hh"

namespace holdfast::client {

class FakeServer final : public nbd::ExportDirectory {
public:
    FakeServer() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
        REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(listener_.get(), 8) == 0);
        socklen_t length = sizeof address;
        REQUIRE(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
        std::memcpy(&target.endpoint.address, &address, sizeof address);
        target.endpoint.length = sizeof address;
        target.endpoint.text = "loopback";
        target.export_name = "export";
        target.uri = "nbd://loopback/export";
        offer.size = 1 << 20;
    }

    // Accepts every waiting connection, and answers what has arrived on all of them.
    void serve() {
        for (;;) {
            Fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
            if (!peer) break;
            peers.push_back(std::move(peer));
            handshakes_.push_back(std::make_unique<nbd::ServerHandshake>(*this));
        }
        for (std::size_t i = 0; i < peers.size(); ++i)
            if (peers[i]) serve(peers[i].get(), *handshakes_[i]);
    }

    std::expected<std::vector<nbd::ListedExport>, nbd::Refusal> list() override { return {}; }
    std::expected<nbd::OfferedExport, nbd::Refusal> look(std::string_view) override {
        ++looks;
        return answer();
    }
    std::expected<nbd::ClaimAnswer, nbd::Refusal> claim(const nbd::SessionRequest& request,
                                                        const std::optional<nbd::HostRequest>&) override {
        generation = request.generation;
        return identity;
    }
    std::expected<nbd::OfferedExport, nbd::Refusal> open(std::string_view) override { return answer(); }

    Target target;
    nbd::Offer offer;
    nbd::ClaimAnswer identity{{}, "disk 1", 0};
    bool refuses = false;
    int looks = 0;                 // number of probes of the export
    std::uint32_t generation = 0;  // of the last claim
    std::vector<Fd> peers;         // in the order of the connections

private:
    std::expected<nbd::OfferedExport, nbd::Refusal> answer() const {
        if (refuses) return std::unexpected(nbd::Refusal{nbd::OptionReply::err_unknown, "not today"});
        return nbd::OfferedExport{offer, {"export", ""}};
    }
    static void serve(int peer, nbd::ServerHandshake& handshake) {
        for (;;) {
            while (!handshake.output().empty()) {
                const ssize_t sent =
                    ::send(peer, handshake.output().data(), handshake.output().size(), MSG_NOSIGNAL);
                if (sent <= 0) return;
                handshake.sent(static_cast<std::size_t>(sent));
            }
            if (handshake.state() != nbd::ServerHandshake::State::running) return;
            std::array<std::uint8_t, 4096> bytes;
            pollfd entry{peer, POLLIN, 0};
            if (::poll(&entry, 1, 20) <= 0) return;
            const ssize_t count = ::recv(peer, bytes.data(), std::min(handshake.wanted(), bytes.size()), 0);
            if (count <= 0) return;
            handshake.receive({bytes.data(), static_cast<std::size_t>(count)});
        }
    }

    Fd listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    std::vector<std::unique_ptr<nbd::ServerHandshake>> handshakes_;
};

}  // namespace holdfast::client
