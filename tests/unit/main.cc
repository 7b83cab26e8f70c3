// The unit tests' main program. The tests use no network but loopback, and wait for events, not for times.
// Some need root, for networks, mounts and the ending of connections; most of these are skipped without it.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "common/linux/log.hh"

int main(int argc, char** argv) {
    // What goes wrong in a test is meant to, and no news.
    holdfast::log::open("unit-tests", holdfast::log::Sink::terminal, holdfast::log::Level{2});
    return doctest::Context(argc, argv).run();
}
