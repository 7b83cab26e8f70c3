"""A crash of the kernel on a diskless machine: the crash kernel attaches the root disk with the same words, and writes the dump to it."""

from lab import Lab, test
from scenes import outages


@test("after a panic the crash kernel attaches the root disk in 256 MB, with the session before it fenced, and the dump is on the disk",
      long=True, timeout=2400)
def dump(lab: Lab) -> None:
    scene = outages.start(lab, 12, packages=("kdump-tools", "makedumpfile"), memory=768, exit_on_reboot=False,
                          append="crashkernel=256M", load=False)
    machine = scene.machine
    machine.run("test $(cat /sys/kernel/kexec_crash_size) = $((256 << 20))")
    machine.run("systemctl stop kdump-tools; kdump-config unload; KVER=$(uname -r); /etc/kernel/postinst.d/kdump-tools $KVER && "
                "kdump-config symlinks $KVER && kdump-config load && test $(cat /sys/kernel/kexec_crash_loaded) = 1", timeout=900)
    scene.load()
    machine.run("sync")
    acked = outages.acknowledged(machine)
    machine.reboot("sh -c 'echo c >/proc/sysrq-trigger'")  # reboot() has a use of its own for the output
    machine.expect("Kernel panic - not syncing: sysrq triggered crash")
    machine.expect("Linux version")
    machine.expect("Begin: Mounting root file system", timeout=outages.PATIENCE)
    machine.expect("saved vmcore in /var/crash", timeout=900)
    machine.expect("Linux version", timeout=outages.PATIENCE)
    machine.login()
    machine.run("findmnt -n -o SOURCE / | grep -x /dev/nbd0")
    machine.run("file=$(ls /var/crash/*/dump.*) && test $(stat -c %s $file) -gt 1000000 && head -c 65536 $file | grep -a makedumpfile")
    machine.run("grep -l 'sysrq triggered crash' /var/crash/*/dmesg.*")
    # The first boot's session was fenced by that of the crash kernel, whose session was fenced by that of the second boot.
    lab.require(scene.server.text().count(" fenced: ") >= 2, scene.server.text())
    outages.kernel_errors(machine)
    machine.poweroff(timeout=outages.PATIENCE)
    scene.server.stop()
    lab.check_file_system(scene.disk)
    outages.verify_on_host(lab, scene.disk, acked)
