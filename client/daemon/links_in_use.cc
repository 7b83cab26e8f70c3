// Death of a link is detected on its socket, of which the kernel holds one reference and the daemon another:
// the kernel shuts a socket down when it gives the socket up, so every death is visible, even if LINK_DEAD
// was lost.

#include "client/daemon/links_in_use.hh"

#include <errno.h>

#include "client/link/link_health.hh"
#include "common/linux/log.hh"

namespace holdfast::client {

void LinksInUse::take(Fd link) {
    LiveState& live = device_.live;
    link_ = std::move(link);
    if (link_) expect_answers(link_.get(), device_.record.policy.dead_after);
    const SocketName own = link_ ? name_of_socket(link_.get()) : SocketName{};
    if (!link_ && !live.link_up && live.link_socket.empty()) live.link_socket = no_socket;
    // Record of an older version: says only that a link exists.
    if (!link_ && live.link_socket.empty()) live.link_socket = "unknown";
    older_.set(link_ ? without(live.link_socket, own) : live.link_socket);
    live.link_socket = older_.names_with(own);
    if (!older_.any()) return kernel_.give_up_socket_rights();
    if (const auto problem = older_.problem())
        log::warning(LineText::of(
            "{}: connections of the previous daemon cannot be destroyed if that becomes necessary: {}{}",
            device_.name(), problem->text(), problem->code == EINVAL ? "" : "; run `modprobe tcp_diag`"));
}

void LinksInUse::watch() noexcept {
    if (auto watched = loop_.watch(link_.get(), EPOLLRDHUP, tag_link); !watched)
        log::warning(LineText::of("{}: {}", device_.name(), watched.error().text()));
}

void LinksInUse::ignore() noexcept {
    if (link_) loop_.forget(link_.get());
}

bool LinksInUse::is_alive() const noexcept { return link_ && !is_dead(link_.get()); }

void LinksInUse::name_new(int socket) noexcept {
    device_.live.link_socket = older_.names_with(name_of_socket(socket));
}

void LinksInUse::name_none() noexcept { device_.live.link_socket = older_.names_with({}); }

void LinksInUse::replace(Fd link) noexcept {
    end_link(link_);
    link_ = std::move(link);
    // The kernel may have dropped the new socket silently and kept the previous socket; use of the link will
    // tell.
    name_new(link_.get());
}

void LinksInUse::forget_older(bool has_link) noexcept {
    if (!older_.any()) return;
    older_.forget();
    has_link ? name_new(link_.get()) : name_none();
    kernel_.give_up_socket_rights();
    store_.save();
}

void LinksInUse::forget_vanished(bool has_link) noexcept {
    if (older_.have_vanished()) forget_older(has_link);
}

void LinksInUse::cut() noexcept { client::cut(link_.get()); }

void LinksInUse::purge() noexcept {
    if (link_) (void)client::purge(link_.get());
}

void LinksInUse::let_go() noexcept {
    ignore();
    end_link(link_);
    name_none();
}

LineText LinksInUse::end_all() noexcept {
    if (const auto ended = older_.end(); !ended && !kernel_.is_idle())
        return reason_not_to_disconnect(ended.error(), device_.record.index);
    let_go();
    return {};
}

void LinksInUse::close() noexcept {
    ignore();
    link_.reset();
}

}  // namespace holdfast::client
