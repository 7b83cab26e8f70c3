// Writes to cgroup.procs, of the unified hierarchy or of systemd's own.

#include "client/process/control_group.hh"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>

#include "common/linux/fd.hh"
#include "common/text/text.hh"

namespace holdfast::client {

void leave_control_group() noexcept {
    for (const char* group :
         {"/sys/fs/cgroup/init.scope/cgroup.procs", "/sys/fs/cgroup/systemd/init.scope/cgroup.procs"})
        if (const Fd file(::open(group, O_WRONLY | O_CLOEXEC)); file && ::write(file.get(), "0", 1) == 1)
            return;
}

// A line of /proc/PID/cgroup is ID:CONTROLLERS:PATH; systemd's own tree is "0::" or "N:name=systemd:".
bool join_service_of(pid_t other) {
    std::array<char, 4096> room{};
    const std::string list = fmt::format("/proc/{}/cgroup", other);
    const Fd groups(::open(list.c_str(), O_RDONLY | O_CLOEXEC));
    const ssize_t count = groups ? ::read(groups.get(), room.data(), room.size()) : -1;
    std::string_view text(room.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
    while (!text.empty()) {
        const std::string_view line = take_line(text);
        const bool unified = line.starts_with("0::");
        const std::size_t at = unified ? 3 : line.find(":name=systemd:");
        if (at == std::string_view::npos) continue;
        const std::string_view group = unified ? line.substr(3) : line.substr(at + 14);
        const std::string_view unit = group.substr(group.rfind('/') + 1);
        if (!unit.starts_with("holdfast@") || !unit.ends_with(".service")) continue;
        const std::string file =
            fmt::format("/sys/fs/cgroup{}{}/cgroup.procs", unified ? "" : "/systemd", group);
        const Fd members(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
        return members && ::write(members.get(), "0", 1) == 1;
    }
    return false;
}

}  // namespace holdfast::client
