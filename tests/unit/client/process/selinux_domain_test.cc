// The way into the daemon's SELinux domain, with a folder of the test's own in the place of /proc. What a
// kernel makes of it, virtual machines show.

#include "client/process/selinux_domain.hh"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

using namespace holdfast::client;

namespace {

constexpr const char* kernels = "system_u:system_r:kernel_t:s0";
constexpr const char* own = "system_u:system_r:holdfast_client_t:s0";
constexpr const char* run_label = "system_u:object_r:holdfast_client_runtime_t:s0";
constexpr const char* sysfs_label = "system_u:object_r:sysfs_t:s0";
using Step = SelinuxDomain::Step;

// A file's label is its text here.
ssize_t text_of(int descriptor, char* room, std::size_t size) { return ::pread(descriptor, room, size, 0); }

class Machine {
public:
    explicit Machine(const std::string& context) {
        std::string pattern = "/tmp/holdfast-domain-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder_ = pattern;
        std::filesystem::create_directories(folder_ / "thread-self/attr");
        context_is(context);
        label("run", run_label);
        label("sysfs", sysfs_label);
        run_.reset(::open((folder_ / "run").c_str(), O_RDONLY | O_CLOEXEC));
        sysfs_.reset(::open((folder_ / "sysfs").c_str(), O_RDONLY | O_CLOEXEC));
    }
    ~Machine() { std::filesystem::remove_all(folder_); }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    SelinuxDomain domain() const {
        return SelinuxDomain::open({{run_.get(), "/run/holdfast", "holdfast_client_runtime_t"},
                                    {-1, "nothing", "nothing_t"},
                                    {sysfs_.get(), "/sys/block", {}}},
                                   folder_.c_str(), text_of);
    }
    void context_is(const std::string& context) const { std::ofstream(file()) << context << '\0'; }
    void label(const char* name, const std::string& context) const {
        std::ofstream(folder_ / name) << context << '\0';
    }
    // What is written where the kernel takes it as a whole stays under the rest of what was longer.
    std::string context() const {
        std::ostringstream text;
        text << std::ifstream(file()).rdbuf();
        return text.str();
    }

private:
    std::filesystem::path file() const { return folder_ / "thread-self/attr/current"; }
    std::filesystem::path folder_;
    holdfast::Fd run_;
    holdfast::Fd sysfs_;
};

constexpr SelinuxDomain::Clock::time_point at_boot{std::chrono::seconds{10}};

}  // namespace

TEST_CASE("SELinux: the daemon's context is the kernel's with a type of its own") {
    CHECK(context_after(kernels) == own);
    CHECK(context_after("system_u:system_r:kernel_t:s15:c0.c1023") ==
          "system_u:system_r:holdfast_client_t:s15:c0.c1023");
    CHECK(context_after(own).empty());
    CHECK(context_after("unconfined_u:unconfined_r:unconfined_t:s0").empty());
    CHECK(context_after("unconfined").empty());
    CHECK(context_after("").empty());
    CHECK(context_after(std::string(250, 'x') + kernels).empty());
}

TEST_CASE("SELinux: a daemon of the initramfs waits for the policy, and moves once") {
    const Machine machine("kernel");
    SelinuxDomain domain = machine.domain();
    CHECK(domain.look(at_boot) == Step::none);
    CHECK(domain.move() == Step::none);
    CHECK(domain.context().empty());
    machine.context_is(kernels);
    CHECK(domain.look(at_boot) == Step::ready);
    CHECK(machine.context().starts_with(kernels));
    CHECK(domain.move() == Step::moved);
    CHECK(domain.context() == own);
    CHECK(machine.context().starts_with(own));
    machine.context_is(kernels);
    CHECK(domain.look(at_boot) == Step::none);
    CHECK(domain.move() == Step::none);
    CHECK(machine.context().starts_with(kernels));
}

TEST_CASE("SELinux: a daemon of the initramfs does not move before its files have their labels") {
    const Machine machine(kernels);
    SelinuxDomain domain = machine.domain();
    const auto waits = [&](const char* name, const char* type) {
        machine.label(name, std::string("system_u:object_r:") + type + ":s0");
        INFO(name << " " << type);
        CHECK(domain.look(at_boot) == Step::none);
        CHECK(domain.context() == kernels);
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
    CHECK(machine.context().starts_with(kernels));
    machine.label("sysfs", sysfs_label);
    CHECK(domain.look(at_boot) == Step::ready);
}

TEST_CASE("SELinux: a label that is not set after five minutes is reported once, and is waited for") {
    const Machine machine("kernel");
    SelinuxDomain domain = machine.domain();
    machine.label("run", "system_u:object_r:var_run_t:s0");
    CHECK(domain.look(at_boot) == Step::none);
    machine.context_is(kernels);
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
    for (const std::string context : {own, "unconfined_u:unconfined_r:unconfined_t:s0"}) {
        const Machine machine(context);
        SelinuxDomain domain = machine.domain();
        CHECK(domain.look(at_boot) == Step::none);
        CHECK(domain.context() == context);
        CHECK(machine.context().starts_with(context));
    }
}

TEST_CASE("SELinux: without it nothing is shown and nothing is done") {
    const Machine machine("unconfined");
    SelinuxDomain domain = machine.domain();
    CHECK(domain.look(at_boot) == Step::none);
    CHECK(domain.context().empty());
    SelinuxDomain nothing = SelinuxDomain::open({}, "/nonexistent");
    CHECK(nothing.look(at_boot) == Step::none);
    CHECK(nothing.context().empty());
}
