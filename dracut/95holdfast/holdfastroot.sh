#!/bin/sh
# Attaches the root disk, and the further disks of the root file system. dracut runs this program as the handler of netroot=holdfast:... each time an interface has been
# configured, with three arguments: INTERFACE NETROOT NEWROOT.
#
# Returns 0 if the disks are attached.

PATH=/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck source=/dev/null
command -v getarg >/dev/null || . /lib/dracut-lib.sh
# shellcheck source=/dev/null
command -v holdfast_boot >/dev/null || . /lib/holdfast-lib.sh

# `boot` writes the root device here, if root= does not name one, and the file system's type and options: ROOT, ROOTFSTYPE,
# ROOTFLAGS.
plan=/conf/param.conf

# The root-path of DHCP takes the place of nbdroot=.
attach_root() {
	mkdir -p "${plan%/*}"
	: >"$plan"
	modprobe nbd || warn "holdfast: the kernel module nbd could not be loaded; it may be missing in this initramfs"
	! getargbool 0 holdfast.toram || modprobe loop || warn "holdfast: the kernel module loop could not be loaded; it may be missing in this initramfs"
	[ -z "${1#holdfast:}" ] || export NBDROOT="${1#holdfast:}"
	holdfast_boot
	holdfast_status=$?
	return "$holdfast_status"
}

# Tells systemd, or dracut's mount hook, the type and options in dracut's form of the parameter.
set_mount_options() {
	[ -n "$ROOTFSTYPE$ROOTFLAGS" ] || return
	if [ -z "$DRACUT_SYSTEMD" ]; then
		# shellcheck disable=SC2016,SC2154  # expanded by the hook; set by dracut
		echo '. '"$plan"'; fstype=${ROOTFSTYPE:-$fstype} rflags=${ROOTFLAGS#-o }${ROOTFLAGS:+${rflags:+,}}$rflags' \
			>"$hookdir/mount/01-holdfast.sh"
		return
	fi
	mkdir -p /run/systemd/system/sysroot.mount.d
	{
		echo '[Mount]'
		[ -z "$ROOTFSTYPE" ] || printf 'Type=%s\n' "$ROOTFSTYPE"
		# shellcheck disable=SC2154  # exported by dracut
		[ -z "$ROOTFLAGS" ] || printf 'Options=%s\n' "${ROOTFLAGS#-o }${rflags:+,$rflags}" | sed 's/%/%%/g'
	} >/run/systemd/system/sysroot.mount.d/holdfast.conf
	systemctl daemon-reload
}

# Makes /dev/root a link to the root device, for mounts that name it.
link_root() {
	[ -n "$ROOT" ] || return
	mkdir -p /run/udev/rules.d
	printf 'SUBSYSTEM=="block", KERNEL=="%s", SYMLINK+="root"\n' "${ROOT#/dev/}" >/run/udev/rules.d/99-holdfast-root.rules
	udevadm control --reload
}

# The rule of lvm2 handles added disks, but attaching an nbd device, or a loop device (holdfast.toram), is a change event.
announce_disk() {
	udevadm trigger --action=add --subsystem-match=block --sysname-match='nbd*' --sysname-match='loop*'
	udevadm settle --timeout=10
}

# The root disk was attached by hand, and no other disk is wanted. Otherwise holdfast_boot leaves the root disk as it is, and
# attaches the others.
is_enough() {
	holdfast_is_attached || return 1
	[ "$holdfast_status" != 2 ] && [ ! -e /run/holdfast-without ] || return 0
	[ ! -e /etc/holdfast/devices ] && ! getarg holdfast.disk= >/dev/null
}

# Status 1 with an attached disk: a further disk of the root file system is missing. Returns 0 to boot without it.
ask_for_further_disk() {
	emergency_shell -n holdfast "holdfast: a further disk of the root file system could not be attached; see above. Exit this shell to \
try again, or attach the disk by hand first: holdfast-client attach --device nbd1 nbd://SERVER:PORT/NAME
To boot without the disk: echo >/run/holdfast-without; a degraded array or an incomplete volume group may not be found then."
	[ -e /run/holdfast-without ]
}

holdfast_is_attached && exit 0
until attach_root "$2"; do
	if [ "$holdfast_status" = 1 ] && holdfast_is_attached; then
		ask_for_further_disk && break
		continue
	fi
	# Reboots or powers off with rd.emergency=; otherwise starts a shell, and tries once more after the shell exits.
	emergency_shell -n holdfast "holdfast: the root disk could not be attached; see above. Exit this shell to try again, or attach \
the disk by hand first: holdfast-client attach --device nbd0 nbd://SERVER:PORT/NAME"
	is_enough && break
done
ROOT='' ROOTFSTYPE='' ROOTFLAGS=''
# shellcheck source=/dev/null
. "$plan"
set_mount_options
link_root
announce_disk
exit 0
