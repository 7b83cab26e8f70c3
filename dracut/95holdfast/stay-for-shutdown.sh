#!/bin/sh
# Keeps the daemon through dracut's shutdown, in which this initramfs is the root file system once more. dracut sources this hook
# (pre-shutdown) before it kills all processes that use the former root file system. A daemon that was replaced during an upgrade
# runs from there; another one takes its place here.

# shellcheck source=/dev/null
command -v holdfast_daemons >/dev/null || . /lib/holdfast-lib.sh

for _daemon in $(holdfast_daemons); do
	case "$(readlink "/proc/$_daemon/exe")" in
		/oldroot/*)
			holdfast-client takeover
			break
			;;
	esac
done
