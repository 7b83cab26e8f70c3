// The pipes that connections share: how many there are, and that a refusal of the kernel's does not last.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <chrono>

#include "server/connection/page_pipe.hh"

using namespace holdfast::server;
using namespace std::chrono_literals;

TEST_CASE("pipes: no more than the limit, each used again, with room for the longest read at any offset") {
    PipePool pool(2);
    PipePool::Pipe first = pool.take();
    PipePool::Pipe second = pool.take();
    REQUIRE(first.in);
    REQUIRE(second.in);
    CHECK(::fcntl(first.in.get(), F_GETPIPE_SZ) >= static_cast<int>(PagePipe::most) + 4096);
    CHECK_FALSE(pool.take().in);
    const int number = first.in.get();
    pool.give(std::move(first));
    first = pool.take();
    CHECK(first.in.get() == number);
    CHECK_FALSE(pool.take().in);
    // One that is not empty makes room for a new one.
    pool.drop(std::move(second));
    second = pool.take();
    CHECK(second.in);
    pool.drop(std::move(first));
    pool.drop(std::move(second));
}

TEST_CASE("pipes: one that was refused is asked for again after the pause") {
    PipePool patient(1, 1h);
    PipePool hasty(1, 0ms);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit none{0, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    const bool had = patient.take().in || hasty.take().in;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_FALSE(had);
    CHECK_FALSE(patient.take().in);
    PipePool::Pipe pipe = hasty.take();
    CHECK(pipe.in);
    hasty.drop(std::move(pipe));
}
