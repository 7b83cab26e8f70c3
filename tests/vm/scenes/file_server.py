"""A file server in a machine of its own, with the address that its unit sets at every boot."""
SERVER = "10.77.0.2"
# Files that configure the server's machine at every boot. net.ifnames=0 is on its kernel command line.
FILES = {
    "/etc/holdfast/server.conf": f"[generic]\nlistenaddr = {SERVER}\nallowlist = true\n[root]\nexportname = /dev/vdb\nsync = true\n"
                                 "[first]\nexportname = /dev/vdc\ncache = writeback\n[second]\nexportname = /dev/vdd\ncache = writeback\n",
    "/etc/systemd/system/lab-address.service": f"""[Unit]
Before=holdfast-server.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/sbin/ip link set eth0 up
ExecStart=/sbin/ip address replace {SERVER}/24 dev eth0
[Install]
WantedBy=multi-user.target
""",
}
