// The way of the process that speaks to clients into its SELinux domain, with a folder of the test's own in
// the place of /proc. What a kernel makes of it, virtual machines show.

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "server/process/selinux_domain.hh"

using namespace holdfast::server;

namespace {

constexpr const char* started = "system_u:system_r:holdfast_server_t:s0";
constexpr const char* serving = "system_u:system_r:holdfast_server_net_t:s0";

class Proc {
public:
    explicit Proc(const std::string& context) {
        std::string pattern = "/tmp/holdfast-domain-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder_ = pattern;
        std::filesystem::create_directories(folder_ / "thread-self/attr");
        std::ofstream(file()) << context << '\0';
    }
    ~Proc() { std::filesystem::remove_all(folder_); }
    Proc(const Proc&) = delete;
    Proc& operator=(const Proc&) = delete;

    const char* path() const { return folder_.c_str(); }
    std::filesystem::path file() const { return folder_ / "thread-self/attr/current"; }
    std::string context() const {
        std::ostringstream text;
        text << std::ifstream(file()).rdbuf();
        return text.str();
    }

private:
    std::filesystem::path folder_;
};

}  // namespace

TEST_CASE("SELinux: the process that speaks to clients has the server's context with a type of its own") {
    CHECK(serving_context(started) == serving);
    CHECK(serving_context(std::string(started) + '\0') == serving);
    CHECK(serving_context("system_u:system_r:holdfast_server_t:s15:c0.c1023") ==
          "system_u:system_r:holdfast_server_net_t:s15:c0.c1023");
    CHECK(serving_context(serving).empty());
    CHECK(serving_context("unconfined_u:unconfined_r:unconfined_t:s0").empty());
    CHECK(serving_context("holdfast-server (enforce)").empty());
    CHECK(serving_context("").empty());
}

TEST_CASE("SELinux: a confined server moves to the domain that faces the network") {
    const Proc proc(started);
    CHECK(enter_serving_domain(proc.path()) == ServingDomain::entered);
    CHECK(proc.context().starts_with(serving));
}

TEST_CASE("SELinux: a server that it does not confine, or without it, goes on as it is") {
    for (const std::string context : {"unconfined_u:unconfined_r:unconfined_t:s0", "unconfined"}) {
        const Proc proc(context);
        CHECK(enter_serving_domain(proc.path()) == ServingDomain::none);
        CHECK(proc.context() == context + '\0');
    }
    CHECK(enter_serving_domain("/nonexistent") == ServingDomain::none);
}
