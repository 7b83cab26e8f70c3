# SELinux policy modules. The Makefile of selinux-policy-dev builds all modules of a folder, with each other's interfaces, and
# does not support -j.
SELINUX_MODULES := $(patsubst selinux/%.te,%,$(wildcard selinux/*.te))
SELINUX_CIL := holdfast_port $(if $(filter no,$(PROTECT)),,holdfast_client_protect)
SELINUX_PP := $(SELINUX_MODULES:%=build/selinux/%.pp)
SELINUX_DEVEL := /usr/share/selinux/devel/Makefile
build/selinux/.built: $(wildcard selinux/*.te selinux/*.if selinux/*.fc) Makefile
	@[ -e $(SELINUX_DEVEL) ] || { echo "selinux: $(SELINUX_DEVEL) is missing: apt-get install selinux-policy-dev" >&2; exit 1; }
	@rm -rf $(@D) && mkdir -p $(@D) && cp $(filter selinux/%,$^) $(@D)
	$(call SAY,POLICY,$(@D))MAKEFLAGS= make $(if $(filter 0,$(V)),-s) -C $(@D) -f $(SELINUX_DEVEL) $(SELINUX_MODULES:%=%.pp) $(if $(filter 0,$(V)),>$(@D)/log 2>&1 || { cat $(@D)/log >&2; exit 1; })
	@touch $@

selinux: build/selinux/.built ## build the SELinux policy modules, in build/selinux/

# Installs into the policy of the running system; with DESTDIR, only the files, for a package or an image.
install-selinux: selinux ## install and load the modules; PROTECT=no omits the protection of the client
	rm -rf $(DESTDIR)$(SELINUXDIR)/packages/holdfast
	$(INSTALLED) install/run install install/selinux
	$(if $(filter no,$(PROTECT)),,$(INSTALLED) install/run install install/selinux-protect)
	$(if $(DESTDIR),,selinux/modules install $(SELINUXDIR)/packages/holdfast)

uninstall-selinux: ## unload the modules and remove their files
	$(if $(DESTDIR),,selinux/modules remove)
	$(INSTALLED) install/run uninstall install/selinux
	$(INSTALLED) install/run uninstall install/selinux-protect
