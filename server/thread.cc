// The stack is address space and not memory: only what is touched of it counts.

#include "server/thread.hh"

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

}  // namespace holdfast::server
