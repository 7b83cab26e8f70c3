# The guide in HTML, of the manual pages. Begins with the overview and the rest of section 7; commands before files.
GUIDE_PAGES := manual/holdfast.7 $(filter-out manual/holdfast.7,$(sort $(wildcard manual/*.7))) \
    $(foreach folder,client server netboot provision selinux,$(foreach section,8 5,$(sort $(wildcard $(folder)/*.$(section)))))
build/guide/index.html: $(GUIDE_PAGES) manual/guide manual/guide.css manual/build.mk Makefile
	@command -v mandoc >/dev/null || { echo "guide: mandoc is missing: apt-get install mandoc" >&2; exit 1; }
	$(call SAY,GUIDE,$(@D))manual/guide $(@D) $(VERSION) $(GUIDE_PAGES)

.PHONY: guide install-guide
guide: build/guide/index.html ## make the manual pages as HTML, in build/guide

install-guide: guide ## install only the guide
	$(INSTALLED) install/run install install/guide
