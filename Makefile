# Holdfast's one Makefile. `make help` lists what it can do.
#
# Objects of one flavour live in one folder: build/ for the plain one, build/address,undefined/ and build/thread/ for the
# sanitizers'. The rules of a flavour come from one template, so one run of make can build several of them.

VERSION := 0.1.0

PREFIX ?= /usr
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/holdfast
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
# These two are read at fixed places, whatever PREFIX is.
INITRAMFSDIR ?= /usr/share/initramfs-tools
UNITDIR ?= /lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
GENERATORDIR ?= /lib/systemd/system-generators
INITDIR ?= /etc/init.d
SELINUXDIR ?= /usr/share/selinux
DESTDIR ?=

CXX ?= g++
# What was compiled before, in this tree or in another clone, is taken from the compile cache where there is one.
ifneq ($(shell command -v ccache),)
ifeq ($(origin CXX),default)
CXX := ccache g++
endif
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
endif
# libfmt is compiled into the programs (common/text/format.cc), and without std::locale, which is larger than all the rest.
CPPFLAGS += -I. -DHOLDFAST_VERSION='"$(VERSION)"' -DFMT_STATIC_THOUSANDS_SEPARATOR="','"
CXXFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wold-style-cast
ifdef WERROR
WARNINGS += -Werror
endif
# Sections that nothing needs are dropped at the link: what remains is carried into every initramfs.
ALL_CXXFLAGS = -std=c++23 $(WARNINGS) $(CXXFLAGS) -ffunction-sections -fdata-sections -fstack-protector-strong -pthread -MMD -MP
ALL_LDFLAGS = $(LDFLAGS) -Wl,--gc-sections -Wl,-z,relro,-z,now -pthread
NL_CFLAGS := -I/usr/include/libnl3
NL_LIBS := -lnl-genl-3 -lnl-3
CLIENT_LIBS := $(NL_LIBS) -lcap-ng
SERVER_LIBS := -lcap-ng -lseccomp

V ?= 0
ifeq ($(V),0)
SAY = @printf '  %-7s %s\n' $(1) $(2);
else
SAY =
endif

COMMON := $(wildcard common/*/*.cc)
CLIENT := $(wildcard client/*.cc client/*/*.cc)
SERVER := $(wildcard server/*.cc server/*/*.cc)
UNIT := $(wildcard tests/unit/*.cc tests/unit/*/*/*.cc)
WITHOUT_MAIN := $(filter-out client/main.cc server/main.cc,$(COMMON) $(CLIENT) $(SERVER))

SANITIZERS := address,undefined thread
comma := ,
# build/ for no sanitizer, else build/NAME/
dir_of = build/$(if $(1),$(1)/)
objects_of = $(patsubst %.cc,$(call dir_of,$(1))obj/%.o,$(2))

FLAVOUR := $(SANITIZE)
BUILD := $(call dir_of,$(FLAVOUR))

# All cores, unless -j says otherwise.
ifeq ($(filter -j% --jobs%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all check check-unit check-sanitize check-interop check-fuzz check-selinux check-vm check-long fuzz demo bench bench-vm bench-outage install uninstall selinux install-selinux uninstall-selinux deps format lint clean help

all: $(BUILD)holdfast-client $(BUILD)holdfast-server ## the two programs, in build/

# Of a flavour: its compiler's options, its linker's. What tests is not optimized, since compiling it takes longer than running it.
cxxflags_of = $(if $(1),-O0 -g1 -fsanitize=$(1) -fno-omit-frame-pointer)
ldflags_of = $(if $(1),-fsanitize=$(1))

# The client is one thread: the thread sanitizer has nothing to see in it, and its sources and tests are left out there.
TESTS_OF_CLIENT := $(shell grep -l '"client/' $(UNIT))
tested_in = $(if $(filter thread,$(1)),$(filter-out client/% $(TESTS_OF_CLIENT),$(WITHOUT_MAIN) $(UNIT)),$(WITHOUT_MAIN) $(UNIT))

# $(1): the sanitizers of the flavour, or nothing
define FLAVOUR_RULES
$(call dir_of,$(1))obj/%.o: %.cc Makefile
	@mkdir -p $$(@D)
	$$(call SAY,CXX,$$@)$$(CXX) $$(CPPFLAGS) $$(NL_CFLAGS) $$(if $$(filter tests/%,$$<),-DHOLDFAST_SOURCE_DIR='"$$(CURDIR)"') $$(ALL_CXXFLAGS) $(call cxxflags_of,$(1)) $$(if $$(filter tests/%,$$<),-O0 -g1) -c -o $$@ $$<

$(call dir_of,$(1))holdfast-client: $(call objects_of,$(1),$(COMMON) $(CLIENT))
	$$(call SAY,LINK,$$@)$$(CXX) $(call ldflags_of,$(1)) $(if $(1),,-static-libstdc++ -static-libgcc) $$(ALL_LDFLAGS) -o $$@ $$^ $$(CLIENT_LIBS)

$(call dir_of,$(1))holdfast-server: $(call objects_of,$(1),$(COMMON) $(SERVER))
	$$(call SAY,LINK,$$@)$$(CXX) $(call ldflags_of,$(1)) $$(ALL_LDFLAGS) -o $$@ $$^ $$(SERVER_LIBS)

$(call dir_of,$(1))unit-tests: $(call objects_of,$(1),$(call tested_in,$(1)))
	$$(call SAY,LINK,$$@)$$(CXX) $(call ldflags_of,$(1)) $$(ALL_LDFLAGS) -o $$@ $$^ $$(CLIENT_LIBS) $$(SERVER_LIBS)

-include $$(patsubst %.o,%.d,$(call objects_of,$(1),$(COMMON) $(CLIENT) $(SERVER) $(UNIT)))
endef
$(foreach flavour,plain $(SANITIZERS),$(eval $(call FLAVOUR_RULES,$(filter-out plain,$(flavour)))))
ifneq ($(FLAVOUR),)
ifeq ($(filter $(FLAVOUR),$(SANITIZERS)),)
$(eval $(call FLAVOUR_RULES,$(FLAVOUR)))
endif
endif

# The client that aborts when its daemon does after its seal what it must not (client/process/seal.hh): one object is another.
SEALED_CLIENT := build/sealed/holdfast-client
build/sealed/seal.o: client/process/seal.cc client/process/seal.hh Makefile
	@mkdir -p $(@D)
	$(call SAY,CXX,$@)$(CXX) $(CPPFLAGS) -DHOLDFAST_SEAL_CHECK $(ALL_CXXFLAGS) -c -o $@ $<
$(SEALED_CLIENT): $(filter-out %/client/process/seal.o,$(call objects_of,,$(COMMON) $(CLIENT))) build/sealed/seal.o
	$(call SAY,LINK,$@)$(CXX) -static-libstdc++ -static-libgcc $(ALL_LDFLAGS) -o $@ $^ $(CLIENT_LIBS)
SEAL_PROBE := build/sealed/probe
$(SEAL_PROBE): tests/tree/seal_probe.cc $(call objects_of,,$(wildcard common/linux/*.cc common/text/*.cc)) build/sealed/seal.o
	$(call SAY,LINK,$@)$(CXX) $(CPPFLAGS) $(ALL_CXXFLAGS) $(ALL_LDFLAGS) -o $@ $^
# What makes the load of a thousand clients for `make bench`.
BENCH_LOAD := build/bench-load
$(BENCH_LOAD): tests/bench/load.cc $(call objects_of,,$(wildcard common/*/*.cc)) Makefile
	$(call SAY,LINK,$@)$(CXX) $(CPPFLAGS) $(ALL_CXXFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.cc %.o,$^)
-include build/bench-load.d
# The targets in which a shutdown ends, and the one that all of them begin with (systemd/holdfast-until@.socket).
ENDINGS := poweroff reboot halt kexec shutdown
INSTALLED_CLIENT := $(if $(SEAL_CHECK),$(SEALED_CLIENT),$(BUILD)holdfast-client)

# The policy modules; selinux-policy-dev's Makefile builds all of a folder, with each other's interfaces. It is not made for -j.
SELINUX_MODULES := $(patsubst selinux/%.te,%,$(wildcard selinux/*.te))
SELINUX_CIL := holdfast_port $(if $(filter no,$(PROTECT)),,holdfast_client_protect)
SELINUX_PP := $(SELINUX_MODULES:%=build/selinux/%.pp)
SELINUX_DEVEL := /usr/share/selinux/devel/Makefile
build/selinux/.built: $(wildcard selinux/*.te selinux/*.if selinux/*.fc) Makefile
	@[ -e $(SELINUX_DEVEL) ] || { echo "selinux: $(SELINUX_DEVEL) is missing: apt-get install selinux-policy-dev" >&2; exit 1; }
	@rm -rf $(@D) && mkdir -p $(@D) && cp $(filter selinux/%,$^) $(@D)
	$(call SAY,POLICY,$(@D))MAKEFLAGS= make $(if $(filter 0,$(V)),-s) -C $(@D) -f $(SELINUX_DEVEL) $(SELINUX_MODULES:%=%.pp) $(if $(filter 0,$(V)),>$(@D)/log 2>&1 || { cat $(@D)/log >&2; exit 1; })
	@touch $@

# The fuzzers: libFuzzer's, so clang's, over the code that reads what others wrote. One archive, from which each takes what it
# needs. Clang before 18 does not compile libstdc++'s <expected>.
FUZZ_CXX ?= $(if $(shell command -v ccache),ccache clang++-19,clang++-19)
FUZZ_TARGETS := $(patsubst tests/fuzz/%.cc,%,$(wildcard tests/fuzz/*.cc))
FUZZED := $(wildcard common/protocol/*.cc) $(wildcard common/text/*.cc) $(addprefix common/linux/,log.cc log_backlog.cc socket_name.cc text_file.cc) \
    server/access/access.cc server/access/access_file.cc server/config/access_table.cc server/access/address.cc server/access/admission.cc \
    server/connection/block_status.cc server/volume/block_volume.cc server/transport/budget.cc server/transport/buffers.cc server/transport/busy_poll.cc \
    server/transport/coalescing.cc server/config/config.cc server/config/config_file.cc server/config/config_keys.cc server/config/config_packing.cc \
    server/config/config_value.cc server/export/counters.cc server/opener/disk_identity.cc server/opener/disk_opening.cc server/export/disks_in_use.cc \
    server/export/exports.cc server/volume/file_volume.cc server/volume/flusher.cc server/process/helper_process.cc server/opener/holders.cc \
    server/listen/inherited_sockets.cc server/transport/input.cc server/volume/jobs.cc server/listen/listener.cc server/access/log_limit.cc server/volume/loss_record.cc \
    server/volume/losses.cc server/opener/opener_link.cc server/opener/opener_wire.cc server/transport/outbox.cc server/process/packing.cc server/connection/page_pipe.cc \
    server/access/peer.cc server/transport/pipe_pool.cc server/process/question.cc server/connection/requests.cc server/export/sessions.cc server/transport/socket_io.cc \
    server/status/status_report.cc server/status/status_socket.cc server/process/thread.cc server/connection/transmission.cc server/volume/volume.cc \
    server/volume/volume_registry.cc client/boot/boot_environment.cc client/boot/boot_plan.cc client/config/choices.cc client/config/config.cc \
    client/control/control.cc client/config/devices.cc client/lease/dhcp_message.cc client/address/export_address.cc client/command/help.cc client/lease/lease.cc \
    client/boot/network_owners.cc client/command/options.cc client/control/record.cc client/daemon/retry.cc client/control/state_file.cc client/control/status.cc \
    client/kernel/usage.cc
FUZZ_FLAGS := -std=c++23 -O1 -g1 -fno-omit-frame-pointer -fno-sanitize-recover=undefined -Wall -Wextra $(if $(WERROR),-Werror)
build/fuzz/obj/%.o: %.cc Makefile
	@mkdir -p $(@D)
	$(call SAY,FUZZ,$@)$(FUZZ_CXX) $(CPPFLAGS) $(NL_CFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<
build/fuzz/fuzzed.a: $(FUZZED:%.cc=build/fuzz/obj/%.o)
	@rm -f $@
	$(call SAY,AR,$@)ar rcs $@ $^
build/fuzz/bin/%: build/fuzz/obj/tests/fuzz/%.o build/fuzz/fuzzed.a
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(FUZZ_CXX) -fsanitize=fuzzer,address,undefined -o $@ $^
FUZZERS := $(FUZZ_TARGETS:%=build/fuzz/bin/%)
.SECONDARY: $(FUZZ_TARGETS:%=build/fuzz/obj/tests/fuzz/%.o)
-include $(patsubst %.cc,build/fuzz/obj/%.d,$(FUZZED) $(FUZZ_TARGETS:%=tests/fuzz/%.cc))

SANITIZED := $(foreach s,$(SANITIZERS),$(addprefix $(call dir_of,$(s)),holdfast-server unit-tests $(if $(filter thread,$(s)),,holdfast-client)))

# What the two commands of the README need is installed first; with everything there this takes no time. The rest of the
# run must come after it, also under -j: hence the order.
ifneq ($(filter check check-long fuzz demo bench bench-vm bench-outage,$(MAKECMDGOALS)),)
$(foreach f,$(sort $(COMMON) $(CLIENT) $(SERVER) $(UNIT) tests/bench/load.cc $(wildcard tests/fuzz/*.cc)),$(eval $(f): | deps))
build/selinux/.built: | deps
endif

check: deps all $(BUILD)unit-tests $(SEAL_PROBE) $(SANITIZED) $(FUZZERS) selinux ## every test but the long ones: unit, sanitizers, fuzzing, interop on loopback, SELinux policy, virtual machines
	@tests/check unit sanitize fuzz interop selinux vm

check-unit: all $(BUILD)unit-tests $(SEAL_PROBE) ## the unit tests and the checks of the tree; SANITIZE= picks the flavour
	@tests/check --build $(BUILD) unit

check-sanitize: all $(SANITIZED) ## unit and interop tests under the address, undefined and thread sanitizers
	@tests/check sanitize

check-interop: all ## our server and the clients of others, on loopback
	@tests/check --build $(BUILD) interop

check-fuzz: $(FUZZERS) ## every fuzzing target with its corpus, for seconds
	@tests/check fuzz

check-selinux: selinux ## what the SELinux modules allow, computed over this machine's policy; no kernel is asked
	@tests/check selinux

check-vm: all ## real kernels in virtual machines; T=name runs the tests whose names contain it
	@tests/check vm $(if $(T),--only "$(T)")

check-long: deps all ## the tests in virtual machines that `make check` leaves out, because they take long; T= too
	@tests/check vm-long $(if $(T),--only "$(T)")

fuzz: deps $(if $(FUZZ),$(FUZZ:%=build/fuzz/bin/%),$(FUZZERS)) ## fuzzes FUZZ=target (else each in turn) for SECONDS=60; findings stay in build/fuzz
	@tests/fuzz/run --grow --seconds $(or $(SECONDS),60) $(FUZZ)

demo: deps all ## a diskless Debian boots by PXE from a logical volume, survives, shuts down; INTERACTIVE=1 for its console
	@tests/vm/demo $(if $(INTERACTIVE),--interactive)

bench: deps all $(BENCH_LOAD) ## our server beside nbd-server, nbdkit and qemu-nbd in one run (half an hour); ARGS=--help
	@tests/bench/run $(ARGS)

bench-vm: deps all ## the same between two virtual machines, beside nbdkit, NVMe/TCP and iSCSI (a quarter of an hour); ARGS=--help
	@tests/bench/vm $(ARGS)

bench-outage: deps all ## how soon a disk is back after an outage, beside nbd-client, NVMe/TCP and iSCSI (over an hour); ARGS=--help
	@tests/bench/outage $(ARGS)

deps: ## installs the Debian packages that building and testing need
	@tests/harness/deps

install: $(INSTALLED_CLIENT) $(BUILD)holdfast-server ## into DESTDIR, below PREFIX (default /usr)
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(DOCDIR) \
	    $(DESTDIR)$(COMPLETIONDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(GENERATORDIR) $(DESTDIR)$(INITDIR) \
	    $(DESTDIR)$(UNITDIR)/sockets.target.wants $(DESTDIR)$(SYSUSERSDIR) \
	    $(DESTDIR)$(INITRAMFSDIR)/hooks $(addprefix $(DESTDIR)$(INITRAMFSDIR)/scripts/,local-top local-bottom)
	install -s -m 755 $(INSTALLED_CLIENT) $(BUILD)holdfast-server $(DESTDIR)$(SBINDIR)
	install -m 644 client/holdfast-client.8 server/holdfast-server.8 $(DESTDIR)$(MANDIR)/man8
	install -m 644 client/holdfast-client.conf.5 client/holdfast-devices.5 server/holdfast-server.conf.5 $(DESTDIR)$(MANDIR)/man5
	install -m 644 README.md LICENSE client/client.conf.example $(DESTDIR)$(DOCDIR)
	install -m 644 client/holdfast-client.bash-completion $(DESTDIR)$(COMPLETIONDIR)/holdfast-client
	install -m 644 server/holdfast-server.bash-completion $(DESTDIR)$(COMPLETIONDIR)/holdfast-server
	install -m 644 systemd/holdfast-until@.socket systemd/holdfast-until@.service systemd/holdfast-server.socket $(DESTDIR)$(UNITDIR)
	$(foreach t,$(ENDINGS),ln -sf ../holdfast-until@.socket $(DESTDIR)$(UNITDIR)/sockets.target.wants/holdfast-until@$(t).socket;)
	sed 's,/usr/sbin/holdfast-,$(SBINDIR)/holdfast-,' initramfs-hooks/hook > $(DESTDIR)$(INITRAMFSDIR)/hooks/holdfast
	install -m 755 initramfs-hooks/local-top $(DESTDIR)$(INITRAMFSDIR)/scripts/local-top/holdfast
	install -m 755 initramfs-hooks/local-bottom $(DESTDIR)$(INITRAMFSDIR)/scripts/local-bottom/holdfast
	for unit in holdfast-server.service holdfast@.service; do \
	    sed 's,/usr/sbin/holdfast-,$(SBINDIR)/holdfast-,' systemd/$$unit > $(DESTDIR)$(UNITDIR)/$$unit || exit; \
	    chmod 644 $(DESTDIR)$(UNITDIR)/$$unit || exit; \
	done
	# systemd would make a unit of the init script; its own are holdfast@.service.
	ln -sf /dev/null $(DESTDIR)$(UNITDIR)/holdfast-client.service
	sed 's,/usr/sbin/holdfast-,$(SBINDIR)/holdfast-,; s,/lib/systemd/system/,$(UNITDIR)/,' systemd/holdfast-generator > $(DESTDIR)$(GENERATORDIR)/holdfast-generator
	chmod 755 $(DESTDIR)$(GENERATORDIR)/holdfast-generator
	for script in holdfast-client holdfast-server; do \
	    sed 's,/usr/sbin/holdfast-,$(SBINDIR)/holdfast-,' sysvinit/$$script > $(DESTDIR)$(INITDIR)/$$script || exit; \
	    chmod 755 $(DESTDIR)$(INITDIR)/$$script || exit; \
	done
	chmod 755 $(DESTDIR)$(INITRAMFSDIR)/hooks/holdfast
	install -m 644 systemd/holdfast-server.sysusers $(DESTDIR)$(SYSUSERSDIR)/holdfast-server.conf
	# The server's user, which its unit needs. Without systemd-sysusers the server stays root, and says what to do.
	$(if $(DESTDIR),,! command -v systemd-sysusers >/dev/null || systemd-sysusers $(SYSUSERSDIR)/holdfast-server.conf)

uninstall: ## removes what install put there
	rm -f $(DESTDIR)$(SBINDIR)/holdfast-client $(DESTDIR)$(SBINDIR)/holdfast-server \
	    $(DESTDIR)$(MANDIR)/man8/holdfast-client.8 $(DESTDIR)$(MANDIR)/man8/holdfast-server.8 \
	    $(DESTDIR)$(MANDIR)/man5/holdfast-client.conf.5 $(DESTDIR)$(MANDIR)/man5/holdfast-server.conf.5 \
	    $(DESTDIR)$(MANDIR)/man5/holdfast-devices.5 \
	    $(DESTDIR)$(DOCDIR)/README.md $(DESTDIR)$(DOCDIR)/LICENSE $(DESTDIR)$(DOCDIR)/client.conf.example \
	    $(DESTDIR)$(COMPLETIONDIR)/holdfast-client $(DESTDIR)$(COMPLETIONDIR)/holdfast-server \
	    $(DESTDIR)$(UNITDIR)/holdfast-server.socket $(DESTDIR)$(UNITDIR)/holdfast-until@.socket $(DESTDIR)$(UNITDIR)/holdfast-until@.service \
	    $(foreach t,$(ENDINGS),$(DESTDIR)$(UNITDIR)/sockets.target.wants/holdfast-until@$(t).socket) \
	    $(DESTDIR)$(INITRAMFSDIR)/hooks/holdfast \
	    $(addprefix $(DESTDIR)$(INITRAMFSDIR)/scripts/,local-top/holdfast local-bottom/holdfast) \
	    $(DESTDIR)$(UNITDIR)/holdfast-server.service $(DESTDIR)$(UNITDIR)/holdfast@.service \
	    $(DESTDIR)$(SYSUSERSDIR)/holdfast-server.conf \
	    $(DESTDIR)$(UNITDIR)/holdfast-client.service $(DESTDIR)$(GENERATORDIR)/holdfast-generator \
	    $(DESTDIR)$(INITDIR)/holdfast-client $(DESTDIR)$(INITDIR)/holdfast-server
	-rmdir --ignore-fail-on-non-empty $(DESTDIR)$(DOCDIR)

selinux: build/selinux/.built ## the SELinux policy modules, in build/selinux/

# Into the running system's policy, or with DESTDIR only their files, for a package or an image to install.
install-selinux: selinux ## the modules, installed and put in force; PROTECT=no leaves the client's protection out
	rm -rf $(DESTDIR)$(SELINUXDIR)/packages/holdfast
	install -d $(DESTDIR)$(SELINUXDIR)/packages/holdfast $(DESTDIR)$(SELINUXDIR)/devel/include/services \
	    $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(DOCDIR)
	install -m 644 $(SELINUX_PP) $(SELINUX_CIL:%=selinux/%.cil) $(DESTDIR)$(SELINUXDIR)/packages/holdfast
	install -m 644 $(SELINUX_MODULES:%=selinux/%.if) $(DESTDIR)$(SELINUXDIR)/devel/include/services
	install -m 644 selinux/holdfast_selinux.8 $(DESTDIR)$(MANDIR)/man8
	install -m 644 selinux/70-holdfast-volumes.rules.example $(DESTDIR)$(DOCDIR)
	$(if $(DESTDIR),,selinux/modules install $(SELINUXDIR)/packages/holdfast)

uninstall-selinux: ## takes the modules out of the policy, and removes what install-selinux put there
	$(if $(DESTDIR),,selinux/modules remove)
	rm -rf $(DESTDIR)$(SELINUXDIR)/packages/holdfast
	rm -f $(SELINUX_MODULES:%=$(DESTDIR)$(SELINUXDIR)/devel/include/services/%.if) \
	    $(DESTDIR)$(MANDIR)/man8/holdfast_selinux.8 $(DESTDIR)$(DOCDIR)/70-holdfast-volumes.rules.example
	-rmdir --ignore-fail-on-non-empty $(DESTDIR)$(DOCDIR)

format: ## clang-format over all sources
	clang-format -i $$(git ls-files '*.cc' '*.hh')

lint: ## formatting, shell scripts, man pages, include rules
	tests/tree/lint

clean: ## removes build/ (the images of the virtual machines stay in the user's cache)
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  Variables: SANITIZE=address,undefined|thread  SEAL_CHECK=1  PROTECT=no  WERROR=1  V=1  DESTDIR=  PREFIX=/usr  T=  FUZZ=  SECONDS=  INTERACTIVE=1  ARGS='
