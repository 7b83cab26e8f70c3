# Installation: its folders, the templates of installed files, and the targets.

PREFIX ?= /usr
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/holdfast
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
# Fixed locations, independent of PREFIX.
INITRAMFSDIR ?= /usr/share/initramfs-tools
DRACUTDIR ?= /usr/lib/dracut
UNITDIR ?= /lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
TMPFILESDIR ?= /usr/lib/tmpfiles.d
GENERATORDIR ?= /lib/systemd/system-generators
INITDIR ?= /etc/init.d
APPARMORDIR ?= /etc/apparmor.d
# client/boot/network_managers.cc has this path, too.
LIBEXECDIR ?= /usr/libexec/holdfast
KERNELHOOKDIR ?= /etc/kernel
INITRAMFSHOOKDIR ?= /etc/initramfs
FIREWALLDIR ?= /usr/lib/firewalld/services
SELINUXDIR ?= /usr/share/selinux
DESTDIR ?=

# The lists of installed files (install/files, guide, selinux, selinux-protect) have variables from here; templates are filled here.
INSTALLED_CLIENT := $(if $(SEAL_CHECK),$(SEALED_CLIENT),$(BUILD)holdfast-client)
INSTALLED := CLIENT='$(INSTALLED_CLIENT)' SERVER='$(BUILD)holdfast-server' NETBOOT='$(BUILD)holdfast-netboot' \
    PROVISION='$(BUILD)holdfast-provision' \
    $(foreach v,DESTDIR SBINDIR MANDIR DOCDIR COMPLETIONDIR INITRAMFSDIR DRACUTDIR UNITDIR SYSUSERSDIR TMPFILESDIR GENERATORDIR INITDIR \
    KERNELHOOKDIR INITRAMFSHOOKDIR \
    LIBEXECDIR APPARMORDIR FIREWALLDIR SELINUXDIR,$(v)='$($(v))')
TEMPLATES := $(patsubst %.in,build/in/%,$(wildcard systemd/*.in sysvinit/*.in initramfs-hooks/*.in dracut/*/*.in))
# Rebuilt each time, because the variables may differ.
.PHONY: $(TEMPLATES)
$(TEMPLATES): build/in/%: %.in
	@mkdir -p $(@D)
	@sed 's,@SBINDIR@,$(SBINDIR),g; s,@UNITDIR@,$(UNITDIR),g; s,@LIBEXECDIR@,$(LIBEXECDIR),g' $< > $@

install: $(INSTALLED_CLIENT) $(BUILD)holdfast-server $(BUILD)holdfast-netboot $(BUILD)holdfast-provision $(TEMPLATES) install-guide ## install into DESTDIR, below PREFIX (default /usr)
	$(INSTALLED) install/run install install/files
	# Creates the user required by the unit of the server. Without systemd-sysusers, the server keeps uid 0 and logs this.
	$(if $(DESTDIR),,! command -v systemd-sysusers >/dev/null || systemd-sysusers $(SYSUSERSDIR)/holdfast-server.conf)

uninstall: ## remove the installed files
	$(INSTALLED) install/run uninstall install/guide
	$(INSTALLED) install/run uninstall install/files
