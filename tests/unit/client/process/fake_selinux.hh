// SELinux as a process sees it, in a folder of the test's own in place of /proc.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "client/process/selinux_domain.hh"

namespace holdfast::client {

inline constexpr const char* kernel_context = "system_u:system_r:kernel_t:s0";
inline constexpr const char* daemon_context = "system_u:system_r:holdfast_client_t:s0";
inline constexpr const char* run_label = "system_u:object_r:holdfast_client_runtime_t:s0";
inline constexpr const char* sysfs_label = "system_u:object_r:sysfs_t:s0";

// A file's label is its text here.
inline ssize_t label_text(int descriptor, char* room, std::size_t size) {
    return ::pread(descriptor, room, size, 0);
}

// A folder in place of /proc, and files with labels: of a daemon with this context.
class FakeSelinux {
public:
    explicit FakeSelinux(const std::string& context) {
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
    ~FakeSelinux() { std::filesystem::remove_all(folder_); }
    FakeSelinux(const FakeSelinux&) = delete;
    FakeSelinux& operator=(const FakeSelinux&) = delete;

    SelinuxDomain domain() const {
        return SelinuxDomain::open({{run_.get(), "/run/holdfast", "holdfast_client_runtime_t"},
                                    {-1, "nothing", "nothing_t"},
                                    {sysfs_.get(), "/sys/block", {}}},
                                   folder_.c_str(), label_text);
    }
    void context_is(const std::string& context) const { std::ofstream(file()) << context << '\0'; }
    void label(const char* name, const std::string& context) const {
        std::ofstream(folder_ / name) << context << '\0';
    }
    // Makes this process's context unchangeable, as a policy that denies the transition.
    void deny() {
        sealed_.reset(::memfd_create("context", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        const std::string text = context();
        REQUIRE(::write(sealed_.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        REQUIRE(::fcntl(sealed_.get(), F_ADD_SEALS, F_SEAL_WRITE) == 0);
        std::filesystem::remove(file());
        std::filesystem::create_symlink("/proc/self/fd/" + std::to_string(sealed_.get()), file());
    }
    // The kernel replaces a context, a file keeps the rest of a longer text.
    std::string context() const {
        std::ostringstream text;
        text << std::ifstream(file()).rdbuf();
        return text.str();
    }

private:
    std::filesystem::path file() const { return folder_ / "thread-self/attr/current"; }
    std::filesystem::path folder_;
    Fd run_;
    Fd sysfs_;
    Fd sealed_;
};

}  // namespace holdfast::client
