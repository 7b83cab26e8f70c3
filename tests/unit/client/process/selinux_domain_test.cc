// The way into the daemon's SELinux domain, with a folder of the test's own in the place of /proc. What a
// kernel makes of it, virtual machines show.

#include "client/process/selinux_domain.hh"

#include <doctest/doctest.h>

#include <string>

#include "tests/unit/client/process/fake_selinux.hh"

using namespace holdfast::client;

namespace {

using Step = SelinuxDomain::Step;

constexpr SelinuxDomain::Clock::time_point at_boot{std::chrono::seconds{10}};

}  // namespace

TEST_CASE("SELinux: the daemon's context is the kernel's with a type of its own") {
    CHECK(context_after(kernel_context) == daemon_context);
    CHECK(context_after("system_u:system_r:kernel_t:s15:c0.c1023") ==
          "system_u:system_r:holdfast_client_t:s15:c0.c1023");
    CHECK(context_after(daemon_context).empty());
    CHECK(context_after("unconfined_u:unconfined_r:unconfined_t:s0").empty());
    CHECK(context_after("unconfined").empty());
    CHECK(context_after("").empty());
    CHECK(context_after(std::string(250, 'x') + kernel_context).empty());
}

TEST_CASE("SELinux: a daemon of the initramfs waits for the policy, and moves once") {
    const FakeSelinux machine("kernel");
    SelinuxDomain domain = machine.domain();
    CHECK(domain.look(at_boot) == Step::none);
    CHECK(domain.move() == Step::none);
    CHECK(domain.context().empty());
    machine.context_is(kernel_context);
    CHECK(domain.look(at_boot) == Step::ready);
    CHECK(machine.context().starts_with(kernel_context));
    CHECK(domain.move() == Step::moved);
    CHECK(domain.context() == daemon_context);
    CHECK(machine.context().starts_with(daemon_context));
    machine.context_is(kernel_context);
    CHECK(domain.look(at_boot) == Step::none);
    CHECK(domain.move() == Step::none);
    CHECK(machine.context().starts_with(kernel_context));
}

TEST_CASE("SELinux: a daemon of the initramfs does not move before its files have their labels") {
    const FakeSelinux machine(kernel_context);
    SelinuxDomain domain = machine.domain();
    const auto waits = [&](const char* name, const char* type) {
        machine.label(name, std::string("system_u:object_r:") + type + ":s0");
        INFO(name << " " << type);
        CHECK(domain.look(at_boot) == Step::none);
        CHECK(domain.context() == kernel_context);
    };
    // The policy is loaded; then the file systems have types; then init labels /run.
    waits("sysfs", "unlabeled_t");
    waits("run", "unlabeled_t");
    waits("run", "tmpfs_t");
    machine.label("sysfs", sysfs_label);
    waits("run", "tmpfs_t");
    waits("run", "var_run_t");
    machine.label("run", "");
    CHECK(domain.look(at_boot) == Step::none);
    machine.label("run", run_label);
    waits("sysfs", "tmpfs_t");
    CHECK(machine.context().starts_with(kernel_context));
    machine.label("sysfs", sysfs_label);
    CHECK(domain.look(at_boot) == Step::ready);
}

TEST_CASE("SELinux: a label that is not set after five minutes is reported once, and is waited for") {
    const FakeSelinux machine("kernel");
    SelinuxDomain domain = machine.domain();
    machine.label("run", "system_u:object_r:var_run_t:s0");
    CHECK(domain.look(at_boot) == Step::none);
    machine.context_is(kernel_context);
    const auto seen = at_boot + std::chrono::hours{1};
    CHECK(domain.look(seen) == Step::none);
    CHECK(domain.look(seen + SelinuxDomain::patience - std::chrono::seconds{1}) == Step::none);
    CHECK(domain.look(seen + SelinuxDomain::patience) == Step::unlabelled);
    CHECK(domain.unlabelled() == "/run/holdfast (var_run_t)");
    CHECK(domain.look(seen + SelinuxDomain::patience * 2) == Step::none);
    machine.label("run", run_label);
    CHECK(domain.look(seen + SelinuxDomain::patience * 3) == Step::ready);
    CHECK(domain.move() == Step::moved);
}

TEST_CASE("SELinux: who is not the kernel's stays what it is") {
    for (const std::string context : {daemon_context, "unconfined_u:unconfined_r:unconfined_t:s0"}) {
        const FakeSelinux machine(context);
        SelinuxDomain domain = machine.domain();
        CHECK(domain.look(at_boot) == Step::none);
        CHECK(domain.context() == context);
        CHECK(machine.context().starts_with(context));
    }
}

TEST_CASE("SELinux: without it nothing is shown and nothing is done") {
    const FakeSelinux machine("unconfined");
    SelinuxDomain domain = machine.domain();
    CHECK(domain.look(at_boot) == Step::none);
    CHECK(domain.context().empty());
    SelinuxDomain nothing = SelinuxDomain::open({}, "/nonexistent");
    CHECK(nothing.look(at_boot) == Step::none);
    CHECK(nothing.context().empty());
}
