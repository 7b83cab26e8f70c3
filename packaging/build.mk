# Debian packages, and an apt repository of them.
.PHONY: deb apt-repository check-packages

deb: ## build the Debian packages, in build/deb; DEB_BUILD_OPTIONS=nocheck omits the unit tests
	@packaging/deb

apt-repository: deb ## make an apt repository of the packages, in build/apt-repository; KEY= signs it with a key of gpg
	@packaging/apt-repository $(if $(KEY),--key "$(KEY)")

check-packages: all selinux ## test the packages: contents, build, and life in a chroot
	@tests/check packages packages-long
