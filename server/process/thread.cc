// A stack is address space, not memory: only touched pages count.

#include "server/process/thread.hh"

#include <link.h>
#include <sys/mman.h>

#include <cstdint>
#include <memory>

namespace holdfast::server {
namespace {

// Space for the frames, enough for the larger frames of the sanitizers.
constexpr std::size_t stack_size = 512U << 10;

// Address of the first frame; 0 in a thread not started by start_thread().
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

int add_local_storage(dl_phdr_info* object, std::size_t /*size*/, void* sum) {
    for (const ElfW(Phdr)* header = object->dlpi_phdr; header != object->dlpi_phdr + object->dlpi_phnum;
         ++header)
        if (header->p_type == PT_TLS) *static_cast<std::size_t*>(sum) += header->p_memsz + header->p_align;
    return 0;
}

// glibc places thread-local storage on the thread's stack, and the thread sanitizer has 770 KiB of it: this
// size is added, so that the frames keep their space.
std::size_t local_storage() {
    static const std::size_t size = [] {
        std::size_t sum = 0;
        (void)::dl_iterate_phdr(add_local_storage, &sum);
        return sum;
    }();
    return size;
}

Result<pthread_t> start(void* (*main)(void*), void* argument, int detach_state) {
    pthread_attr_t attributes;
    int error = ::pthread_attr_init(&attributes);
    if (error != 0) return std::unexpected(SysError{error, "pthread_attr_init"});
    (void)::pthread_attr_setstacksize(&attributes, stack_size + local_storage());
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

// pthread_getattr_np(3) could report the lowest address, but also asks for the thread's processors
// (sched_getaffinity), which neither the system call filter nor the SELinux policy allows. Half of
// `stack_size` below the first frame surely belongs to the thread: above that frame is little more than its
// local storage, which start() has added. Below the stack may be the next thread's local storage.
void release_unused_stack() noexcept {
    if (first_frame == 0) return;
    constexpr std::uintptr_t page = 4096;
    constexpr std::uintptr_t in_use = 1024;  // this frame, and the frames of its callees
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    const std::uintptr_t from = (first_frame - stack_size / 2) & ~(page - 1);
    const std::uintptr_t to = (here - in_use) & ~(page - 1);
    if (to > from) (void)::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

}  // namespace holdfast::server
