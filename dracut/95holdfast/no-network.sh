#!/bin/sh
# Tries to attach the root disk although no interface has been reported as configured, so that the reason appears on the console.
# dracut sources this hook (initqueue/timeout) repeatedly, after two thirds of rd.retry.

# shellcheck disable=SC2154  # set by dracut
case "$netroot" in
	holdfast:*) /sbin/holdfastroot none "$netroot" "$NEWROOT" ;;
esac
