// Combines the acknowledgement of the client's kernel with the client's next request.

#include "server/connection/loss_delivery.hh"

#include <linux/sockios.h>
#include <sys/ioctl.h>

namespace holdfast::server {
namespace {

// Whether the peer's kernel has acknowledged everything; never true after the link is lost.
bool all_received(int socket) {
    int left = 0;
    return ::ioctl(socket, SIOCOUTQ, &left) == 0 && left == 0;
}

}  // namespace

// An acknowledgement comes from the client's kernel, even for a reply that the client never reads because it
// drops the connection. A client that sends another flush or a disconnect has read the result of the previous
// flush, unless the request was sent before the reply arrived. Such an early request is recognized only if it
// arrived before the reply was acknowledged: a client with a single flush in flight always gets the report.
void LossDelivery::settle() {
    if (!writer_.awaits_delivery() || !heard_out_ || !all_received(socket_)) return;
    writer_.delivered();
}

}  // namespace holdfast::server
