// Move into the SELinux domain: what is saved and logged, with a folder of the test's own in place of /proc.
#include "client/daemon/domain_move.hh"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/unit/client/daemon/fake_kernel.hh"
#include "tests/unit/client/process/fake_selinux.hh"
#include "tests/unit/log_lines.hh"

using namespace holdfast;
using namespace holdfast::client;
using Lines = std::vector<std::string>;

namespace {

constexpr SelinuxDomain::Clock::time_point at_boot{std::chrono::seconds{10}};

// Notes the context in which the record is saved.
class Store final : public RecordStore {
public:
    explicit Store(const FakeSelinux& machine) : machine_(machine) {}
    void save() noexcept override { saved_in.push_back(machine_.context()); }
    Result<void> leave_behind() noexcept override { return {}; }

    Lines saved_in;

private:
    const FakeSelinux& machine_;
};

struct Bench {
    explicit Bench(const std::string& context) : machine(context) {}

    FakeSelinux machine;
    Store store{machine};
    Events events;
    FakeKernel kernel{events};
    KeptDevice device = fake_device();
    QueueLimits limits{kernel, device};
    DomainMove move{device, store, limits};
    LogLines log;
};

}  // namespace

TEST_CASE("the record is saved before the move, and the new domain is logged once") {
    Bench bench("kernel");
    bench.move.open(bench.machine.domain());
    bench.move.advance(at_boot);
    CHECK(bench.store.saved_in.empty());
    CHECK(bench.move.context().empty());
    bench.machine.context_is(kernel_context);
    bench.move.advance(at_boot);
    REQUIRE(bench.store.saved_in.size() == 1);
    CHECK(bench.store.saved_in[0].starts_with(kernel_context));
    CHECK(bench.machine.context().starts_with(daemon_context));
    CHECK(bench.move.context() == daemon_context);
    CHECK(bench.log.take(log::Level::notice) ==
          Lines{std::string("nbd7: entered its SELinux domain: ") + daemon_context});
    bench.move.advance(at_boot);
    CHECK(bench.store.saved_in.size() == 1);
    CHECK(bench.log.empty());
}

TEST_CASE("a missing label keeps the daemon where it is, and is a warning after five minutes") {
    Bench bench(kernel_context);
    bench.machine.label("run", "system_u:object_r:tmpfs_t:s0");
    bench.move.open(bench.machine.domain());
    bench.move.advance(at_boot);
    CHECK(bench.log.empty());
    bench.move.advance(at_boot + SelinuxDomain::patience);
    const Lines warnings = bench.log.take(log::Level::warning);
    REQUIRE(warnings.size() == 1);
    CHECK(warnings[0].find("/run/holdfast (tmpfs_t) is not labelled") != std::string::npos);
    CHECK(bench.store.saved_in.empty());
    CHECK(bench.machine.context().starts_with(kernel_context));
}

TEST_CASE("a policy that denies the transition is a warning, once, and the daemon stays in its domain") {
    Bench bench(kernel_context);
    bench.machine.deny();
    bench.move.open(bench.machine.domain());
    for (int i = 0; i < 2; ++i) bench.move.advance(at_boot);
    CHECK(bench.log.take(log::Level::warning) ==
          Lines{std::string("nbd7: SELinux denied the transition to the daemon's domain; staying in ") +
                kernel_context});
    CHECK(bench.log.empty());
    CHECK(bench.move.context() == kernel_context);
    CHECK(bench.store.saved_in.size() == 1);
}

TEST_CASE("without SELinux, and before open, nothing is saved, logged or moved") {
    Bench bench("unconfined");
    bench.move.advance(at_boot);
    bench.move.open(bench.machine.domain());
    bench.move.advance(at_boot);
    CHECK(bench.store.saved_in.empty());
    CHECK(bench.log.empty());
    CHECK(bench.move.context().empty());
}
