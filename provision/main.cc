// holdfast-provision: reads the command line, takes or makes its socket, and serves.

#include <fcntl.h>
#include <fmt/core.h>
#include <getopt.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <expected>
#include <string>

#include "common/golden/provision_protocol.hh"
#include "common/linux/log.hh"
#include "common/linux/result.hh"
#include "common/linux/service_notice.hh"
#include "common/linux/standard_streams.hh"
#include "common/text/number.hh"
#include "provision/service.hh"

namespace holdfast::provision {
namespace {

constexpr const char* program = "holdfast-provision";
constexpr int usage_status = 2;

constexpr const char* usage_text =
    "usage: holdfast-provision [--config FILE] [--socket PATH]\n"
    "\n"
    "Create the volumes of hosts for holdfast-server, as its configuration says.\n"
    "Usually started by holdfast-provision.socket.\n"
    "\n"
    "  -c, --config FILE  configuration of holdfast-server; default /etc/holdfast/server.conf\n"
    "  -s, --socket PATH  listen here, unless the service manager has passed a socket;\n"
    "                     default /run/holdfast-provision/provision.sock\n"
    "  -h, --help         show this help\n"
    "  -V, --version      show the version\n";

struct Options {
    std::string config{"/etc/holdfast/server.conf"};
    std::string socket{default_provision_socket};
};

// Takes the socket that a service manager has passed on (sd_listen_fds(3)); an empty Fd if there is none.
std::expected<Fd, std::string> inherited_socket() {
    constexpr int first = 3;
    const char* const pid = std::getenv("LISTEN_PID");
    const char* const count = std::getenv("LISTEN_FDS");
    if (pid == nullptr || count == nullptr || number_of<pid_t>(pid) != ::getpid()) return Fd();
    if (std::string_view(count) != "1")
        return std::unexpected(
            "the service manager passed more than a socket; set a single ListenSequentialPacket=");
    Fd socket(first);
    (void)::fcntl(first, F_SETFD, FD_CLOEXEC);
    int type = 0;
    int listens = 0;
    socklen_t size = sizeof type;
    socklen_t listens_size = sizeof listens;
    if (::getsockopt(first, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET ||
        ::getsockopt(first, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) != 0 || listens == 0)
        return std::unexpected(
            "the inherited descriptor is not a socket of ListenSequentialPacket=; correct the unit");
    return socket;
}

std::unexpected<std::string> socket_failure(const std::string& path, const SysError& error) {
    return std::unexpected(fmt::format("{}: {}", path, error.message()));
}

// Creates the socket, for root only: the opener is root, or has CAP_DAC_OVERRIDE.
std::expected<Fd, std::string> own_socket(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return std::unexpected(path + ": longer than the limit of UNIX sockets; choose another path");
    std::ranges::copy(path, address.sun_path);
    const std::string folder = path.substr(0, path.rfind('/'));
    if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST)
        return socket_failure(folder, SysError{errno, "mkdir"});
    Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!socket) return socket_failure(path, SysError{errno, "socket"});
    const auto* const name = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(socket.get(), name, sizeof address) == 0)
        return std::unexpected(path + ": another holdfast-provision is running; stop it first");
    (void)::unlink(path.c_str());
    (void)::umask(0177);
    constexpr int backlog = 1024;
    if (::bind(socket.get(), name, sizeof address) != 0 || ::listen(socket.get(), backlog) != 0)
        return socket_failure(path, SysError{errno, "bind"});
    return socket;
}

int run(const Options& options) {
    (void)::umask(0077);
    std::expected<Fd, std::string> socket = inherited_socket();
    const bool inherited = socket && *socket;
    if (socket && !inherited) socket = own_socket(options.socket);
    if (!socket) {
        log::error(socket.error());
        return EXIT_FAILURE;
    }
    const std::string folder = options.socket.substr(0, options.socket.rfind('/'));
    notify_service_manager("READY=1");
    Service(std::move(*socket), {options.config, folder, inherited}).run();
    if (!inherited) (void)::unlink(options.socket.c_str());
    return EXIT_SUCCESS;
}

int usage_error(std::string_view text) {
    std::fputs(fmt::format("{}: {}; see `holdfast-provision --help`\n", program, text).c_str(), stderr);
    return usage_status;
}

int start(int count, char** words) {
    constexpr std::array long_options{
        option{"config", required_argument, nullptr, 'c'},
        option{"socket", required_argument, nullptr, 's'},
        option{"help", no_argument, nullptr, 'h'},
        option{"version", no_argument, nullptr, 'V'},
        option{nullptr, 0, nullptr, 0},
    };
    Options options;
    opterr = 0;
    for (;;) {
        const int code = ::getopt_long(count, words, ":c:s:hV", long_options.data(), nullptr);
        if (code == -1) break;
        switch (code) {
            case 'c': options.config = optarg; break;
            case 's': options.socket = optarg; break;
            case 'h': std::fputs(usage_text, stdout); return EXIT_SUCCESS;
            case 'V': std::fputs("holdfast-provision " HOLDFAST_VERSION "\n", stdout); return EXIT_SUCCESS;
            case ':': return usage_error(fmt::format("{}: missing argument", words[optind - 1]));
            default: return usage_error(fmt::format("{}: unknown option", words[optind - 1]));
        }
    }
    if (optind < count) return usage_error(fmt::format("{}: unexpected argument", words[optind]));
    if (!options.socket.starts_with('/')) return usage_error("--socket: the path must begin with \"/\"");
    return run(options);
}

}  // namespace
}  // namespace holdfast::provision

int main(int argc, char** argv) {
    if (!holdfast::open_standard_streams()) return EXIT_FAILURE;
    // Also for the programs of LVM: one that is no longer waited for must not end by its next message.
    ::signal(SIGPIPE, SIG_IGN);
    holdfast::log::open(holdfast::provision::program, holdfast::log::default_sink());
    return holdfast::provision::start(argc, argv);
}
