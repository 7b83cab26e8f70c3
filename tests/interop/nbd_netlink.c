/* Preloaded into holdfast-client: the kernel seems to have the netlink family of its nbd module, to which nothing can be sent. */
struct nl_sock;

int genl_ctrl_resolve(struct nl_sock *socket, const char *name) {
    (void)socket, (void)name;
    return 0x7fff; /* a type of message that the kernel does not know */
}

int genl_ctrl_resolve_grp(struct nl_sock *socket, const char *family, const char *group) {
    (void)socket, (void)family, (void)group;
    return 1;
}

int nl_socket_add_membership(struct nl_sock *socket, int group) {
    (void)socket, (void)group;
    return 0;
}
