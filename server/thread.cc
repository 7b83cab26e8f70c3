// The stack is address space and not memory: only what is touched of it counts.

#include "server/thread.hh"

#include <sys/mman.h>

#include <cstdint>
#include <memory>

namespace holdfast::server {
namespace {

// The sanitizers make more of it than the code does.
constexpr std::size_t stack_size = 512U << 10;

// Address of the first frame; 0 in a thread that start_thread() has not started.
thread_local std::uintptr_t first_frame = 0;

struct Beginning {
    void* (*main)(void*);
    void* argument;
};

void* run_thread(void* given) {
    const Beginning begin = *std::unique_ptr<Beginning>(static_cast<Beginning*>(given));
    first_frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    return begin.main(begin.argument);
}

}  // namespace

namespace {

Result<pthread_t> start(void* (*main)(void*), void* argument, int detach_state) {
    pthread_attr_t attributes;
    int error = ::pthread_attr_init(&attributes);
    if (error != 0) return std::unexpected(SysError{error, "pthread_attr_init"});
    (void)::pthread_attr_setstacksize(&attributes, stack_size);
    (void)::pthread_attr_setdetachstate(&attributes, detach_state);
    pthread_t thread{};
    auto beginning = std::make_unique<Beginning>(Beginning{main, argument});
    error = ::pthread_create(&thread, &attributes, run_thread, beginning.get());
    (void)::pthread_attr_destroy(&attributes);
    if (error != 0) return std::unexpected(SysError{error, "pthread_create"});
    (void)beginning.release();  // the thread frees it
    return thread;
}

}  // namespace

Result<pthread_t> start_thread(void* (*main)(void*), void* argument) {
    return start(main, argument, PTHREAD_CREATE_JOINABLE);
}

Result<void> start_detached_thread(void* (*main)(void*), void* argument) {
    const Result<pthread_t> thread = start(main, argument, PTHREAD_CREATE_DETACHED);
    if (!thread) return std::unexpected(thread.error());
    return {};
}

// pthread_getattr_np(3) would tell the lowest address, but asks for the thread's processors, too
// (sched_getaffinity), which neither the filter of system calls nor the SELinux policy allows. Half the stack
// below the first frame is surely the thread's own: above that frame is little more than its local storage.
void release_unused_stack() noexcept {
    if (first_frame == 0) return;
    constexpr std::uintptr_t page = 4096;
    constexpr std::uintptr_t in_use = 1024;  // this frame, and those of what it calls
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    const std::uintptr_t from = (first_frame - stack_size / 2) & ~(page - 1);
    const std::uintptr_t to = (here - in_use) & ~(page - 1);
    if (to > from) (void)::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

}  // namespace holdfast::server
