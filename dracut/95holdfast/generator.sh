#!/bin/sh
# Generates sysroot.mount for a root disk that no root= names: with nbdroot= alone, root=nbd:... or netroot=nbd:... alone. The
# handler makes /dev/root a link to the disk, and adds the type and options of the file system. Installed into the
# initramfs's system-generators folder; see systemd.generator(7).

# shellcheck source=/dev/null
command -v getarg >/dev/null || . /lib/dracut-lib.sh
# shellcheck source=/dev/null
command -v holdfast_boot >/dev/null || . /lib/holdfast-lib.sh

root=$(getarg root=)
case "$root" in
	"" | nbd:* | dhcp | dhcp6) ;;
	*) exit 0 ;;
esac
holdfast_boot --check >/dev/null 2>&1 || exit 0

# Before the units of systemd's own generators, which read root=, too.
early=$2
mkdir -p "$early/initrd-root-fs.target.requires" "$early/dev-root.device.d"
options=$(getarg rootflags=)
getargbool 0 ro && options="${options:+$options,}ro"
getargbool 0 rw && options="${options:+$options,}rw"
type=$(getarg rootfstype=)
{
	printf '[Unit]\nBefore=initrd-root-fs.target\nRequires=systemd-fsck@dev-root.service\nAfter=systemd-fsck@dev-root.service\n'
	printf '[Mount]\nWhat=/dev/root\nWhere=/sysroot\n'
	[ -z "$type" ] || printf 'Type=%s\n' "$type"
	[ -z "$options" ] || printf 'Options=%s\n' "$options" | sed 's/%/%%/g'
} >"$early/sysroot.mount"
ln -s ../sysroot.mount "$early/initrd-root-fs.target.requires/sysroot.mount"

# No limit but that of the handler (rootdelay=).
timeout=$(getarg rd.timeout)
printf '[Unit]\nJobTimeoutSec=%s\nJobRunningTimeoutSec=%s\n' "${timeout:-0}" "${timeout:-0}" >"$early/dev-root.device.d/timeout.conf"
exit 0
