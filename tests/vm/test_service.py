"""holdfast-server as a service of systemd's, whose socket starts it, and of System V init's: its two processes, and its life."""

from lab import Lab, test
from scenes.server_unit import main_process, opener_of, require_confined_unit, require_no_privileges, status_of

CONFIGURATION = "[generic]\nallowlist = true\n[disk]\nexportname = /dev/vdb\n"
# A file system on the export, and a file that has not only been written to a cache.
USE = ("mkfs.ext4 -q /dev/nbd0 && mount /dev/nbd0 /mnt && dd if=/dev/urandom of=/mnt/data bs=1M count=4 conv=fsync status=none && "
       "sha256sum /mnt/data >/root/sum")
CHECK = "echo 3 >/proc/sys/vm/drop_caches && sha256sum --status -c /root/sum"


@test("systemd starts the server, confined, when its first client comes, and again when one comes after it was stopped", timeout=900, long=True)
def socket_activation(lab: Lab) -> None:
    image = lab.image("server", 12, files={"/etc/holdfast/server.conf": CONFIGURATION},
                      commands=["systemctl disable holdfast-server", "systemctl enable holdfast-server.socket"])
    machine = lab.boot("server", image, disks=[lab.copy(image), lab.blank_disk(64)]).login()
    machine.run("modprobe nbd && ip link set lo up && systemctl is-active holdfast-server.socket")
    state = "systemctl is-active holdfast-server"
    lab.require(machine.run_status(state)[1] == "inactive", "it runs before anyone has come")

    machine.run(f"holdfast-client attach 127.0.0.1,disk --device nbd0 && {USE}")
    first = main_process(machine)
    lab.require(first != 0 and machine.run_status(state)[1] == "active", "it serves, and systemd does not know")
    machine.run("journalctl -u holdfast-server | grep \"on a socket from the service manager\"")
    require_confined_unit(lab, machine)
    opener = status_of(machine, opener_of(machine, first))
    lab.require(opener["Name"] == ["holdfast-opener"] and "0" not in opener["Uid"], f"the opener: {opener['Name']} {opener['Uid']}")

    # A reload with a broken configuration fails, and its reason is in the journal; exports that refuse everybody do not hinder one.
    configuration = "/etc/holdfast/server.conf"
    lab.require(machine.run_status(f"cp {configuration} /root && sed -i s/allowlist/alowlist/ {configuration} && "
                                   "systemctl reload holdfast-server")[0] == 1, "the reload of a broken configuration succeeded")
    machine.run("journalctl -u holdfast-server | grep 'alowlist: unknown key' && systemctl is-active holdfast-server")
    machine.run(f"cp /root/server.conf {configuration} && printf '[null]\\nexportname = /dev/null\\n' >>{configuration} && "
                "systemctl reload holdfast-server")
    machine.wait_until("holdfast-client list nbd://127.0.0.1 | grep -x null")
    machine.run(f"cp /root/server.conf {configuration} && systemctl reload holdfast-server")
    lab.require(main_process(machine) == first, "another process after the reloads")

    # The client comes again by itself, and that starts the service; nobody is refused, and nothing is lost.
    machine.run("systemctl stop holdfast-server")
    machine.wait_until(f"test $(systemctl show -p MainPID --value holdfast-server) -gt 0 && {state}")
    machine.run(CHECK)
    second = main_process(machine)
    lab.require(second not in (0, first), f"the same process {second}")
    machine.run("dd if=/dev/zero of=/mnt/more bs=1M count=4 conv=fsync status=none && umount /mnt && holdfast-client detach nbd0")

    # Stopped, and nobody comes: it stays so. Over IPv6 as over IPv4.
    machine.run("systemctl stop holdfast-server")
    lab.require(machine.run_status(state)[1] == "inactive", "it runs, and nobody has come")
    machine.run("holdfast-client list nbd://[::1] | grep -x disk")
    require_confined_unit(lab, machine)
    lab.require(main_process(machine) not in (0, second), "no new process")
    errors = machine.run("dmesg | grep -E 'I/O error|EXT4-fs error' || :; systemctl --failed --plain --no-legend")
    lab.require(not errors, errors)
    machine.poweroff()


@test("the init script starts the server as two processes, the one that speaks to clients without privileges, restarts it under a client, "
      "says how it is, and stops it", timeout=900, long=True)
def sysvinit(lab: Lab) -> None:
    image = lab.image("sysv", 12, files={"/etc/holdfast/server.conf": CONFIGURATION})
    machine = lab.boot("sysv", image, disks=[lab.copy(image), lab.blank_disk(64)]).login()
    lab.require(machine.run("cat /proc/1/comm") == "init", "process 1 is not sysvinit's")
    script = "/etc/init.d/holdfast-server"
    # The boot has started it.
    machine.wait_until(f"{script} status")
    first = int(machine.run("cat /run/holdfast-server.pid"))
    require_no_privileges(lab, machine, first)
    opener = opener_of(machine, first)
    now = status_of(machine, opener)
    lab.require(now["Name"] == ["holdfast-opener"] and now["Uid"] == ["0"] * 4 and now["Seccomp"] == ["0"], f"the opener: {now}")
    for process in (first, opener):
        machine.run(f"grep -x -- -900 /proc/{process}/oom_score_adj")

    machine.run(f"modprobe nbd && holdfast-client attach 127.0.0.1,disk --device nbd0 && {USE}")
    # A second start finds it there.
    machine.run(f"{script} start && test $(cat /run/holdfast-server.pid) = {first}")
    machine.run(f"{script} restart && {script} status")
    second = int(machine.run("cat /run/holdfast-server.pid"))
    lab.require(second != first, "the same process after the restart")
    machine.run(f"test ! -e /proc/{first} && test ! -e /proc/{opener} && {CHECK}")
    require_no_privileges(lab, machine, second)
    machine.run("umount /mnt && holdfast-client detach nbd0")

    opener = opener_of(machine, second)
    machine.run(f"{script} stop && test ! -e /proc/{second} && test ! -e /proc/{opener} && test ! -e /run/holdfast-server.pid")
    # As lsb has it: 3 is "not running".
    lab.require(machine.run_status(f"{script} status")[0] == 3, "the status of what was stopped")
    lab.require(machine.run_status("holdfast-client list nbd://127.0.0.1")[0] != 0, "it is stopped, and answers")
    machine.run(f"{script} stop")  # once more is no error
    machine.run(f"{script} start && holdfast-client list nbd://127.0.0.1 | grep -x disk")
    errors = machine.run("dmesg | grep -E 'I/O error|EXT4-fs error' || :")
    lab.require(not errors, errors)
    machine.poweroff()
