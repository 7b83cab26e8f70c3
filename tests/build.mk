# Programs that only tests and benchmarks need, and the targets that run them.

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
# Load generator of `make bench` for a thousand clients.
BENCH_LOAD := build/bench-load
$(BENCH_LOAD): tests/bench/load.cc $(call objects_of,,$(wildcard common/*/*.cc)) Makefile
	$(call SAY,LINK,$@)$(CXX) $(CPPFLAGS) $(ALL_CXXFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.cc %.o,$^)
-include build/bench-load.d

# The fuzzers: libFuzzer's, so clang's, over the code that reads what others wrote. One archive, from which each takes what it
# needs. Clang before 18 does not compile libstdc++'s <expected>.
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

SANITIZED := $(foreach s,$(SANITIZERS),$(addprefix $(call dir_of,$(s)),holdfast-server unit-tests $(if $(filter thread,$(s)),,holdfast-client)))

# Packages that the two commands of the README need are installed first; with all of them there this takes no time. The rest of the
# run must come after it, also under -j: hence the order.
ifneq ($(filter check check-long coverage fuzz demo bench bench-vm bench-outage,$(MAKECMDGOALS)),)
$(foreach f,$(sort $(COMMON) $(CLIENT) $(SERVER) $(UNIT) tests/bench/load.cc $(wildcard tests/fuzz/*.cc)),$(eval $(f): | deps))
build/selinux/.built: | deps
endif

check: deps all $(BUILD)unit-tests $(SEAL_PROBE) $(SANITIZED) $(FUZZERS) selinux ## every test but the long ones: unit, sanitizers, fuzzing, interop on loopback, SELinux policy, virtual machines
	@tests/check unit sanitize fuzz interop selinux vm $(if $(STARTED),rotation --started $(STARTED))

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

coverage: deps $(addprefix build/coverage/,holdfast-client holdfast-server unit-tests) ## share of the lines that unit and interop tests run, by folder
	@tests/harness/deps gcovr
	@tests/coverage/run

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
