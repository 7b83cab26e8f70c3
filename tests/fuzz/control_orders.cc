// The daemon's end of its control socket, with bytes that come in any pieces.
#include "client/control/control_server.hh"
#include "client/control/orders.hh"

#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/input.hh"

using namespace holdfast;
using namespace holdfast::client;
using fuzz::check;
using Outcome = ControlConnection::Outcome;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    int pair[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "there is a socket");
    const Fd caller(pair[0]);
    ControlConnection connection;
    connection.socket.reset(pair[1]);
    std::string sent;
    std::optional<Order> order;
    for (Outcome outcome = Outcome::more; outcome == Outcome::more;) {
        const auto piece = input.bytes(input.number(1) % 64 + 1);
        if (piece.empty()) break;
        check(::send(caller.get(), piece.data(), piece.size(), MSG_NOSIGNAL) ==
                  static_cast<ssize_t>(piece.size()),
              "a piece fits into the socket");
        sent.append(piece.begin(), piece.end());
        outcome = connection.receive(order);
        check(connection.length <= longest_order, "an order is bounded");
        check((outcome == Outcome::order) == order.has_value(), "an order comes with its outcome");
        const bool whole = sent.substr(0, longest_order).find('\n') != std::string::npos;
        if (order) check(sent.starts_with(word_of(*order) + std::string("\n")), "an order is the whole line");
        check(outcome != Outcome::more || !whole, "a whole line is not waited for");
        check(outcome != Outcome::more || sent.size() < longest_order, "an endless line is not waited for");
    }
    return 0;
}
