/* Put before the C library (LD_PRELOAD): fdatasync and pwritev2 fail as a file says, which may be changed at any time. Mapped at the
   start, since the server opens nothing later. Byte 0 is the error of fdatasync, byte 1 that of a pwritev2 to stable storage; 0 is none. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

static const volatile unsigned char* errors;

__attribute__((constructor)) static void map_errors(void) {
    const char* const path = getenv("FAILING_DISK");
    const int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void* const map = file >= 0 ? mmap(NULL, 2, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
    if (map == MAP_FAILED) abort();
    errors = map;
}

static int fails(int which) {
    const int error = errors[which];
    if (error != 0) errno = error;
    return error != 0;
}

int fdatasync(int file) {
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return fails(0) ? -1 : next(file);
}

static ssize_t write_with(const char* name, int file, const struct iovec* data, int count, off64_t offset, int flags) {
    ssize_t (*next)(int, const struct iovec*, int, off64_t, int) =
        (ssize_t(*)(int, const struct iovec*, int, off64_t, int))dlsym(RTLD_NEXT, name);
    return (flags & RWF_DSYNC) != 0 && fails(1) ? -1 : next(file, data, count, offset, flags);
}

ssize_t pwritev2(int file, const struct iovec* data, int count, off_t offset, int flags) {
    return write_with("pwritev2", file, data, count, offset, flags);
}

ssize_t pwritev64v2(int file, const struct iovec* data, int count, off64_t offset, int flags) {
    return write_with("pwritev64v2", file, data, count, offset, flags);
}
