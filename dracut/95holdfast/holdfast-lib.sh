#!/bin/sh
# Functions of the scripts in this folder. Sourced after dracut-lib.sh.

# Runs `holdfast-client boot` with the parameters that dracut uses: those of the kernel and of /etc/cmdline.d.
holdfast_boot() {
	getcmdline >/tmp/holdfast.cmdline
	holdfast-client boot --cmdline /tmp/holdfast.cmdline "$@"
}

# True also for a disk that was copied to memory and detached (holdfast.toram).
holdfast_is_attached() {
	[ ! -L /run/holdfast/copy ] || return 0
	for _attached in /sys/block/nbd*/pid; do
		[ -e "$_attached" ] && return 0
	done
	return 1
}

# Prints the process IDs of the daemons. /sys/block/nbdN/pid has that of the first one.
holdfast_daemons() {
	cat /run/sendsigs.omit.d/holdfast-nbd* 2>/dev/null
}
