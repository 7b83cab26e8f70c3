// The stack is address space and not memory: only what is touched of it counts.

#include "server/thread.hh"

#include <sys/mman.h>

#include <cstdint>

namespace holdfast::server {

// The sanitizers make more of it than the code does.
constexpr std::size_t stack_size = 512U << 10;

Result<pthread_t> start_thread(void* (*main)(void*), void* argument) {
    pthread_attr_t attributes;
    int error = ::pthread_attr_init(&attributes);
    if (error != 0) return std::unexpected(SysError{error, "pthread_attr_init"});
    (void)::pthread_attr_setstacksize(&attributes, stack_size);
    pthread_t thread{};
    error = ::pthread_create(&thread, &attributes, main, argument);
    (void)::pthread_attr_destroy(&attributes);
    if (error != 0) return std::unexpected(SysError{error, "pthread_create"});
    return thread;
}

void release_unused_stack() noexcept {
    pthread_attr_t attributes;
    if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return;
    void* lowest = nullptr;
    std::size_t size = 0;
    (void)::pthread_attr_getstack(&attributes, &lowest, &size);
    (void)::pthread_attr_destroy(&attributes);
    constexpr std::uintptr_t page = 4096;
    constexpr std::uintptr_t in_use = 1024;  // this frame, and those of what it calls
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    const auto from = reinterpret_cast<std::uintptr_t>(lowest);
    const std::uintptr_t to = (here - in_use) & ~(page - 1);
    if (to > from) (void)::madvise(lowest, to - from, MADV_DONTNEED);
}

}  // namespace holdfast::server
