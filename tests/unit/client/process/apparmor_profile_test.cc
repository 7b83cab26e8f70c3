// AppArmor as a process sees it, in a folder of the test's own in place of /proc and securityfs.
#include "client/process/apparmor_profile.hh"

#include <doctest/doctest.h>
#include <errno.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

using namespace holdfast::client;

namespace {

class Folder {
public:
    Folder() {
        std::string pattern = "/tmp/holdfast-apparmor-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    void write(const std::string& name, const std::string& text) const {
        std::filesystem::create_directories((path_ / name).parent_path());
        std::ofstream(path_ / name) << text;
    }
    std::string read(const std::string& name) const {
        std::ifstream file(path_ / name);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    const char* name() const { return path_.c_str(); }

private:
    std::filesystem::path path_;
};

constexpr const char* current = "thread-self/attr/apparmor/current";

}  // namespace

TEST_CASE("the daemon's profile is found in the kernel's list by its whole name") {
    CHECK(lists_profile("nvidia_modprobe (enforce)\nholdfast-client (enforce)\nman_filter (enforce)\n"));
    CHECK(lists_profile("holdfast-client (complain)"));
    CHECK_FALSE(lists_profile("holdfast-client-old (enforce)\nnot-holdfast-client (enforce)\n"));
    CHECK_FALSE(lists_profile("holdfast-client//child (enforce)\n"));
    CHECK_FALSE(lists_profile(""));
}

TEST_CASE("a kernel without AppArmor has no list of profiles") {
    const Folder folder;
    const auto none = is_profile_loaded(folder.name());
    REQUIRE_FALSE(none);
    CHECK(none.error().code == EOPNOTSUPP);
    folder.write("apparmor/profiles", "holdfast-client (enforce)\n");
    CHECK(is_profile_loaded(folder.name()).value_or(false));
    folder.write("apparmor/profiles", "lsb_release (enforce)\n");
    CHECK_FALSE(is_profile_loaded(folder.name()).value_or(true));
}

TEST_CASE("an unconfined daemon enters its profile once") {
    const Folder folder;
    folder.write(current, "unconfined\n");
    AppArmorProfile profile = AppArmorProfile::open(folder.name());
    CHECK_FALSE(profile.entered());
    CHECK(profile.enter());
    CHECK(profile.entered());
    CHECK(folder.read(current) == "changeprofile holdfast-client");
    folder.write(current, "holdfast-client (enforce)\n");
    CHECK(profile.enter());
    CHECK(folder.read(current) == "holdfast-client (enforce)\n");
}

TEST_CASE("a daemon without AppArmor stays as it is") {
    const Folder folder;
    AppArmorProfile missing = AppArmorProfile::open(folder.name());
    const auto refused = missing.enter();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EOPNOTSUPP);
    CHECK_FALSE(missing.entered());
    CHECK_FALSE(AppArmorProfile().enter());
}
