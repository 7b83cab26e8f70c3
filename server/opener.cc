// One loop that never waits for a disk: it takes requests, forks, and counts.

#include "server/opener.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <utility>

#include "common/linux/text_file.hh"
#include "server/listener.hh"

namespace holdfast::server {
namespace {

OpenerAnswer refusal(OpenerStatus status, std::string_view text) {
    OpenerAnswer answer{Packer(status), {}};
    answer.packed.text(text);
    return answer;
}

OpenerAnswer refusal(const VolumeRefusal& why) {
    return refusal(why.absent ? OpenerStatus::absent : OpenerStatus::refused, why.text);
}

template <class T>
OpenerAnswer answer_with(const std::expected<T, VolumeRefusal>& value) {
    if (!value) return refusal(value.error());
    OpenerAnswer answer;
    pack(answer.packed, *value);
    return answer;
}

using Clock = std::chrono::steady_clock;

constexpr std::size_t most_files = 64;  // with one answer

// How long the configuration's files may take to be read again.
constexpr std::chrono::seconds reading_patience{10};

// The descriptors go with the first byte. What does not fit is waited for, unless `flags` forbid it.
void send(const OpenerAnswer& answer, int socket, int flags) {
    std::span<const std::uint8_t> rest = answer.packed.bytes();
    alignas(cmsghdr) std::array<char, CMSG_SPACE(most_files * sizeof(int))> control{};
    const std::size_t count = std::min(answer.files.size(), most_files);
    for (bool first = true; !rest.empty(); first = false) {
        iovec data{const_cast<std::uint8_t*>(rest.data()), rest.size()};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        if (first && count > 0) {
            message.msg_control = control.data();
            message.msg_controllen = CMSG_SPACE(count * sizeof(int));
            cmsghdr* const head = CMSG_FIRSTHDR(&message);
            head->cmsg_level = SOL_SOCKET;
            head->cmsg_type = SCM_RIGHTS;
            head->cmsg_len = CMSG_LEN(count * sizeof(int));
            for (std::size_t i = 0; i < count; ++i) {
                const int file = answer.files[i].get();
                std::memcpy(CMSG_DATA(head) + i * sizeof file, &file, sizeof file);
            }
        }
        const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | flags);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return;  // nobody waits for it any more
        rest = rest.subspan(static_cast<std::size_t>(sent));
    }
}

// The requests that may hold each other up: those for an export, and otherwise those of a kind.
std::string group_of(const OpenerRequest& request) {
    return request.name.empty() ? fmt::format("{}", static_cast<unsigned>(request.call))
                                : "export " + request.name;
}

}  // namespace

Opener::Opener(Fd control, Context context, pid_t server)
    : control_(std::move(control)),
      options_(context.options),
      config_(std::move(context.config)),
      identity_(std::move(context.identity)),
      server_(server),
      bound_(std::move(context.bound)) {}

void Opener::run() {
    sigset_t ended;
    ::sigemptyset(&ended);
    ::sigaddset(&ended, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &ended, nullptr);
    const Fd signals(::signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK));
    for (;;) {
        std::vector<pollfd> wait{{control_.get(), POLLIN, 0}, {signals.get(), POLLIN, 0}};
        for (const Reading& one : readings_) wait.push_back({one.from_reader.get(), POLLIN, 0});
        (void)::poll(wait.data(), wait.size(), milliseconds_to_wait());
        signalfd_siginfo info{};
        while (::read(signals.get(), &info, sizeof info) > 0) continue;
        reap();
        answer_readings(wait);
        if (wait[0].revents != 0 && !take_message()) break;
    }
    remove_pid_file();
}

void Opener::reap() {
    for (;;) {
        const pid_t ended = ::waitpid(-1, nullptr, WNOHANG);
        if (ended <= 0) return;
        answering_.erase(ended);
    }
}

bool Opener::take_message() {
    std::array<std::uint8_t, longest_opener_request + 1> bytes;
    // The alignment leaves room for two descriptors.
    constexpr std::size_t most_files = CMSG_SPACE(sizeof(int)) / sizeof(int);
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec data{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t count = ::recvmsg(control_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (count < 0) return errno == EINTR || errno == EAGAIN;
    std::array<Fd, most_files> files;
    const cmsghdr* const head = CMSG_FIRSTHDR(&message);
    if (head != nullptr && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
        for (std::size_t i = 0; i < most_files && CMSG_LEN((i + 1) * sizeof(int)) <= head->cmsg_len; ++i) {
            int file = -1;
            std::memcpy(&file, CMSG_DATA(head) + i * sizeof file, sizeof file);
            files[i].reset(file);
        }
    }
    Fd& reply_to = files[0];
    if (count == 0 && !reply_to) return false;
    // What is no request of ours gets no answer: who sent it finds its socket closed.
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || !reply_to || files[1]) return true;
    const auto request = unpack_request(std::span(bytes).first(static_cast<std::size_t>(count)));
    if (request) handle(*request, std::move(reply_to));
    return true;
}

void Opener::handle(const OpenerRequest& request, Fd reply_to) {
    switch (request.call) {
        case OpenerCall::find:
        case OpenerCall::open:
        case OpenerCall::look:
        case OpenerCall::authfiles:
        case OpenerCall::look_around:
            if (has_place(request, reply_to)) answer_apart(request, std::move(reply_to), nullptr);
            return;
        case OpenerCall::reload:
            if (has_place(request, reply_to)) begin_reload(request, std::move(reply_to));
            return;
        case OpenerCall::listen: {
            const Config& wanted = next_ ? *next_ : config_;
            if (request.number >= wanted.listens.size() ||
                wanted.listens[request.number].endpoint.unix_path.empty()) {
                if (has_place(request, reply_to)) answer_apart(request, std::move(reply_to), nullptr);
                return;
            }
            // Here, because what is bound has to be remembered; nothing of it waits.
            const OpenerAnswer made = listen(request.number);
            if (!made.files.empty()) bound_.insert(wanted.listens[request.number].endpoint.unix_path);
            return send(made, reply_to.get(), MSG_DONTWAIT);
        }
        case OpenerCall::commit: commit(); return send(OpenerAnswer(), reply_to.get(), MSG_DONTWAIT);
        case OpenerCall::unlisten:
            for (const Listen& one : config_.listens) remove_socket(one.endpoint.unix_path);
            while (request.number != 0 && !bound_.empty()) remove_socket(*bound_.begin());
            return send(OpenerAnswer(), reply_to.get(), MSG_DONTWAIT);
    }
}

bool Opener::has_place(const OpenerRequest& request, const Fd& reply_to) const {
    const std::string group = group_of(request);
    const auto for_this = static_cast<std::size_t>(
        std::ranges::count(readings_, group, &Reading::group) +
        std::ranges::count_if(answering_, [&](const auto& one) { return one.second == group; }));
    std::string why;
    if (for_this >= most_for_one) {
        const ExportConfig* const config = config_.find(request.name);
        why = config == nullptr
                  ? std::string("too many requests of this kind are waiting")
                  : fmt::format("{} requests are waiting for {}{}{} already, which does not answer", for_this,
                                config->path, config->authfile.empty() ? "" : " or ", config->authfile);
    } else if (answering_.size() + readings_.size() >= most && for_this > 0) {
        why = "too many requests are waiting for the disks of other exports";
    }
    if (!why.empty()) send(refusal(OpenerStatus::busy, why), reply_to.get(), MSG_DONTWAIT);
    return why.empty();
}

void Opener::answer_apart(const OpenerRequest& request, Fd reply_to, const OpenerAnswer* ready) {
    const pid_t child = ::fork();
    if (child < 0) {
        const std::string text = SysError{errno, "fork"}.message();
        return send(refusal(OpenerStatus::refused, text), reply_to.get(), MSG_DONTWAIT);
    }
    if (child > 0) {
        answering_.emplace(child, group_of(request));
        return;
    }
    // Whether the opener lives, the server sees by its end of this.
    control_.reset();
    readings_.clear();  // the sockets of other requests, which end where nobody has them any more
    // A file system in user space or of the network that does not answer can be waited for for ever, and the
    // wait be ended by a signal that kills. A disk cannot: such a process keeps its export's place.
    (void)::alarm(static_cast<unsigned>(config_.handshaketimeout.count()) + 1);
    {
        const OpenerAnswer made = ready != nullptr ? OpenerAnswer() : answer(request);
        send(ready != nullptr ? *ready : made, reply_to.get(), 0);
    }  // What was opened is closed here before the answer ends: from then on only the server has it.
    reply_to.reset();
    ::_exit(0);
}

VolumeRequest Opener::request_for(const ExportConfig& config, const std::string& host) const {
    return {path_for_client(config, host), !config.readonly, config.filesize, config.direct(), server_};
}

OpenerAnswer Opener::answer(const OpenerRequest& request) const {
    if (request.call == OpenerCall::listen) return listen(request.number);
    if (request.call == OpenerCall::look_around) {
        OpenerAnswer answer;
        Surroundings around = server::look_around(config_);
        std::ranges::move(around.warnings, std::back_inserter(around.mistakes));
        pack(answer.packed, around.mistakes);
        return answer;
    }
    if (request.call == OpenerCall::authfiles) {
        OpenerAnswer answer;
        pack(answer.packed, read_access_files(config_));
        return answer;
    }
    const ExportConfig* const config = config_.find(request.name);
    if (config == nullptr) return refusal(OpenerStatus::absent, "there is no such export any more");
    if (request.host.empty()) return refusal(OpenerStatus::refused, "the client has no address");
    const VolumeRequest disk = request_for(*config, request.host);
    switch (request.call) {
        case OpenerCall::find: {
            if (const auto created = create_missing_file(disk); !created) return refusal(created.error());
            return answer_with(find_disk(disk));
        }
        case OpenerCall::open: {
            std::expected<OpenedDisk, VolumeRefusal> opened = open_disk(disk);
            if (!opened) return refusal(opened.error());
            OpenerAnswer answer;
            pack(answer.packed, opened->facts);
            answer.files.push_back(std::move(opened->files.file));
            answer.files.push_back(std::move(opened->files.for_flushes));
            return answer;
        }
        case OpenerCall::look: return answer_with(look_at_volume(disk));
        case OpenerCall::reload:
        case OpenerCall::listen:
        case OpenerCall::commit:
        case OpenerCall::authfiles:
        case OpenerCall::look_around:
        case OpenerCall::unlisten: break;
    }
    return refusal(OpenerStatus::refused, "not a request for an export");
}

OpenerAnswer Opener::listen(std::uint32_t number) const {
    const Config& wanted = next_ ? *next_ : config_;
    if (number >= wanted.listens.size()) return refusal(OpenerStatus::refused, "there is no such listener");
    InheritedSockets none;  // those are for the start
    std::expected<std::vector<Fd>, std::string> sockets =
        listen_on(wanted.listens[number].endpoint, identity_, none);
    if (!sockets) return refusal(OpenerStatus::refused, sockets.error());
    if (sockets->size() > most_files) {
        return refusal(OpenerStatus::refused,
                       fmt::format("{} has {} addresses; at most {} can be listened on",
                                   to_string(wanted.listens[number].endpoint), sockets->size(), most_files));
    }
    OpenerAnswer answer;
    answer.files = std::move(*sockets);
    return answer;
}

// What the reader sends: before a file or folder is opened its path, and at the end the texts.
void Opener::begin_reload(const OpenerRequest& request, Fd reply_to) {
    int ends[2] = {-1, -1};
    const bool made = ::pipe2(ends, O_CLOEXEC) == 0;
    Fd from_reader(ends[0]);
    const Fd to_opener(ends[1]);
    const pid_t child = made ? ::fork() : -1;
    if (child < 0) {
        const std::string text = SysError{errno, made ? "fork" : "pipe2"}.message();
        return send(refusal(OpenerStatus::refused, text), reply_to.get(), MSG_DONTWAIT);
    }
    if (child > 0) {
        (void)::fcntl(from_reader.get(), F_SETFL, O_NONBLOCK);
        readings_.push_back({request,
                             group_of(request),
                             std::move(reply_to),
                             child,
                             std::move(from_reader),
                             Clock::now() + reading_patience,
                             {}});
        return;
    }
    control_.reset();
    reply_to.reset();
    readings_.clear();
    (void)::alarm(static_cast<unsigned>(reading_patience.count()) + 1);
    const auto put = [&](const Packer& packed) {
        for (std::span<const std::uint8_t> rest = packed.bytes(); !rest.empty();) {
            const ssize_t count = ::write(to_opener.get(), rest.data(), rest.size());
            if (count < 0) ::_exit(1);
            rest = rest.subspan(static_cast<std::size_t>(count));
        }
    };
    const ConfigTexts texts = read_config_files(options_, [&](const std::string& path) {
        Packer step(OpenerStatus::busy);
        step.text(path);
        put(step);
    });
    Packer whole(OpenerStatus::done);
    pack(whole, texts);
    put(whole);
    ::_exit(0);
}

bool Opener::go_on_reading(Reading& reading) const {
    std::array<std::uint8_t, 65536> piece;
    const ssize_t count = ::read(reading.from_reader.get(), piece.data(), piece.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (count > 0) {
        reading.bytes.insert(reading.bytes.end(), piece.begin(), piece.begin() + count);
        return true;
    }
    return false;
}

int Opener::milliseconds_to_wait() const {
    Clock::time_point next = Clock::time_point::max();
    for (const Reading& one : readings_) next = std::min(next, one.deadline);
    if (next == Clock::time_point::max()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

// `readable` has the readings behind the first two. A reader that hangs and cannot be killed has a place
// among the processes that answer, so that there are never many.
void Opener::answer_readings(const std::vector<pollfd>& readable) {
    std::size_t at = 2;
    for (auto next = readings_.begin(); next != readings_.end();) {
        const auto one = next++;
        const bool ended = readable[at++].revents != 0 && !go_on_reading(*one);
        if (!ended && Clock::now() < one->deadline) continue;
        if (!ended) answering_.emplace(one->reader, one->group);
        Reading done = std::move(*one);
        readings_.erase(one);
        // Answered apart, because it may be long.
        const OpenerAnswer ready = take_over(done);
        answer_apart(done.request, std::move(done.reply_to), &ready);
    }
}

// Kept here for commit(), and handed to the server.
OpenerAnswer Opener::take_over(const Reading& reading) {
    next_.reset();
    Unpacker from(reading.bytes);
    std::string path;
    auto kind = from.number<std::uint8_t>();
    for (; from.sound() && kind == static_cast<std::uint8_t>(OpenerStatus::busy);
         kind = from.number<std::uint8_t>())
        path = from.text();
    std::optional<ConfigTexts> texts;
    if (from.sound()) texts = unpack_texts(from);
    if (!texts) {
        return refusal(OpenerStatus::refused,
                       fmt::format("{}: reading it took longer than {} s; does its file system answer?", path,
                                   reading_patience.count()));
    }
    LoadedConfig loaded = make_config(options_, *texts);
    if (loaded.errors.empty()) next_ = std::move(loaded.config);
    OpenerAnswer answer;
    pack(answer.packed, *texts);
    return answer;
}

void Opener::commit() {
    if (!next_) return;
    const std::vector<Listen> old = std::exchange(config_, std::move(*next_)).listens;
    next_.reset();
    for (const Listen& listen : old) {
        const std::string& path = listen.endpoint.unix_path;
        const bool stays = std::ranges::any_of(
            config_.listens, [&](const Listen& one) { return one.endpoint.unix_path == path; });
        if (!stays) remove_socket(path);
    }
}

void Opener::remove_socket(std::string path) {
    if (bound_.erase(path) == 0) return;
    // May not be permitted to whoever we are; the next start replaces it.
    (void)::unlink(path.c_str());
}

// Only the one of our own server: by now the next may have written its own.
void Opener::remove_pid_file() const {
    if (options_.pid_file.empty()) return;
    const Result<std::string> text = read_text_file(options_.pid_file, 4096);
    if (text && *text == std::to_string(server_) + "\n") (void)::unlink(options_.pid_file.c_str());
}

Result<void> Opener::start(OpenerLink& link, Context context) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return sys_error("socketpair");
    Fd ours(ends[0]);
    Fd control(ends[1]);
    const pid_t server = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) return sys_error("fork");
    if (child > 0) {
        link.connect(std::move(ours), child);
        return {};
    }
    ours.reset();
    for (const int signal : {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGPIPE}) ::signal(signal, SIG_IGN);
    (void)::prctl(PR_SET_NAME, "holdfast-opener");
    // Nobody of the same user may look into it (ptrace(2), /proc/PID/mem).
    (void)::prctl(PR_SET_DUMPABLE, 0);
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int standard :
         {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {  // not holding up who reads them
        if (standard != STDERR_FILENO || !context.keep_stderr) (void)::dup2(null.get(), standard);
    }
    // The pipe to the command that started the daemon, and whatever else was inherited.
    const auto kept = static_cast<unsigned>(control.get());
    if (kept > 3) (void)::close_range(3, kept - 1, 0);
    (void)::close_range(kept + 1, ~0U, 0);
    Opener(std::move(control), std::move(context), server).run();
    ::_exit(0);
}

}  // namespace holdfast::server
