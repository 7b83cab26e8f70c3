// setcon(3) without its library: a context written to /proc/thread-self/attr/current moves the thread, if the
// policy permits dyntransition. Reading gives a context USER:ROLE:TYPE:LEVEL; without SELinux the file is
// unreadable, or has another security module's text.

#include "server/process/selinux_domain.hh"

#include <fcntl.h>
#include <unistd.h>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "common/linux/text_file.hh"

namespace holdfast::server {
namespace {

constexpr std::string_view started_in = ":holdfast_server_t:";
constexpr std::string_view serves_in = ":holdfast_server_net_t:";

}  // namespace

std::string serving_context(std::string_view context) {
    while (context.ends_with('\0') || context.ends_with('\n')) context.remove_suffix(1);
    const std::size_t at = context.find(started_in);
    if (at == std::string_view::npos) return {};
    return std::string(context).replace(at, started_in.size(), serves_in);
}

std::expected<ServingDomain, std::string> enter_serving_domain(const char* proc) {
    const std::string path = std::string(proc) + "/thread-self/attr/current";
    const std::string next = serving_context(read_text_file(path, 4096).value_or(""));
    if (next.empty()) return ServingDomain::none;
    const auto failure = [&](const char* call) {
        return std::unexpected("moving to " + next + ": " + SysError{errno, call}.message());
    };
    const Fd current(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!current) return failure("open");
    if (::write(current.get(), next.data(), next.size()) >= 0) return ServingDomain::entered;
    // EINVAL: this policy has no such context. Only a process that may move at all gets this error; an
    // enforcing policy with a module older than the domain denies setcurrent before it checks the target.
    if (errno == EINVAL) return ServingDomain::unknown;
    return failure("write");
}

}  // namespace holdfast::server
