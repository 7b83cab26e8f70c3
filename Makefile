# `make help` lists the targets.
#
# Each build flavour has its own folder for objects: build/ without sanitizers, build/address,undefined/ and build/thread/ for
# the sanitizers. All flavours share one template of rules, so that one run of make can build several of them.

VERSION := 0.1.0

CXX ?= g++
# Reuses objects compiled before, in this tree or in another clone, if ccache is installed.
ifneq ($(shell command -v ccache),)
ifeq ($(origin CXX),default)
CXX := ccache g++
endif
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
endif
# Compiles libfmt into the programs (common/text/format.cc), without std::locale, which is larger than all the rest, and
# without the numbers that no program prints.
CPPFLAGS += -I. -DHOLDFAST_VERSION='"$(VERSION)"' -DFMT_STATIC_THOUSANDS_SEPARATOR="','" -DFMT_USE_FLOAT=0 -DFMT_USE_DOUBLE=0 \
	-DFMT_USE_LONG_DOUBLE=0 -DFMT_USE_INT128=0
CXXFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wold-style-cast
ifdef WERROR
WARNINGS += -Werror
endif
# Drops unused sections at link time, because the client is part of every initramfs.
ALL_CXXFLAGS = -std=c++23 $(WARNINGS) $(CXXFLAGS) -ffunction-sections -fdata-sections -fstack-protector-strong -pthread -MMD -MP
# No alignment for the client, which mostly waits for events, and for libfmt: saves kilobytes in every initramfs.
CLIENT_CXXFLAGS := -falign-functions=1 -falign-jumps=1 -falign-loops=1 -falign-labels=1
# Code that runs once, before the daemon stays, is compiled for size; for the rest, -Os would make the client need libm.
RUNS_ONCE := client/address/% client/attach/% client/boot/% client/config/% client/command/%
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
NETBOOT := $(wildcard netboot/*.cc netboot/*/*.cc)
PROVISION := $(wildcard provision/*.cc provision/*/*.cc)
UNIT := $(wildcard tests/unit/*.cc tests/unit/*/*.cc tests/unit/*/*/*.cc)
WITHOUT_MAIN := $(filter-out client/main.cc server/main.cc netboot/main.cc provision/main.cc,$(COMMON) $(CLIENT) $(SERVER) $(NETBOOT) $(PROVISION))

SANITIZERS := address,undefined thread
comma := ,
# build/ without sanitizers, otherwise build/NAME/
dir_of = build/$(if $(1),$(1)/)
objects_of = $(patsubst %.cc,$(call dir_of,$(1))obj/%.o,$(2))

FLAVOUR := $(SANITIZE)
BUILD := $(call dir_of,$(FLAVOUR))

# All cores by default; override with -j.
ifeq ($(filter -j% --jobs%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all check check-unit check-sanitize check-interop check-fuzz check-selinux check-vm check-long coverage fuzz demo bench bench-vm bench-outage install uninstall selinux install-selinux uninstall-selinux deps format lint clean help

all: $(addprefix $(BUILD)holdfast-,client server netboot provision) ## build the four programs, in build/

# Options of a flavour for the compiler and the linker. Test code is not optimized: compiling it takes longer than running it.
instrument = $(if $(filter coverage,$(1)),--coverage,-fsanitize=$(1))
cxxflags_of = $(if $(1),-O0 -g1 $(call instrument,$(1)) $(if $(filter coverage,$(1)),-DHOLDFAST_COVERAGE) -fno-omit-frame-pointer)
ldflags_of = $(if $(1),$(call instrument,$(1)) $(if $(filter coverage,$(1)),tests/coverage/exit.cc -Wl$(comma)--wrap=_exit))

# Omits programs with a single thread, and their tests, from the thread sanitizer.
TESTS_OF_CLIENT := $(shell grep -lE '"(client|netboot|provision)/' $(UNIT))
tested_in = $(if $(filter thread,$(1)),$(filter-out client/% netboot/% provision/% $(TESTS_OF_CLIENT),$(WITHOUT_MAIN) $(UNIT)),$(WITHOUT_MAIN) $(UNIT))

# $(1): the sanitizers of the flavour, or empty
define FLAVOUR_RULES
$(call dir_of,$(1))obj/%.o: %.cc Makefile
	@mkdir -p $$(@D)
	$$(call SAY,CXX,$$@)$$(CXX) $$(CPPFLAGS) $$(NL_CFLAGS) $$(if $$(filter tests/%,$$<),-DHOLDFAST_SOURCE_DIR='"$$(CURDIR)"') $$(ALL_CXXFLAGS) $$(if $$(filter client/% common/text/format.cc,$$<),$$(CLIENT_CXXFLAGS)) $$(if $$(filter $$(RUNS_ONCE),$$<),-Os) $(call cxxflags_of,$(1)) $$(if $$(filter tests/%,$$<),-O0 -g1) -c -o $$@ $$<

$(call dir_of,$(1))holdfast-client: $(call objects_of,$(1),$(COMMON) $(CLIENT))
	$$(call SAY,LINK,$$@)$$(CXX) $(call ldflags_of,$(1)) $(if $(1),,-static-libstdc++ -static-libgcc) $$(ALL_LDFLAGS) -o $$@ $$^ $$(CLIENT_LIBS)

$(call dir_of,$(1))holdfast-server: $(call objects_of,$(1),$(COMMON) $(SERVER))
	$$(call SAY,LINK,$$@)$$(CXX) $(call ldflags_of,$(1)) $$(ALL_LDFLAGS) -o $$@ $$^ $$(SERVER_LIBS)

$(call dir_of,$(1))holdfast-netboot: $(call objects_of,$(1),$(COMMON) $(NETBOOT))
	$$(call SAY,LINK,$$@)$$(CXX) $(call ldflags_of,$(1)) $$(ALL_LDFLAGS) -o $$@ $$^

$(call dir_of,$(1))holdfast-provision: $(call objects_of,$(1),$(COMMON) $(PROVISION))
	$$(call SAY,LINK,$$@)$$(CXX) $(call ldflags_of,$(1)) $$(ALL_LDFLAGS) -o $$@ $$^

$(call dir_of,$(1))unit-tests: $(call objects_of,$(1),$(call tested_in,$(1)))
	$$(call SAY,LINK,$$@)$$(CXX) $(call ldflags_of,$(1)) $$(ALL_LDFLAGS) -o $$@ $$^ $$(CLIENT_LIBS) $$(SERVER_LIBS)

-include $$(patsubst %.o,%.d,$(call objects_of,$(1),$(COMMON) $(CLIENT) $(SERVER) $(NETBOOT) $(PROVISION) $(UNIT)))
endef
$(foreach flavour,plain coverage $(SANITIZERS),$(eval $(call FLAVOUR_RULES,$(filter-out plain,$(flavour)))))
ifneq ($(FLAVOUR),)
ifeq ($(filter $(FLAVOUR),coverage $(SANITIZERS)),)
$(eval $(call FLAVOUR_RULES,$(FLAVOUR)))
endif
endif

include tests/build.mk install/build.mk selinux/build.mk packaging/build.mk manual/build.mk

format: ## run clang-format on all sources
	clang-format -i $$(git ls-files '*.cc' '*.hh')

lint: ## check formatting, shell scripts, man pages and include rules
	tests/tree/lint

clean: ## remove build/ (images of virtual machines stay in the user's cache)
	rm -rf build

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  Variables: SANITIZE=address,undefined|thread  SEAL_CHECK=1  PROTECT=no  WERROR=1  V=1  DESTDIR=  PREFIX=/usr  T=  FUZZ=  SECONDS=  INTERACTIVE=1  ARGS='
