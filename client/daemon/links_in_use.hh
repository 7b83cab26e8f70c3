// Connections that the kernel uses or may use for the device: the link that this daemon gave to the kernel
// last, and older links of which the daemon has no descriptor. Keeps their names in the live state.
#pragma once

#include "client/daemon/event_loop.hh"
#include "client/daemon/kept_device.hh"
#include "client/daemon/kernel.hh"
#include "client/daemon/older_links.hh"
#include "common/linux/fd.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

class LinksInUse {
public:
    // The arguments must outlive the object.
    LinksInUse(Kernel& kernel, KeptDevice& device, EventLoop& loop, RecordStore& store) noexcept
        : kernel_(kernel), device_(device), loop_(loop), store_(store) {}

    // Opens what is needed to end older links. Before the seal; all functions below may be called after the
    // seal.
    void prepare() { older_.prepare(device_.live.link_socket); }

    // Takes over the link that the kernel uses, or that the previous daemon was not certain of; without a
    // link, any link that the record names may be in use.
    void take(Fd link);
    // Reports the end of the link as an event from now on.
    void watch() noexcept;
    // No further event, even if the link ends.
    void ignore() noexcept;

    // Socket of the link; -1: none. It is shut down, but open, while the daemon waits for the kernel to
    // release it.
    [[nodiscard]] int descriptor() const noexcept { return link_.get(); }
    [[nodiscard]] bool has_socket() const noexcept { return static_cast<bool>(link_); }
    [[nodiscard]] bool is_alive() const noexcept;
    // Older links may be in use, too.
    [[nodiscard]] bool any_older() const noexcept { return older_.any(); }

    // Puts the name of a new link into the live state, before the kernel is given the link; or the name of no
    // link besides the older links.
    void name_new(int socket) noexcept;
    void name_none() noexcept;
    // Replaces the link, which the kernel has released, by the new link.
    void replace(Fd link) noexcept;
    // The kernel has released every older link. `has_link`: the kernel was given the link. Saves the record.
    void forget_older(bool has_link) noexcept;
    // Same for older links that exist no more. No data on a UNIX socket proves that the kernel uses it.
    void forget_vanished(bool has_link) noexcept;

    // Wakes a sender of the kernel that is stuck in the link: then the kernel releases the socket.
    void cut() noexcept;
    // Discards data of a link that the kernel has released.
    void purge() noexcept;
    // Ends the link for good: data still queued in the socket is never sent.
    void let_go() noexcept;
    // Ends all links before DISCONNECT, which would wait for a stuck sender, holding a lock that every nbd
    // device needs. A non-empty result is the reason why a stuck sender cannot be excluded; then the link
    // continues.
    [[nodiscard]] LineText end_all() noexcept;
    // Closes the socket after the kernel has told the server that the link ends: a reset would overtake the
    // notification.
    void close() noexcept;
    // Returns the socket to the caller.
    [[nodiscard]] Fd release() noexcept { return std::move(link_); }

private:
    Kernel& kernel_;
    KeptDevice& device_;
    EventLoop& loop_;
    RecordStore& store_;
    OlderLinks older_;
    Fd link_;
};

}  // namespace holdfast::client
