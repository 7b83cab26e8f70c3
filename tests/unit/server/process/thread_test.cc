// Threads of the server: what a thread has touched of its stack goes back to the system when it says so.
#include "server/process/thread.hh"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

using namespace holdfast::server;

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t depth = 128 * 1024;

struct Seen {
    std::size_t before = 0;  // pages of the frames that have returned, in memory
    std::size_t after = 0;
};

std::size_t pages_in_memory(std::uintptr_t from) {
    std::array<unsigned char, depth / page> pages{};
    if (::mincore(reinterpret_cast<void*>(from), depth, pages.data()) != 0) return 0;
    std::size_t count = 0;
    for (const unsigned char one : pages) count += one & 1U;
    return count;
}

[[gnu::noinline]] void reach_down() {
    std::array<char, depth + 64 * 1024> room;
    std::memset(room.data(), 1, room.size());
    asm volatile("" : : "r"(room.data()) : "memory");
}

void* touch_and_release(void* result) {
    auto& seen = *static_cast<Seen*>(result);
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    const std::uintptr_t from = (here - depth - 32 * 1024) & ~(page - 1);
    reach_down();
    seen.before = pages_in_memory(from);
    release_unused_stack();
    seen.after = pages_in_memory(from);
    return nullptr;
}

// As a sanitizer's runtime has them.
thread_local std::array<char, 400 * 1024> much_local_storage;

void* measure_room(void* result) {
    asm volatile("" : : "r"(much_local_storage.data()) : "memory");
    pthread_attr_t attributes;
    if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return nullptr;
    void* lowest = nullptr;
    std::size_t size = 0;
    (void)::pthread_attr_getstack(&attributes, &lowest, &size);
    (void)::pthread_attr_destroy(&attributes);
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    *static_cast<std::size_t*>(result) = here - reinterpret_cast<std::uintptr_t>(lowest);
    return nullptr;
}

}  // namespace

// release_unused_stack() releases down to half of it; below the stack, another thread has its own.
TEST_CASE("a thread has its room on the stack beside its local storage") {
    std::size_t room = 0;
    const auto thread = start_thread(measure_room, &room);
    REQUIRE(thread);
    REQUIRE(::pthread_join(*thread, nullptr) == 0);
    CHECK(room >= 480 * 1024);
}

TEST_CASE("a thread gives back what it has touched of its stack") {
    Seen seen;
    const auto thread = start_thread(touch_and_release, &seen);
    REQUIRE(thread);
    REQUIRE(::pthread_join(*thread, nullptr) == 0);
    CHECK(seen.before == depth / page);
    CHECK(seen.after == 0);
}

TEST_CASE("a thread that start_thread() has not started keeps its stack") {
    Seen seen;
    touch_and_release(&seen);
    CHECK(seen.before == depth / page);
    CHECK(seen.after == depth / page);
}
