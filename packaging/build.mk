# Debian packages.
.PHONY: deb

deb: ## build the Debian packages, in build/deb; DEB_BUILD_OPTIONS=nocheck omits the unit tests
	@tests/harness/deps debhelper systemd
	@packaging/deb
