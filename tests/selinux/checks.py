"""Tests of the policy modules: permissions of each program, prohibitions, and the permissions of other domains on the client."""
import filecmp
import re
import shutil
import subprocess
from pathlib import Path

from harness.registry import test
from policy import ENVIRONMENT, HERE, ROOT, Access, Store, compile_access, run

SOURCES = ROOT / "selinux"
BUILT = ROOT / "build" / "selinux"
PROTECTION = "holdfast_client_protect"
MODULES = ("holdfast", "holdfast_port", "holdfast_client", PROTECTION, "holdfast_server", "holdfast_provision")
# A module of a site, which uses each of our interfaces (interfaces.te).
SITE = "holdfast_interfaces"

GUARDED = ("sigkill", "sigstop", "signal", "ptrace", "setrlimit", "setsched")


def module_file(name: str) -> Path:
    """A .cil file is installed unchanged."""
    source = SOURCES / f"{name}.cil"
    return source if source.exists() else BUILT / f"{name}.pp"


class Policies:
    """The machine's policy without our modules, with the client alone and unprotected, with all of our modules, with a site's as well, and
    as it was again. Each costs a build of the whole policy, so there are no more.
    """

    def __init__(self, folder: Path) -> None:
        self.program = compile_access(folder)
        self.store = Store(folder / "root")
        if installed := [name for name in self.store.modules() if name in MODULES]:
            self.store.remove(*installed)
        self.bare = self.store.snapshot()
        self.store.install(*map(module_file, ("holdfast", "holdfast_port", "holdfast_client")))
        self.unprotected = self.store.snapshot()
        self.store.install(*map(module_file, (PROTECTION, "holdfast_server", "holdfast_provision")))
        self.whole = self.store.snapshot()
        self.contexts = Path(shutil.copytree(self.store.file_contexts.parent, folder / "contexts"))
        self.store.install(self.build_site_module(folder / "site"))
        self.with_site = self.store.snapshot()
        self.store.remove(*MODULES, SITE)
        self.after = self.store.snapshot()

    def build_site_module(self, folder: Path) -> Path:
        """Build and install like an administrator. Interfaces of the other modules are available; each module has a .te file."""
        folder.mkdir()
        for file in [*SOURCES.glob("*.if"), *SOURCES.glob("*.te")]:
            shutil.copy(file, folder)
        shutil.copy(HERE / "interfaces.te", folder / f"{SITE}.te")
        run("make", "-f", "/usr/share/selinux/devel/Makefile", f"{SITE}.pp", cwd=folder)
        return folder / f"{SITE}.pp"

    def ask(self, policy: Path) -> Access:
        return Access(self.program, policy)

    def label(self, path: str, kind: str) -> str:
        """Type of a path by our file contexts; `kind` is a letter as for find -type."""
        done = subprocess.run(["selabel_lookup", "-b", "file", "-f", self.contexts / "file_contexts", "-k", path, "-t", kind],
                              capture_output=True, text=True, env=ENVIRONMENT)
        return done.stdout.split("Default context:")[-1].split(":")[2] if done.returncode == 0 else "none"


def expect(wrong: list[str]) -> None:
    assert not wrong, "\n".join(["", *wrong])


def each(text: str) -> list[list[str]]:
    """Words of each non-empty line; the text after # is a reason."""
    return [words for line in text.splitlines() if (words := line.split("#")[0].split())]


def opened_for_writing(access: Access, source: str) -> set[str]:
    """Types of files that the domain may open for writing; it may write to more if another process has opened them."""
    return (access.whom(source, "file_type", "file", "open") &
            (access.whom(source, "file_type", "file", "write") | access.whom(source, "file_type", "file", "append"))) - {source}


def must(access: Access, source: str, text: str, allowed: bool) -> None:
    """Lines TARGET CLASS PERMISSION...: check that all of them are allowed, or none."""
    wrong = []
    for target, kind, *permissions in each(text):
        for permission in permissions:
            if access.may(source, source if target == "self" else target, kind, permission) != allowed:
                wrong.append(f"{source} may{' not' if allowed else ''} {permission} {kind} of {target}")
    expect(wrong)


# --- the protection


def signallers(access: Access) -> dict[str, set[str]]:
    return {permission: access.who("domain", "holdfast_client_t", "process", permission) for permission in GUARDED}


@test("only sysadm_t may signal, stop, trace or limit the client; without the protection many more may")
def only_sysadm(policies: Policies) -> None:
    with policies.ask(policies.whole) as access:
        protected, domains = signallers(access), access.have("domain")
    with policies.ask(policies.unprotected) as access:
        open_ones = signallers(access)
    print(f"     domains that may (of {len(domains)})    protected    without")
    for permission in GUARDED:
        names = ", ".join(sorted(protected[permission])) or "none"
        print(f"     {permission:<28} {len(protected[permission]):>9} {len(open_ones[permission]):>10}    {names}")
    expected = {permission: {"sysadm_t"} for permission in ("sigkill", "sigstop", "signal")}
    # The limit of its own locked memory.
    expected["setrlimit"] = {"holdfast_client_t"}
    expected["setsched"] = {"holdfast_client_t", "sysadm_t"}
    wrong = [f"{permission}: {protected[permission]}, not {who}" for permission, who in expected.items()
             if protected[permission] != who]
    for permission in GUARDED:
        if stray := protected[permission] - {"sysadm_t", "holdfast_client_t"}:
            wrong.append(f"{permission}: {stray}")
    for permission in ("sigkill", "sigstop", "signal", "ptrace"):
        for domain in ("init_t", "initrc_t", "kernel_t", "unconfined_t"):
            if permission != "ptrace" and domain not in open_ones[permission]:
                wrong.append(f"without the protection {domain} may not {permission}: the protection is shown to do nothing")
    expect(wrong)


@test("the protection leaves every other process as it was")
def others_unchanged(policies: Policies) -> None:
    with policies.ask(policies.whole) as protected, policies.ask(policies.unprotected) as open_one:
        for target in ("syslogd_t", "init_t", "kernel_t"):
            for permission in GUARDED:
                now, before = (one.who("domain", target, "process", permission) for one in (protected, open_one))
                assert now == before, f"{permission} {target}: {now ^ before}"


# --- the domains


@test("processes come into their domains, and the daemon of the root disk out of kernel_t")
def domains(policies: Policies) -> None:
    wrong = []
    with policies.ask(policies.whole) as access:
        for source, program, domain in (
            ("init_t", "holdfast_client_exec_t", "holdfast_client_t"),
            ("initrc_t", "holdfast_client_exec_t", "holdfast_client_t"),
            ("sysadm_t", "holdfast_client_exec_t", "holdfast_client_t"),
            ("unconfined_t", "holdfast_client_exec_t", "holdfast_client_t"),
            ("dpkg_script_t", "holdfast_client_exec_t", "holdfast_client_t"),
            ("init_t", "holdfast_server_exec_t", "holdfast_server_t"),
            ("initrc_t", "holdfast_server_exec_t", "holdfast_server_t"),
            ("init_t", "holdfast_provision_exec_t", "holdfast_provision_t"),
            ("initrc_t", "holdfast_provision_exec_t", "holdfast_provision_t"),
            ("holdfast_provision_t", "lvm_exec_t", "lvm_t"),
        ):
            if (found := access.becomes(source, program, "process")) != domain:
                wrong.append(f"{program} run by {source} is {found}, not {domain}")
            if not access.may(source, domain, "process", "transition"):
                wrong.append(f"{source} may not become {domain}")
        # holdfast-server.service has NoNewPrivileges.
        if not access.may("init_t", "holdfast_server_t", "process2", "nnp_transition"):
            wrong.append("init_t may not become holdfast_server_t with NoNewPrivileges")
        # As has holdfast-provision.service, whose children are LVM's programs.
        for source, target in (("init_t", "holdfast_provision_t"), ("holdfast_provision_t", "lvm_t")):
            if not access.may(source, target, "process2", "nnp_transition"):
                wrong.append(f"{source} may not become {target} with NoNewPrivileges")
        for target, kind, permission in (("kernel_t", "process", "setcurrent"), ("holdfast_client_t", "process", "dyntransition")):
            if not access.may("kernel_t", target, kind, permission):
                wrong.append(f"kernel_t may not {permission} {target}")
    expect(wrong)


@test("what the programs make gets its type")
def new_files(policies: Policies) -> None:
    wrong = []
    with policies.ask(policies.whole) as access:
        for source, folder, kind, name, expected in (
            ("holdfast_client_t", "var_run_t", "dir", "holdfast", "holdfast_client_runtime_t"),
            ("holdfast_client_t", "holdfast_client_runtime_t", "sock_file", "nbd0.sock.1", "holdfast_client_runtime_t"),
            ("holdfast_client_t", "var_run_t", "dir", "sendsigs.omit.d", "initrc_runtime_t"),
            ("holdfast_client_t", "initrc_runtime_t", "file", "holdfast-nbd0", "holdfast_client_runtime_t"),
            ("holdfast_server_t", "var_run_t", "file", "holdfast-server.pid.new", "holdfast_server_runtime_t"),
            ("holdfast_server_t", "var_run_t", "sock_file", "holdfast-server.sock", "holdfast_server_runtime_t"),
            ("holdfast_server_t", "holdfast_volume_t", "file", "disk", "holdfast_volume_t"),
            ("holdfast_server_t", "var_spool_t", "dir", "holdfast-server", "holdfast_server_spool_t"),
            ("holdfast_server_t", "holdfast_server_spool_t", "file", "manifest", "holdfast_server_spool_t"),
        ):
            if (found := access.becomes(source, folder, kind, name)) != expected:
                wrong.append(f"{name}, made by {source} in {folder}, is {found}, not {expected}")
    expect(wrong)


# --- the client

CLIENT_NEEDS = """
    self capability sys_admin sys_resource sys_boot setpcap net_bind_service
    self process setrlimit setsched setcap getcap
    self netlink_generic_socket create bind setopt getattr read write
    self tcp_socket create connect setopt getopt read write shutdown ioctl getattr
    self udp_socket create bind setopt connect read write ioctl getattr
    self netlink_route_socket create bind nlmsg_read nlmsg_write read write         # getaddrinfo; holdfast-net
    self unix_stream_socket create bind listen accept connect connectto read write
    kernel_t unix_stream_socket connectto               # takeover and status of the root disk's daemon
    kernel_t fd use
    kernel_t fifo_file write                            # holdfast-timer
    kernel_t tcp_socket read write                      # a link that is handed over
    kernel_t system module_request
    kmod_t process transition                           # modprobe nbd
    var_run_t dir add_name write search
    initrc_runtime_t file open read getattr map         # utmp
    initrc_runtime_t dir create add_name remove_name write search       # /run/sendsigs.omit.d
    node_t udp_socket node_bind
    device_t dir search open read
    device_t lnk_file read
    console_device_t chr_file write                     # an init script's
    user_home_t file write append                       # "holdfast-client status >file"
    holdfast_client_runtime_t dir create add_name remove_name write search open read
    holdfast_client_runtime_t file create open read write rename unlink getattr lock
    holdfast_client_runtime_t sock_file create rename unlink getattr write
    holdfast_client_runtime_t fifo_file getattr
    holdfast_etc_t file open read getattr
    holdfast_port_t tcp_socket name_connect
    dns_port_t tcp_socket name_connect
    net_conf_t file open read                           # resolv.conf
    etc_t file open read                                # nsswitch.conf
    etc_runtime_t file open read                        # machine-id
    boot_t file open read getattr                       # bootfiles
    boot_t lnk_file read
    boot_t dir open read search
    self capability net_admin                           # to end the connection of a daemon that has died
    self netlink_tcpdiag_socket create read write nlmsg_read nlmsg_write
    dhcpc_port_t udp_socket name_bind
    sysfs_t file open read write
    sysfs_t lnk_file read
    kmsg_device_t chr_file open write
    device_t chr_file write                             # /dev/kmsg, not labelled yet
    tmpfs_t dir search                                  # /run, not labelled yet
    devlog_t sock_file write
    syslogd_t unix_dgram_socket sendto
    fixed_disk_device_t blk_file open read ioctl lock getattr
    self netlink_kobject_uevent_socket create bind read # udev's word on a device
    udev_runtime_t dir search
    proc_t file open read                               # cmdline, swaps
    cgroup_t file open write
    cgroup_t dir search
    initrc_runtime_t file open read map                 # utmp
    init_t file open read                               # /proc/1/comm
    init_t dir search
    init_runtime_t dir search                           # /run/systemd
    init_runtime_t sock_file write                      # /run/systemd/notify
    init_t unix_dgram_socket sendto
    fs_t filesystem getattr
"""


@test("the client may do what it does")
def client_needs(policies: Policies) -> None:
    with policies.ask(policies.whole) as access:
        must(access, "holdfast_client_t", CLIENT_NEEDS, True)


CLIENT_NEVER = """
    shell_exec_t file execute execute_no_trans
    bin_t file execute_no_trans
    fixed_disk_device_t blk_file write append
    lvm_control_t chr_file open
    memory_device_t chr_file open read write
    device_t chr_file open read create
    shadow_t file read write open
    etc_t file write append create unlink
    etc_t dir add_name write
    holdfast_etc_t file write append create unlink
    holdfast_client_exec_t file write append
    user_home_t file open read
    var_log_t file open write
    init_t process sigkill ptrace signal
    holdfast_server_t process sigkill signal ptrace
    self process ptrace sigkill sigstop signal execmem execstack execheap setexec setcurrent
    self capability sys_module sys_rawio mknod chown setuid setgid kill sys_chroot ipc_lock fowner net_raw audit_write
    self tcp_socket listen accept
    holdfast_port_t tcp_socket name_bind
    ssh_port_t tcp_socket name_bind
    security_t file write                               # setenforce and the like
    kernel_t process sigkill
    holdfast_volume_t blk_file open read write
"""


@test("the client may do none of what it does not do")
def client_never(policies: Policies) -> None:
    with policies.ask(policies.whole) as access:
        must(access, "holdfast_client_t", CLIENT_NEVER, False)
        opened = access.whom("holdfast_client_t", "device_node", "blk_file", "open")
        assert opened == {"fixed_disk_device_t"}, f"the client opens the disks {opened}"
        written = access.whom("holdfast_client_t", "device_node", "blk_file", "write")
        assert not written, f"the client writes to the disks {written}"
        # Debian 13 has a type of its own for one kind of file among the control groups'.
        changed = opened_for_writing(access, "holdfast_client_t") - {"memory_pressure_t"}
        assert changed == {"holdfast_client_runtime_t", "sysfs_t", "cgroup_t"}, f"the client writes to files of {changed}"
        run_here = access.whom("holdfast_client_t", "file_type", "file", "execute_no_trans")
        assert not run_here, f"the client runs {run_here}"


@test("a boolean decides whether the client may connect to every port")
def client_ports(policies: Policies) -> None:
    with policies.ask(policies.whole) as access:
        for value in (True, False):
            access.set("holdfast_client_connect_any_port", value)
            found = access.whom("holdfast_client_t", "port_type", "tcp_socket", "name_connect")
            assert found == (access.have("port_type") if value else {"holdfast_port_t", "dns_port_t"}), f"{value}: {found}"


@test("the kernel, and whoever makes a request, may use the link under a disk")
def link_users(policies: Policies) -> None:
    with policies.ask(policies.whole) as access:
        for kind in ("tcp_socket", "unix_stream_socket"):
            assert access.may("kernel_t", "holdfast_client_t", kind, "read"), f"kernel_t may not read its {kind}"
            left_out = access.have("domain") - access.who("domain", "holdfast_client_t", kind, "write")
            assert not left_out, f"these may not write to its {kind}: {left_out}"


# --- what others do for the client

OTHERS = """
    init_t holdfast_client_runtime_t dir create add_name remove_name write search setattr     # holdfast-until@.socket
    init_t holdfast_client_runtime_t fifo_file create open read write getattr setattr unlink
    initrc_t holdfast_client_runtime_t file open read                   # sysvinit/holdfast-client: carries_root
    initrc_t holdfast_etc_t file getattr
    initrc_t holdfast_client_t fd use
    systemd_generator_t holdfast_client_exec_t file execute execute_no_trans open read
    systemd_generator_t holdfast_etc_t file open read getattr
    systemd_generator_t holdfast_etc_t dir search
    systemd_generator_t holdfast_client_runtime_t file open read        # carries_root
    systemd_generator_t kmsg_device_t chr_file open write
    systemd_generator_t init_runtime_t dir add_name write create
    systemd_generator_t init_runtime_t file create open write
    systemd_generator_t init_runtime_t lnk_file create
    holdfast_client_t initrc_devpts_t chr_file read write               # messages of the init script
    holdfast_client_t console_device_t chr_file write
    holdfast_client_t user_devpts_t chr_file read write                 # an administrator's terminal
    holdfast_client_t init_t unix_stream_socket write                   # a unit's standard output
    dpkg_script_t holdfast_client_exec_t file execute open read         # initramfs-hooks/hook, takeover
    bootloader_t holdfast_client_exec_t file execute execute_no_trans
    initrc_t holdfast_server_t file write                               # sysvinit/holdfast-server: oom_score_adj
    initrc_t holdfast_server_runtime_t file open read unlink
    initrc_t holdfast_server_net_t file write
    initrc_t holdfast_server_t process signal
    initrc_t holdfast_server_net_t process signal
    init_t holdfast_server_t process signal sigkill
    init_t holdfast_server_net_t process signal sigkill
    sysadm_t holdfast_server_unit_t service start stop reload status
    sysadm_t holdfast_client_unit_t service start stop reload status
    dpkg_script_t holdfast_server_unit_t service start stop reload
    unconfined_t holdfast_client_unit_t service start stop reload status
    init_t holdfast_client_unit_t file open read
"""


@test("init, its scripts and its generators may do their part")
def others(policies: Policies) -> None:
    wrong = []
    with policies.ask(policies.whole) as access:
        for source, target, kind, *permissions in each(OTHERS):
            wrong += [f"{source} may not {permission} {kind} of {target}" for permission in permissions
                      if not access.may(source, target, kind, permission)]
    expect(wrong)


# --- the server

SERVER_NEEDS = """
    self capability dac_override dac_read_search chown net_bind_service setuid setgid
    self process getsched                               # sched_getaffinity
    self process sigkill                                # helpers that hang
    self tcp_socket create bind listen accept read write shutdown setopt getopt connect getattr
    self unix_stream_socket create bind listen accept read write
    self netlink_route_socket create bind nlmsg_read read write         # getaddrinfo
    holdfast_port_t tcp_socket name_bind
    holdfast_volume_t blk_file open read write ioctl getattr
    holdfast_volume_t file open read write create lock getattr setattr
    holdfast_volume_t dir search add_name write
    holdfast_server_spool_t dir create open read search add_name remove_name write lock
    holdfast_server_spool_t file create open read write rename unlink getattr setattr
    var_spool_t dir search add_name write
    device_t lnk_file read                              # /dev/vg0/root
    var_t dir search                                    # /srv
    node_t tcp_socket node_bind
    fixed_disk_device_t blk_file getattr                # a mounted disk: is it the volume?
    holdfast_etc_t file open read getattr
    holdfast_etc_t dir open read search                 # includedir
    etc_t file open read                                # passwd, nbd-server's authfile
    sysfs_t file open read
    sysfs_t lnk_file read
    lvm_runtime_t dir open read search                  # pvs_online
    lvm_runtime_t file open read
    nsfs_t file open read ioctl getattr                 # the owner of the network: does it get notices of block devices?
    proc_t file open read                               # swaps
    sysctl_kernel_t file open read                      # boot_id
    holdfast_server_runtime_t file create open write rename unlink
    holdfast_server_runtime_t sock_file create setattr unlink
    var_run_t dir add_name remove_name write search
    init_t unix_dgram_socket sendto
    devlog_t sock_file write
    fs_t filesystem getattr
"""


@test("the server may do what it does")
def server_needs(policies: Policies) -> None:
    with policies.ask(policies.whole) as access:
        must(access, "holdfast_server_t", SERVER_NEEDS, True)


SERVER_NEVER = """
    shell_exec_t file execute execute_no_trans
    bin_t file execute_no_trans
    shadow_t file read open
    user_home_t file open read
    var_lib_t file open read
    var_t file open read write
    etc_t file write append create
    holdfast_etc_t file write append create
    holdfast_client_runtime_t sock_file write
    holdfast_client_t process signal sigkill ptrace
    holdfast_client_t unix_stream_socket connectto
    init_t process signal ptrace
    init_t file open read                               # the state of other processes
    unconfined_t file open read
    self capability sys_admin sys_rawio sys_module mknod net_admin net_raw sys_ptrace ipc_lock fowner
    self process ptrace execmem execstack execheap setexec dyntransition
    memory_device_t chr_file open read write
    lvm_control_t chr_file open
    security_t file write
    unreserved_port_t tcp_socket name_bind name_connect
    ssh_port_t tcp_socket name_bind name_connect
    http_port_t tcp_socket name_bind name_connect
    holdfast_port_t tcp_socket name_connect
"""


@test("the server may do none of what it does not do")
def server_never(policies: Policies) -> None:
    with policies.ask(policies.whole) as access:
        must(access, "holdfast_server_t", SERVER_NEVER, False)


@test("the server opens no disk, binds no port, writes no file and runs no program but its own")
def server_confined(policies: Policies) -> None:
    with policies.ask(policies.whole) as access:
        for kind, attribute, permission, expected in (
            ("blk_file", "device_node", "open", {"holdfast_volume_t"}),
            ("blk_file", "device_node", "read", {"holdfast_volume_t"}),
            ("blk_file", "device_node", "write", {"holdfast_volume_t"}),
            ("tcp_socket", "port_type", "name_bind", {"holdfast_port_t"}),
            ("udp_socket", "port_type", "name_bind", set()),
            ("file", "file_type", "execute_no_trans", set()),
        ):
            found = access.whom("holdfast_server_t", attribute, kind, permission)
            assert found == expected, f"the server may {permission} {kind} of {found}, not {expected}"
        assert access.whom("holdfast_server_t", "domain", "process", "transition") == set()
        changed = opened_for_writing(access, "holdfast_server_t")
        assert changed == {"holdfast_volume_t", "holdfast_server_runtime_t", "holdfast_server_spool_t"}, f"the server writes to files of {changed}"


SERVING_NEEDS = """
    holdfast_server_t fd use
    init_t fd use
    holdfast_volume_t blk_file read write ioctl getattr
    holdfast_volume_t file read write getattr
    holdfast_server_spool_t file read write getattr     # opened by the opener
    holdfast_server_t tcp_socket accept read write shutdown setopt getattr
    holdfast_server_t unix_stream_socket accept read write shutdown getopt
    holdfast_server_t unix_dgram_socket write
    holdfast_server_t fifo_file write
    holdfast_server_t netlink_kobject_uevent_socket read
    holdfast_server_runtime_t file write                # the record of losses, which is open already
    self unix_stream_socket create read write
    self unix_dgram_socket create connect write
    self fifo_file read write
    init_t unix_dgram_socket sendto
    init_t unix_stream_socket write                     # a unit's standard error
    syslogd_t unix_dgram_socket sendto
    null_device_t chr_file open read write
"""

SERVING_NEVER = """
    nsfs_t file open read
    holdfast_volume_t blk_file open create lock setattr
    holdfast_volume_t file open create unlink setattr append
    holdfast_volume_t dir search add_name
    holdfast_etc_t file open read
    holdfast_server_runtime_t file open read append create unlink
    holdfast_server_runtime_t sock_file create unlink
    self tcp_socket create
    self udp_socket create
    self netlink_route_socket create
    self netlink_kobject_uevent_socket create
    holdfast_server_t tcp_socket bind listen create connect
    holdfast_server_t unix_stream_socket connectto bind listen create
    holdfast_server_t process signal sigkill ptrace dyntransition transition
    holdfast_server_t file open read write              # the opener in /proc
    holdfast_server_exec_t file execute execute_no_trans entrypoint
    self process ptrace execmem execstack execheap setexec setcurrent dyntransition setcap setrlimit getsched setsched
    self capability chown dac_override dac_read_search net_bind_service setgid setpcap setuid sys_admin sys_rawio mknod sys_ptrace
    etc_t file write
    sysfs_t file open read
    fixed_disk_device_t blk_file getattr open
    shadow_t file open read
    shell_exec_t file execute execute_no_trans
    bin_t file execute_no_trans
"""


@test("the process that speaks to clients comes into a domain of its own, in which it may use what has been opened for it")
def serving_needs(policies: Policies) -> None:
    with policies.ask(policies.whole) as access:
        must(access, "holdfast_server_t", """
            self process setcurrent
            self netlink_kobject_uevent_socket create bind
            holdfast_server_net_t process dyntransition
            holdfast_server_net_t fd use
            holdfast_server_net_t unix_stream_socket read write
        """, True)
        must(access, "holdfast_server_net_t", SERVING_NEEDS, True)
        into = access.who("domain", "holdfast_server_net_t", "process", "dyntransition")
        assert into == {"holdfast_server_t"}, f"who may move to holdfast_server_net_t: {into}"


@test("the process that speaks to clients may open no disk and no file to write, make no socket of the network, and never go back")
def serving_never(policies: Policies) -> None:
    with policies.ask(policies.whole) as access:
        must(access, "holdfast_server_net_t", SERVING_NEVER, False)
        for kind, attribute, permission, expected in (
            ("blk_file", "device_node", "open", set()),
            ("blk_file", "device_node", "read", {"holdfast_volume_t"}),
            ("blk_file", "device_node", "write", {"holdfast_volume_t"}),
            ("tcp_socket", "port_type", "name_bind", set()),
            ("tcp_socket", "port_type", "name_connect", set()),
            ("udp_socket", "port_type", "name_bind", set()),
            ("file", "file_type", "execute_no_trans", set()),
            ("file", "file_type", "create", set()),
            ("process", "domain", "transition", set()),
            ("process", "domain", "dyntransition", set()),
        ):
            found = access.whom("holdfast_server_net_t", attribute, kind, permission)
            assert found == expected, f"it may {permission} {kind} of {found}, not {expected}"
        changed = opened_for_writing(access, "holdfast_server_net_t")
        assert changed == set(), f"it opens files of {changed} for writing"


# Calls that the filter of confinement.cc allows with any arguments, and what SELinux checks when they are made.
CHECKED_CALLS = """
    holdfast_server_t tcp_socket accept                 # accept accept4
    holdfast_server_t tcp_socket getattr                # getpeername getsockname
    holdfast_server_t tcp_socket getopt                 # getsockopt
    holdfast_server_t tcp_socket shutdown               # shutdown
    holdfast_server_t tcp_socket read                   # recvfrom recvmsg recvmmsg
    holdfast_volume_t blk_file read                     # read readv pread64 preadv preadv2
    holdfast_volume_t blk_file write                    # write writev pwrite64 pwritev pwritev2 fallocate
    holdfast_volume_t blk_file getattr                  # fstat
    self fifo_file read write                           # splice
"""
UNCHECKED_CALLS = """
    lseek fsync fdatasync sync_file_range fadvise64 readahead
    close close_range dup dup2 dup3 pipe2 poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
    eventfd2 signalfd4 timerfd_create timerfd_settime timerfd_gettime wait4 restart_syscall
    brk munmap mremap madvise mincore mlock munlock
    futex futex_waitv membarrier rseq set_robust_list get_robust_list set_tid_address sched_yield exit exit_group
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait rt_sigpending sigaltstack
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time getrandom
    getpid gettid getppid getuid geteuid getgid getegid getrusage getrlimit times sysinfo uname getcpu
"""


@test("each system call that the server's filter allows is one that SELinux does not check, or one that the policy allows")
def filter_and_policy_agree(policies: Policies) -> None:
    source = (ROOT / "server/process/system_call_filter.cc").read_text()
    allowed = re.findall(r'"(\w+)"', source.split("allowed[] = {")[1].split("};")[0])
    known = {call for line in CHECKED_CALLS.splitlines() for call in line.partition("#")[2].split()} | set(UNCHECKED_CALLS.split())
    assert len(allowed) > 50, "the list in confinement.cc was not found"
    assert not (unknown := set(allowed) - known), f"say what SELinux checks when the server calls {', '.join(sorted(unknown))}"
    with policies.ask(policies.whole) as access:
        must(access, "holdfast_server_net_t", CHECKED_CALLS, True)


@test("a boolean decides whether the server may look for the holders of a volume")
def server_holders(policies: Policies) -> None:
    with policies.ask(policies.whole) as access:
        for value in (False, True):
            access.set("holdfast_server_name_holders", value)
            for target, kind, permission in (("unconfined_t", "lnk_file", "read"), ("unconfined_t", "file", "read"),
                                             ("holdfast_server_t", "capability", "sys_ptrace")):
                assert access.may("holdfast_server_t", target, kind, permission) == value, f"{value}: {permission} {kind}"


@test("those who care for disks may care for volumes")
def volumes_are_cared_for(policies: Policies) -> None:
    wrong = []
    with policies.ask(policies.whole) as access:
        for source, permissions in (
            ("udev_t", "create getattr setattr relabelfrom relabelto unlink open read"),
            ("lvm_t", "open read write ioctl getattr"),
            ("fsadm_t", "open read write ioctl getattr"),
            ("mount_t", "open read write getattr"),
            ("unconfined_t", "open read write relabelto"),
        ):
            wrong += [f"{source} may not {permission} a volume" for permission in permissions.split()
                      if not access.may(source, "holdfast_volume_t", "blk_file", permission)]
    expect(wrong)


# --- labels

LABELS = """
    /usr/sbin/holdfast-client                       f   holdfast_client_exec_t
    /usr/local/sbin/holdfast-client                 f   holdfast_client_exec_t
    /usr/sbin/holdfast-server                       f   holdfast_server_exec_t
    /etc/init.d/holdfast-client                     f   holdfast_client_initrc_exec_t
    /etc/init.d/holdfast-server                     f   holdfast_server_initrc_exec_t
    /lib/systemd/system/holdfast@.service           f   holdfast_client_unit_t
    /usr/lib/systemd/system/holdfast-until@.service f   holdfast_client_unit_t
    /usr/lib/systemd/system/holdfast-until@.socket  f   holdfast_client_unit_t
    /usr/lib/systemd/system/holdfast-server.service f   holdfast_server_unit_t
    /etc/holdfast                                   d   holdfast_etc_t
    /etc/holdfast/client.conf                       f   holdfast_etc_t
    /etc/holdfast/devices                           f   holdfast_etc_t
    /etc/holdfast/server.conf                       f   holdfast_etc_t
    /etc/holdfast/exports.d/one.conf                f   holdfast_etc_t
    /run/holdfast                                   d   holdfast_client_runtime_t
    /run/holdfast/nbd0.sock                         s   holdfast_client_runtime_t
    /run/holdfast/nbd0.sock.1234                    s   holdfast_client_runtime_t
    /run/holdfast/nbd0.state                        f   holdfast_client_runtime_t
    /run/holdfast/nbd0.state.new                    f   holdfast_client_runtime_t
    /run/holdfast/nbd0.lock                         f   holdfast_client_runtime_t
    /run/holdfast/nbd0.network                      f   holdfast_client_runtime_t
    /run/holdfast/until                             d   holdfast_client_runtime_t
    /run/holdfast/until/poweroff                    p   holdfast_client_runtime_t
    /var/run/holdfast/nbd12.sock                    s   holdfast_client_runtime_t
    /run/sendsigs.omit.d                            d   initrc_runtime_t
    /run/sendsigs.omit.d/holdfast-nbd0              f   holdfast_client_runtime_t
    /run/sendsigs.omit.d/holdfast-nbd0-network      f   holdfast_client_runtime_t
    /run/holdfast-server.pid                        f   holdfast_server_runtime_t
    /run/holdfast-server.pid.new                    f   holdfast_server_runtime_t
    /run/holdfast-server.sock                       s   holdfast_server_runtime_t
    /run/holdfast-server/losses                     f   holdfast_server_runtime_t
    /var/spool/holdfast-server                      d   holdfast_server_spool_t
    /var/spool/holdfast-server/web1/manifest        f   holdfast_server_spool_t
    /run/holdfast/lease-eth0                        f   holdfast_client_runtime_t
    /dev/nbd0                                       b   fixed_disk_device_t
    /etc/passwd                                     f   etc_t
    /usr/sbin/sshd                                  f   sshd_exec_t
"""


@test("files get their labels, and 10809 its port's")
def labels(policies: Policies) -> None:
    wrong = []
    for path, kind, expected in each(LABELS):
        if (found := policies.label(path, kind)) != expected:
            wrong.append(f"{path}: {found}, not {expected}")
    with policies.ask(policies.whole) as access:
        for protocol, number, expected in (("tcp", 10809, "holdfast_port_t"), ("tcp", 10810, "unreserved_port_t"),
                                           ("udp", 10809, "unreserved_port_t")):
            if (found := access.port(protocol, number)) != expected:
                wrong.append(f"{protocol} {number}: {found}, not {expected}")
    expect(wrong)


# --- interfaces, removal, comments


@test("a site's module may use the interfaces")
def interfaces(policies: Policies) -> None:
    with policies.ask(policies.with_site) as access:
        must(access, "holdfast_site_status_t", """
            holdfast_client_exec_t file execute execute_no_trans
            holdfast_client_runtime_t sock_file write
            holdfast_client_runtime_t file read
            holdfast_client_t unix_stream_socket connectto
            kernel_t unix_stream_socket connectto
        """, True)
        must(access, "holdfast_site_status_t", "holdfast_client_t process signal sigkill ptrace transition", False)
        must(access, "holdfast_site_admin_t", """
            holdfast_client_t process signal sigkill sigstop transition
            holdfast_client_t unix_stream_socket connectto
            holdfast_etc_t file write create
            holdfast_client_runtime_t file write unlink
            holdfast_server_t process signal sigkill
            holdfast_server_net_t process signal sigkill
            holdfast_server_runtime_t file write unlink
            holdfast_volume_t file write create
        """, True)
        must(access, "holdfast_site_disk_t", """
            holdfast_volume_t blk_file open read write
            holdfast_server_t unix_stream_socket connectto
            holdfast_port_t tcp_socket name_connect name_bind
        """, True)


@test("removed, the modules leave nothing behind")
def removed(policies: Policies) -> None:
    assert not filecmp.cmp(policies.bare, policies.whole, shallow=False), "the modules change nothing"
    assert filecmp.cmp(policies.bare, policies.after, shallow=False), "the policy is not what it was"
    left = [name for name in policies.store.modules() if "holdfast" in name]
    assert not left, left
    remains = [str(path) for path in (policies.store.root / "etc/selinux").rglob("*")
               if path.is_file() and b"holdfast" in path.read_bytes()]
    assert not remains, remains


@test("each right in the modules has a comment that says what uses it")
def commented(_: Policies) -> None:
    """Check that each paragraph of rules begins with a comment; declarations need none."""
    wrong = []
    for file in sorted(SOURCES.glob("*.te")):
        for paragraph in re.split(r"\n\s*\n", file.read_text()):
            first = paragraph.lstrip().splitlines()[0]
            declares = re.match(r"(policy_module|type |attribute |gen_tunable|#|## )", first)
            if not declares and not re.match(r"tunable_policy|optional_policy|gen_require", first):
                wrong.append(f"{file.name}: {first}")
    expect(wrong)


# --- the maker of volumes

PROVISION_NEEDS = """
    self unix_stream_socket create bind listen accept read write getopt connectto
    self process signal
    lvm_t process transition
    holdfast_volume_t blk_file open read write ioctl
    holdfast_provision_runtime_t file create open write lock
    holdfast_provision_runtime_t sock_file create unlink
    holdfast_etc_t file open read
"""

PROVISION_NEVER = """
    shell_exec_t file execute execute_no_trans
    bin_t file execute_no_trans
    fixed_disk_device_t blk_file open read write
    lvm_control_t chr_file open
    holdfast_etc_t file write append create unlink
    etc_t file write append create unlink
    shadow_t file open read
    holdfast_server_t process signal sigkill ptrace transition dyntransition
    holdfast_port_t tcp_socket name_bind name_connect
    lvm_t process signal sigkill
    self capability sys_admin sys_rawio sys_module mknod
    self process ptrace sigkill execmem setexec setcurrent
"""


@test("the maker of volumes opens volumes, and leaves the rest to LVM; the server's opener may ask it, and the process that serves clients may not")
def provision(policies: Policies) -> None:
    with policies.ask(policies.whole) as access:
        must(access, "holdfast_provision_t", PROVISION_NEEDS, True)
        must(access, "holdfast_provision_t", PROVISION_NEVER, False)
        must(access, "holdfast_server_t", "holdfast_provision_t unix_stream_socket connectto", True)
        must(access, "holdfast_server_net_t", "holdfast_provision_t unix_stream_socket connectto", False)
        changed = opened_for_writing(access, "holdfast_provision_t")
        assert changed == {"holdfast_provision_runtime_t"}, f"the maker of volumes writes to files of {changed}"
        into = access.whom("holdfast_provision_t", "domain", "process", "transition")
        assert into == {"lvm_t"}, f"the maker of volumes becomes {into}"
