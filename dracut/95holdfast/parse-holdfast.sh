#!/bin/sh
# Decides whether the kernel command line names a root disk for holdfast-client, and checks it. dracut sources this hook
# (cmdline), and again if netroot=dhcp is given and DHCP has supplied a root-path ($netroot).
#
# The value of $netroot selects the program that dracut runs once the network is up: /sbin/holdfastroot for "holdfast:".
# After the colon is the root-path of DHCP, or nothing if holdfast-client reads the command line.

# shellcheck source=/dev/null
command -v holdfast_boot >/dev/null || . /lib/holdfast-lib.sh

# Checks the parameters; if they name no disk, the root-path.
holdfast_problem=$(holdfast_boot --check 2>&1)
holdfast_status=$?
holdfast_netroot=holdfast:
case "$holdfast_status$netroot" in
	3nbd:*)
		holdfast_problem=$(export NBDROOT="$netroot" && holdfast_boot --check 2>&1)
		holdfast_status=$?
		holdfast_netroot=holdfast:$netroot
		;;
esac

case "$holdfast_status" in
	0)
		netroot=$holdfast_netroot
		if getargbool 0 holdfast.toram; then
			case "$root" in
				*/dev/nbd*) die "holdfast.toram: $root is detached after the copy; leave root= out, or name the file system: root=UUID=..." ;;
			esac
		fi
		# Without a device in root=, the handler creates /dev/root.
		case "$root" in
			"" | nbd:* | dhcp | dhcp6 | /dev/root) root=block:/dev/root ;;
		esac
		# shellcheck disable=SC2034  # read by dracut
		rootok=1
		# shellcheck disable=SC2154  # set by dracut
		echo '. /lib/holdfast-lib.sh; holdfast_is_attached' >"$hookdir/initqueue/finished/holdfast.sh"
		;;
	3) ;;
	*)
		# A shell without rd.shell=0, otherwise power-off, or rd.emergency=. A mistake here cannot be mended in the shell.
		emergency_shell -n holdfast "$holdfast_problem"
		die "$holdfast_problem"
		;;
esac
unset holdfast_problem holdfast_status holdfast_netroot
