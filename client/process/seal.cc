// Checks the seal by replacing functions of the C library, which its other parts call by these names, too.
// Opening below a directory descriptor (/sys, /run) is allowed; opening a path from "/" or from the working
// directory is not.

#include "client/process/seal.hh"

#ifdef HOLDFAST_SEAL_CHECK

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "common/linux/log.hh"

extern "C" {
extern const char __executable_start;
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
}

namespace {

bool sealed = false;

void check(const char* what, const char* detail, const void* from) {
    if (!sealed) return;
    sealed = false;  // disables the check for the report below
    char line[256];
    const auto offset = static_cast<long>(static_cast<const char*>(from) - &__executable_start);
    snprintf(line, sizeof line, "%s after the seal (%s), called from %#lx of the program", what, detail,
             offset);
    holdfast::log::error(line);
    raise(SIGABRT);
    _exit(134);
}

void check_path(const char* what, int directory, const char* path, const void* from) {
    if (directory == AT_FDCWD || path[0] == '/') check(what, path, from);
}

using OpenFunction = int (*)(int, const char*, int, ...);
OpenFunction real_openat() {
    static const auto function = reinterpret_cast<OpenFunction>(dlsym(RTLD_NEXT, "openat"));
    return function;
}

mode_t mode_in(int flags, va_list arguments) {
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

extern "C" {

void* malloc(size_t size) {
    check("malloc", "memory", __builtin_return_address(0));
    return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
    check("calloc", "memory", __builtin_return_address(0));
    return __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) {
    check("realloc", "memory", __builtin_return_address(0));
    return __libc_realloc(old, size);
}
void* memalign(size_t alignment, size_t size) {
    check("memalign", "memory", __builtin_return_address(0));
    return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** result, size_t alignment, size_t size) {
    *result = memalign(alignment, size);
    return *result != nullptr ? 0 : ENOMEM;
}

int openat(int directory, const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_in(flags, arguments);
    va_end(arguments);
    check_path("openat", directory, path, __builtin_return_address(0));
    return real_openat()(directory, path, flags, mode);
}
int open(const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_in(flags, arguments);
    va_end(arguments);
    check_path("open", AT_FDCWD, path, __builtin_return_address(0));
    return real_openat()(AT_FDCWD, path, flags, mode);
}

}  // extern "C"

namespace holdfast::client::seal {

void close() noexcept {
    (void)real_openat();
    sealed = true;
}
bool is_checked() noexcept { return true; }

}  // namespace holdfast::client::seal

#else

namespace holdfast::client::seal {

void close() noexcept {}
bool is_checked() noexcept { return false; }

}  // namespace holdfast::client::seal

#endif
