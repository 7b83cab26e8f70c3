// Tracks whether a client has received the error of a flush that reported lost writes. They are then not
// reported again, also not on the client's next connection.
#pragma once

#include "common/protocol/transmission.hh"
#include "server/volume/lost_writes.hh"

namespace holdfast::server {

class LossDelivery {
public:
    // `writer` must outlive this object.
    LossDelivery(int socket, const Writer& writer) : socket_(socket), writer_(writer) {}

    // Call before a request is started: marks the losses as reported, if the request proves that the client
    // has read the error.
    void on_request(const nbd::Request& request) {
        const auto command = static_cast<nbd::Command>(request.command);
        if (command == nbd::Command::flush || command == nbd::Command::disconnect) settle();
    }
    // The error of a flush is about to be sent.
    void on_failed_flush() { heard_out_ = false; }
    // Whether note() is useful now.
    [[nodiscard]] bool wants_note() const { return !heard_out_ && writer_.awaits_delivery(); }
    // Call before the reply is sent, or later, before any wait. `none_left`: every byte that the client has
    // sent belongs to a started request, so a request that arrives from now on counts as sent after the
    // reply.
    void note(bool none_left) { heard_out_ = none_left; }

private:
    void settle();

    int socket_;
    const Writer& writer_;
    bool heard_out_ = false;  // every request sent before the flush reported lost writes has been started
};

}  // namespace holdfast::server
