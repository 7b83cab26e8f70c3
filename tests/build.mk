# Programs for tests and benchmarks, and the targets that run them.

# Test build of the client: aborts if the daemon allocates or opens a path after sealing (client/process/seal.hh); differs in
# one object.
SEALED_CLIENT := build/sealed/holdfast-client
build/sealed/seal.o: client/process/seal.cc client/process/seal.hh Makefile
	@mkdir -p $(@D)
	$(call SAY,CXX,$@)$(CXX) $(CPPFLAGS) -DHOLDFAST_SEAL_CHECK $(ALL_CXXFLAGS) -c -o $@ $<
$(SEALED_CLIENT): $(filter-out %/client/process/seal.o,$(call objects_of,,$(COMMON) $(CLIENT))) build/sealed/seal.o
	$(call SAY,LINK,$@)$(CXX) -static-libstdc++ -static-libgcc $(ALL_LDFLAGS) -o $@ $^ $(CLIENT_LIBS)
SEAL_PROBE := build/sealed/probe
$(SEAL_PROBE): tests/tree/seal_probe.cc $(call objects_of,,$(wildcard common/linux/*.cc common/text/*.cc)) build/sealed/seal.o
	$(call SAY,LINK,$@)$(CXX) $(CPPFLAGS) $(ALL_CXXFLAGS) $(ALL_LDFLAGS) -o $@ $^
# Load generator of `make bench`, up to a thousand clients.
BENCH_LOAD := build/bench-load
$(BENCH_LOAD): tests/bench/load.cc $(call objects_of,,$(wildcard common/*/*.cc)) Makefile
	$(call SAY,LINK,$@)$(CXX) $(CPPFLAGS) $(ALL_CXXFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.cc %.o,$^)
-include build/bench-load.d

# Fuzzers for all code that parses foreign input, with clang's libFuzzer. All link one archive. Clang before 18 does not
# compile libstdc++'s <expected>.
FUZZ_CXX ?= $(if $(shell command -v ccache),ccache clang++-19,clang++-19)
FUZZ_TARGETS := $(patsubst tests/fuzz/%.cc,%,$(wildcard tests/fuzz/*.cc))
FUZZED := $(shell tests/fuzz/sources)
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

SANITIZED := $(foreach s,$(SANITIZERS),$(addprefix $(call dir_of,$(s)),holdfast-server holdfast-provision unit-tests $(if $(filter thread,$(s)),,holdfast-client holdfast-netboot)))

# Installs missing packages first, as required by the two commands of the README. All other targets of the run must follow,
# also with -j: hence the order.
ifneq ($(filter check check-long coverage fuzz demo bench bench-vm bench-outage,$(MAKECMDGOALS)),)
$(foreach f,$(sort $(COMMON) $(CLIENT) $(SERVER) $(NETBOOT) $(UNIT) tests/bench/load.cc $(wildcard tests/fuzz/*.cc)),$(eval $(f): | deps))
build/selinux/.built: | deps
endif

check: deps all $(BUILD)unit-tests $(SEAL_PROBE) $(SANITIZED) $(FUZZERS) selinux ## run all tests except the long ones: unit, sanitizers, fuzzing, interop, SELinux policy, packages, virtual machines
	@tests/check unit sanitize fuzz interop selinux packages vm $(if $(STARTED),rotation --started $(STARTED))

check-unit: all $(BUILD)unit-tests $(SEAL_PROBE) ## run the unit tests and the checks of the tree; SANITIZE= selects the flavour
	@tests/check --build $(BUILD) unit

check-sanitize: all $(SANITIZED) ## run unit and interop tests with the address, undefined and thread sanitizers
	@tests/check sanitize

check-interop: all ## test the server with other clients, on loopback
	@tests/check --build $(BUILD) interop

check-fuzz: $(FUZZERS) ## run each fuzzing target on its corpus for some seconds
	@tests/check fuzz

check-selinux: selinux ## check the permissions of the SELinux modules, computed from this machine's policy
	@tests/check selinux

check-vm: all ## run the tests in virtual machines; T=TEXT selects tests by name
	@tests/check vm $(if $(T),--only "$(T)")

check-long: deps all selinux ## run the long tests, omitted by `make check`: packages, virtual machines; T=TEXT selects virtual machine tests
	@tests/check $(if $(T),,packages-long) vm-long $(if $(T),--only "$(T)")

coverage: deps $(addprefix build/coverage/,holdfast-client holdfast-server holdfast-netboot holdfast-provision unit-tests) ## report the lines that unit and interop tests run, by folder
	@tests/harness/deps gcovr
	@tests/coverage/run

fuzz: deps $(if $(FUZZ),$(FUZZ:%=build/fuzz/bin/%),$(FUZZERS)) ## fuzz FUZZ=TARGET (default: each in turn) for SECONDS=60; findings are kept in build/fuzz
	@tests/fuzz/run --grow --seconds $(or $(SECONDS),60) $(FUZZ)

demo: deps all ## boot a diskless Debian by PXE from a logical volume and restart its server; INTERACTIVE=1 opens its console
	@tests/vm/demo $(if $(INTERACTIVE),--interactive)

bench: deps all $(BENCH_LOAD) ## compare the server with nbd-server, nbdkit and qemu-nbd (half an hour); ARGS=--help
	@tests/bench/run $(ARGS)

bench-vm: deps all ## compare the server with nbdkit, NVMe/TCP and iSCSI between two virtual machines (a quarter of an hour); ARGS=--help
	@tests/bench/vm $(ARGS)

bench-outage: deps all ## measure the recovery after outages, with nbd-client, NVMe/TCP and iSCSI (over an hour); ARGS=--help
	@tests/bench/outage $(ARGS)

deps: ## install the Debian packages for building and testing
	@tests/harness/deps
