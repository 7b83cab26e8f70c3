#!/bin/sh
# Mounts the overlay of holdfast.overlay=. dracut sources this hook (pre-pivot) when the root file system is mounted and none of its
# programs runs yet.

if [ -d /run/holdfast ]; then
	# shellcheck disable=SC2154  # set by dracut
	holdfast_prepare_root() {
		getcmdline >/tmp/holdfast.cmdline
		! getarg holdfast.overlay= >/dev/null || modprobe overlay
		holdfast-client prepare-root --root "$NEWROOT" --cmdline /tmp/holdfast.cmdline
	}
	until holdfast_prepare_root; do
		emergency_shell -n holdfast "holdfast: the overlay in memory could not be mounted; see above. Exit this shell to try again."
	done
	unset -f holdfast_prepare_root
fi
