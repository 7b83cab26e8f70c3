# The guide in HTML, of the manual pages. Begins with section 7; commands before files.
GUIDE_PAGES := manual/holdfast.7 manual/holdfast-troubleshooting.7 client/holdfast-client.8 client/holdfast-client.conf.5 \
    client/holdfast-devices.5 server/holdfast-server.8 server/holdfast-server.conf.5 selinux/holdfast_selinux.8
build/guide/index.html: $(GUIDE_PAGES) manual/guide manual/guide.css Makefile
	@command -v mandoc >/dev/null || { echo "guide: mandoc is missing: apt-get install mandoc" >&2; exit 1; }
	$(call SAY,GUIDE,$(@D))manual/guide $(@D) $(VERSION) $(GUIDE_PAGES)

.PHONY: guide install-guide
guide: build/guide/index.html ## make the manual pages as HTML, in build/guide

install-guide: guide ## install only the guide
	$(INSTALLED) install/run install install/guide
