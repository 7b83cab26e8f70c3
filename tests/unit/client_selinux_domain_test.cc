// The way into the daemon's SELinux domain, with a folder of the test's own in the place of /proc. What a
// kernel makes of it, virtual machines show.

#include "client/selinux_domain.hh"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

using namespace holdfast::client;

namespace {

constexpr const char* kernels = "system_u:system_r:kernel_t:s0";
constexpr const char* own = "system_u:system_r:holdfast_client_t:s0";

class Machine {
public:
    explicit Machine(const std::string& context) {
        std::string pattern = "/tmp/holdfast-domain-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder_ = pattern;
        std::filesystem::create_directories(folder_ / "thread-self/attr");
        context_is(context);
    }
    ~Machine() { std::filesystem::remove_all(folder_); }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    SelinuxDomain domain() const { return SelinuxDomain::open(folder_.c_str()); }
    void context_is(const std::string& context) const { std::ofstream(file()) << context << '\0'; }
    // What is written where the kernel takes it as a whole stays under the rest of what was longer.
    std::string context() const {
        std::ostringstream text;
        text << std::ifstream(file()).rdbuf();
        return text.str();
    }

private:
    std::filesystem::path file() const { return folder_ / "thread-self/attr/current"; }
    std::filesystem::path folder_;
};

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
    CHECK(domain.look() == SelinuxDomain::Step::none);
    CHECK(domain.context().empty());
    machine.context_is(kernels);
    CHECK(domain.look() == SelinuxDomain::Step::moved);
    CHECK(domain.context() == own);
    CHECK(machine.context().starts_with(own));
    machine.context_is(kernels);
    CHECK(domain.look() == SelinuxDomain::Step::none);
    CHECK(machine.context().starts_with(kernels));
}

TEST_CASE("SELinux: who is not the kernel's stays what it is") {
    for (const std::string context : {own, "unconfined_u:unconfined_r:unconfined_t:s0"}) {
        const Machine machine(context);
        SelinuxDomain domain = machine.domain();
        CHECK(domain.look() == SelinuxDomain::Step::none);
        CHECK(domain.context() == context);
        CHECK(machine.context().starts_with(context));
    }
}

TEST_CASE("SELinux: without it nothing is shown and nothing is done") {
    const Machine machine("unconfined");
    SelinuxDomain domain = machine.domain();
    CHECK(domain.look() == SelinuxDomain::Step::none);
    CHECK(domain.context().empty());
    SelinuxDomain nothing = SelinuxDomain::open("/nonexistent");
    CHECK(nothing.look() == SelinuxDomain::Step::none);
    CHECK(nothing.context().empty());
}
