// A connection to the control socket, and its caller.
#pragma once

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <string_view>

#include "client/control/control_server.hh"
#include "common/linux/fd.hh"

struct ControlPair {
    ControlPair() {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
        connection.socket.reset(ends[0]);
        caller.reset(ends[1]);
    }
    void say(std::string_view text) const {
        REQUIRE(::send(caller.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    }
    holdfast::client::ControlConnection connection;
    holdfast::Fd caller;
};
