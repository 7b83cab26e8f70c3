#!/bin/sh
# Keeps the network managers of the starting system from the interface of the root disk. dracut sources this hook (pre-pivot)
# when the root file system is mounted and none of its programs runs yet; /run is passed on to the system.

# Prints the program that becomes process 1, as seen in the root file system. Without init=, systemd prefers itself to
# /sbin/init.
holdfast_init() {
	getarg init= && return
	if [ -n "$DRACUT_SYSTEMD" ] && [ -x "$NEWROOT/usr/lib/systemd/systemd" ]; then
		echo /usr/lib/systemd/systemd
	else
		echo /sbin/init
	fi
}

# Prints the interfaces of the root disk: `keep-network` writes "eth0, eth1 (ADDRESS), ..." into the report.
holdfast_interfaces() {
	sed -e 's/ (.*//' -e 's/,//g' /run/holdfast/nbd*.network 2>/dev/null
}

# Keeps the addresses of an interface beyond the end of the initramfs's network manager.
holdfast_keep_addresses() {
	# The kernel would remove a leased address when the lease ends. The daemon renews the lease.
	ip -4 -o address show dev "$1" dynamic | while read -r _ _ _ _address _; do
		ip address change "$_address" dev "$1" valid_lft forever preferred_lft forever
	done
	# systemd-networkd handles router advertisements in the place of the kernel, which takes them up again.
	if [ -n "$(ip -6 -o address show dev "$1" dynamic)" ]; then
		echo 1 >"/proc/sys/net/ipv6/conf/$1/accept_ra"
	fi
}

if [ -d /run/holdfast ]; then
	holdfast-client keep-network --root "$NEWROOT" --init "$(holdfast_init)"
	for _interface in $(holdfast_interfaces); do
		holdfast_keep_addresses "$_interface"
	done
fi
