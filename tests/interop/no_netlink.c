/* Preloaded into a server: sockets of netlink fail, as in a confinement that does not permit them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

int socket(int family, int type, int protocol) {
    int (*const real)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
    if (family != AF_NETLINK) return real(family, type, protocol);
    errno = EAFNOSUPPORT;
    return -1;
}
