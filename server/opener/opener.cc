// Main loop of the opener, which never waits for a disk: receives requests, forks, and counts processes.

#include "server/opener/opener.hh"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <utility>

#include "common/linux/text_file.hh"
#include "server/config/config_packing.hh"
#include "server/listen/listener.hh"
#include "server/opener/boot_spool.hh"
#include "server/opener/disk_uses.hh"
#include "server/opener/provision_client.hh"

namespace holdfast::server {
namespace {

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

constexpr std::string_view not_made_yet = "the volume of this client is made when the client first connects";
constexpr std::string_view no_such_export = "the export no longer exists";

std::string file_group(const std::string& path) { return "file " + path; }
std::string listen_group(const Endpoint& endpoint) { return "listen on " + to_string(endpoint); }

// Time limit of a helper. The file readers and look_around() end by themselves before that.
std::chrono::seconds patience_for(OpenerCall call) {
    switch (call) {
        case OpenerCall::reload: return std::chrono::seconds(20);
        case OpenerCall::authfiles: return std::chrono::seconds(4);
        default: return std::chrono::seconds(10);
    }
}

bool is_missing(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) != 0 && errno == ENOENT;
}

// `volume`: the creation of the host's volume, if it was missing.
OpenerAnswer answer_find(const VolumeRequest& disk, const std::expected<void, VolumeRefusal>& volume) {
    if (!volume) return refusal(volume.error());
    if (const auto created = create_missing_file(disk); !created) return refusal(created.error());
    return answer_with(find_disk(disk));
}

std::unexpected<VolumeRefusal> refused(std::string text) {
    return std::unexpected(VolumeRefusal{false, std::move(text)});
}

// The export with the volume of the request's session, if it has volumes of sessions. A look without a
// session is for the volume that all sessions begin with.
std::expected<ExportConfig, VolumeRefusal> of_session(const ExportConfig& config,
                                                      const OpenerRequest& request) {
    if (!config.by_session())
        return request.data.empty() ? std::expected<ExportConfig, VolumeRefusal>(config)
                                    : refused("the export has no volumes of sessions");
    if (request.call == OpenerCall::look && request.data.empty()) return config;
    std::optional<ExportConfig> made = export_of_session(config, request.data);
    if (!made) return refused("the client has no session");
    return std::move(*made);
}

// `created`: whether a missing volume is made when the client connects.
OpenerAnswer answer_look(const VolumeRequest& disk, bool created) {
    if (created && is_missing(disk.path))
        return refusal(OpenerStatus::refused, disk.path + ": " + std::string(not_made_yet));
    return answer_with(look_at_volume(disk));
}

OpenerAnswer answer_open(const VolumeRequest& disk) {
    std::expected<OpenedDisk, VolumeRefusal> opened = open_disk(disk);
    if (!opened) return refusal(opened.error());
    OpenerAnswer answer;
    pack(answer.packed, opened->facts);
    answer.files.push_back(std::move(opened->files.file));
    answer.files.push_back(std::move(opened->files.for_flushes));
    return answer;
}

// Time limit of a process that works for an export: a wait for a disk cannot be ended, other waits can.
std::chrono::seconds patience_with(const OpenerRequest& request, const Config& config) {
    constexpr std::chrono::seconds for_boot_files{120};  // the sum over a file, and its flush
    return is_of_boot_files(request.call) ? for_boot_files : config.handshaketimeout;
}

OpenerAnswer answer_begin(const BootSpool& spool, const BootFileWanted& wanted) {
    std::expected<BegunBootFile, BootFault> begun = begin_boot_file(spool, wanted);
    OpenerAnswer answer;
    pack(answer.packed, begun ? std::expected<void, BootFault>() : std::unexpected(std::move(begun.error())));
    if (!begun) return answer;
    answer.packed.number(std::uint8_t{begun->complete});
    answer.packed.number(begun->offset);
    if (begun->file) answer.files.push_back(std::move(begun->file));
    return answer;
}

OpenerAnswer answer_published(const BootSpool& spool) {
    const std::expected<std::string, BootFault> text = published_boot_files(spool);
    OpenerAnswer answer;
    pack(answer.packed, text ? std::expected<void, BootFault>() : std::unexpected(text.error()));
    if (text) answer.packed.text(*text);
    return answer;
}

// The alignment of a control message leaves room for two descriptors.
using MessageFiles = std::array<Fd, CMSG_SPACE(sizeof(int)) / sizeof(int)>;

// Takes the descriptors that came with a message.
MessageFiles files_of(const msghdr& message) {
    MessageFiles files;
    const cmsghdr* const head = CMSG_FIRSTHDR(&message);
    if (head == nullptr || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) return files;
    for (std::size_t i = 0; i < files.size() && CMSG_LEN((i + 1) * sizeof(int)) <= head->cmsg_len; ++i) {
        int file = -1;
        std::memcpy(&file, CMSG_DATA(head) + i * sizeof file, sizeof file);
        files[i].reset(file);
    }
    return files;
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
        for (const Task& one : tasks_) wait.push_back({one.helper.question.fd(), POLLIN, 0});
        (void)::poll(wait.data(), wait.size(), milliseconds_to_wait());
        signalfd_siginfo info{};
        while (::read(signals.get(), &info, sizeof info) > 0) continue;
        reap();
        end_tasks();
        if (wait[0].revents != 0 && !take_message()) break;
    }
    constexpr std::chrono::seconds patience{1};  // less than OpenerClient waits for the opener's end
    const pid_t remover = run_apart([this] { remove_pid_file(); });
    if (remover > 0) (void)reap_soon({remover}, patience);
}

void Opener::reap() {
    for (;;) {
        const pid_t ended = ::waitpid(-1, nullptr, WNOHANG);
        if (ended <= 0) return;
        processes_.erase(ended);
        for (Task& one : tasks_) {
            if (one.helper.pid == ended) one.helper.pid = -1;
        }
    }
}

bool Opener::take_message() {
    std::array<std::uint8_t, longest_opener_request + 1> bytes;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec data{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t count = ::recvmsg(control_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (count < 0) return errno == EINTR || errno == EAGAIN;
    MessageFiles files = files_of(message);
    Fd& reply_to = files[0];
    if (count == 0 && !reply_to) return false;
    if ((message.msg_flags & MSG_TRUNC) != 0 || files[1]) return true;
    const auto request = unpack_request(std::span(bytes).first(static_cast<std::size_t>(count)));
    // `commit` counts even if no descriptor was left for its socket: the server considers it done once sent.
    const bool counts_unanswered = request && request->call == OpenerCall::commit;
    // An invalid request gets no answer: its sender finds the socket closed.
    const bool answerable = (message.msg_flags & MSG_CTRUNC) == 0 && reply_to;
    if (request && (answerable || counts_unanswered)) handle(*request, std::move(reply_to));
    return true;
}

void Opener::handle(const OpenerRequest& request, Fd reply_to) {
    switch (request.call) {
        case OpenerCall::authfiles:
        case OpenerCall::look_around:
        case OpenerCall::reload:
        case OpenerCall::listen:
            if (has_place(request, reply_to)) begin_task(request, std::move(reply_to));
            return;
        case OpenerCall::commit: commit(); return send(OpenerAnswer(), reply_to.get(), MSG_DONTWAIT);
        case OpenerCall::unlisten:
            unlisten(request.number != 0);
            return send(OpenerAnswer(), reply_to.get(), MSG_DONTWAIT);
        // Disks and boot files.
        default: return handle_for_export(request, std::move(reply_to));
    }
}

// Starts no process for a name that the server made up.
void Opener::handle_for_export(const OpenerRequest& request, Fd reply_to) {
    if (config_.find(request.name) == nullptr)
        return send(refusal(OpenerStatus::absent, no_such_export), reply_to.get(), MSG_DONTWAIT);
    if (has_place(request, reply_to)) answer_apart(request, std::move(reply_to), nullptr);
}

void Opener::unlisten(bool all) {
    constexpr std::chrono::milliseconds moment{500};
    std::set<std::string> paths;
    for (const Listen& one : config_.listens) paths.insert(one.endpoint.unix_path);
    remove_sockets(all ? bound_ : paths, moment);
}

const Listen* Opener::listener(std::uint32_t number) const {
    const std::vector<Listen>& wanted = (next_ ? *next_ : config_).listens;
    return number < wanted.size() ? &wanted[number] : nullptr;
}

std::string Opener::group_of(const OpenerRequest& request) const {
    const bool of_export = request.call == OpenerCall::find || request.call == OpenerCall::open ||
                           request.call == OpenerCall::look;
    if (is_of_boot_files(request.call)) return "boot files of " + request.name;
    // Removals are not to hold up the clients that come meanwhile.
    if (request.call == OpenerCall::end_session) return "ended sessions of " + request.name;
    // For other calls the name has no meaning, and must not evade the limit.
    if (of_export && !request.name.empty()) {
        // A volume that is being made holds up its own client only, whatever hosts this client asks for.
        const ExportConfig* const config = config_.find(request.name);
        if (config != nullptr && config->created)
            return "export " + config->created->name + " of " + request.host;
        return "export " + request.name;
    }
    const Listen* const listen = request.call == OpenerCall::listen ? listener(request.number) : nullptr;
    if (listen != nullptr) return listen_group(listen->endpoint);
    return fmt::format("{}", static_cast<unsigned>(request.call));
}

// Whether the request's group is of a host, of which there may be more than `most`.
bool Opener::is_for_host(const OpenerRequest& request) const {
    const ExportConfig* const config = config_.find(request.name);
    return config != nullptr && config->created;
}

bool Opener::has_place(const OpenerRequest& request, const Fd& reply_to) const {
    const std::string group = group_of(request);
    const auto for_this = static_cast<std::size_t>(std::ranges::count(tasks_, group, &Task::group) +
                                                   std::ranges::count_if(processes_, [&](const auto& one) {
                                                       return one.second.groups.contains(group);
                                                   }));
    const std::size_t limit = request.call == OpenerCall::listen ? 1 : most_for_one;
    std::string why;
    if (for_this >= limit) {
        const ExportConfig* const config = config_.find(request.name);
        why = limit == 1 ? fmt::format("cannot {}: an earlier attempt still hangs", group)
              : config == nullptr
                  ? std::string("too many requests of this kind are waiting")
                  : fmt::format("{} requests are already waiting for {}, which does not answer", for_this,
                                is_of_boot_files(request.call) ? config_.bootfilesdir : config->path);
    } else if (processes_.size() + tasks_.size() >= most && (for_this > 0 || is_for_host(request))) {
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
        processes_[child] = {{group_of(request)}, Clock::now()};
        return;
    }
    // The server detects the opener's death by its end of this socket.
    control_.reset();
    tasks_.clear();  // closes the sockets of other requests, whose answers end when the last copy is closed
    // A file system in user space or on the network may never answer; a fatal signal ends that wait. A wait
    // for a disk cannot be ended: such a process keeps its export's place.
    (void)::alarm(static_cast<unsigned>(patience_with(request, config_).count()) + 1);
    {
        const OpenerAnswer made = ready != nullptr ? OpenerAnswer() : answer(request);
        send(ready != nullptr ? *ready : made, reply_to.get(), 0);
    }  // Closes the opened files before the answer ends: from then on only the server has them.
    reply_to.reset();
    ::_exit(0);
}

VolumeRequest Opener::request_for(const ExportConfig& config, const std::string& host) const {
    VolumeRequest made{path_for_client(config, host), !config.readonly, config.filesize, config.direct(),
                       server_};
    made.as_origin = config.by_session() && config.host_word.empty();
    return made;
}

std::chrono::milliseconds Opener::patience_for_provision() const {
    constexpr std::chrono::milliseconds second{1000};
    const std::chrono::milliseconds whole(config_.handshaketimeout);
    return whole > 2 * second ? whole - second : whole / 2;
}

std::expected<void, VolumeRefusal> Opener::make_missing_volume(const ExportConfig& config,
                                                               const std::string& host,
                                                               const std::string& path) const {
    if (!config.created || !is_missing(path)) return {};
    return ask_for_volume(config_.provisionsocket, config, host, patience_for_provision());
}

OpenerAnswer Opener::answer(const OpenerRequest& request) const {
    const std::optional<ExportConfig> config = config_.export_for(request.name);
    if (!config) return refusal(OpenerStatus::absent, no_such_export);
    if (is_of_boot_files(request.call)) return answer_boot_files(*config, request);
    if (request.host.empty()) return refusal(OpenerStatus::refused, "the client has no address");
    const std::expected<ExportConfig, VolumeRefusal> of_request = of_session(*config, request);
    return of_request ? answer_disk(*of_request, request) : refusal(of_request.error());
}

OpenerAnswer Opener::answer_end(const ExportConfig& config, const std::string& host) const {
    const auto ended = config.by_session() ? ask_for_end_of_session(config_.provisionsocket, config, host,
                                                                    patience_for_provision())
                                           : refused("the export has no volumes of sessions");
    return ended ? OpenerAnswer() : refusal(ended.error());
}

OpenerAnswer Opener::answer_disk(const ExportConfig& config, const OpenerRequest& request) const {
    const VolumeRequest disk = request_for(config, request.host);
    switch (request.call) {
        case OpenerCall::find: return answer_find(disk, make_missing_volume(config, request.host, disk.path));
        case OpenerCall::open: return answer_open(disk);
        case OpenerCall::look: return answer_look(disk, config.created && !disk.as_origin);
        case OpenerCall::end_session: return answer_end(config, request.host);
        default: break;
    }
    return refusal(OpenerStatus::refused, "not a request for an export");
}

// Judges by the opener's own configuration, as for disks.
OpenerAnswer Opener::answer_boot_files(const ExportConfig& config, const OpenerRequest& request) const {
    if (!config.bootfiles) return refusal(OpenerStatus::refused, "the export takes no boot files");
    const BootSpool spool{config_.bootfilesdir, config.name, config.bootfilesquota, identity_};
    if (request.call == OpenerCall::boot_status) return answer_published(spool);
    OpenerAnswer answer;
    if (request.call == OpenerCall::boot_commit) {
        pack(answer.packed, commit_boot_files(spool, request.data));
        return answer;
    }
    const std::optional<BootFileWanted> wanted = unpack_boot_file(request.data);
    if (!wanted) return refusal(OpenerStatus::refused, "not a boot file");
    if (request.call == OpenerCall::boot_begin) return answer_begin(spool, *wanted);
    pack(answer.packed, request.call == OpenerCall::boot_end ? end_boot_file(spool, *wanted)
                                                             : drop_boot_file(spool, *wanted));
    return answer;
}

OpenerAnswer Opener::listen(std::uint32_t number) const {
    const Listen* const wanted = listener(number);
    if (wanted == nullptr) return refusal(OpenerStatus::refused, "no such listener");
    InheritedSockets none;  // inherited sockets are used only at the start
    std::expected<std::vector<Fd>, std::string> sockets = listen_on(wanted->endpoint, identity_, none);
    if (!sockets) return refusal(OpenerStatus::refused, sockets.error());
    if (sockets->size() > most_answer_files) {
        return refusal(OpenerStatus::refused,
                       fmt::format("{} has {} addresses; at most {} can be listened on",
                                   to_string(wanted->endpoint), sockets->size(), most_answer_files));
    }
    OpenerAnswer answer;
    answer.files = std::move(*sockets);
    return answer;
}

void Opener::begin_task(const OpenerRequest& request, Fd reply_to) {
    // A server has a single reload in progress: a new reload means that the earlier request was abandoned.
    for (auto next = tasks_.begin(); request.call == OpenerCall::reload && next != tasks_.end();) {
        const auto one = next++;
        if (one->request.call != OpenerCall::reload) continue;
        keep_places(one->helper, {});
        tasks_.erase(one);
    }
    const std::chrono::seconds patience = patience_for(request.call);
    const bool by_itself = request.call == OpenerCall::authfiles || request.call == OpenerCall::look_around;
    Result<Helper> helper =
        start_helper([&, left_out = hanging_paths()] { return carry_out(request, left_out, reply_to.get()); },
                     patience, by_itself ? reply_to.get() : -1);
    if (!helper) {
        const std::string text = helper.error().message();
        return send(refusal(OpenerStatus::refused, text), reply_to.get(), MSG_DONTWAIT);
    }
    if (by_itself) reply_to.reset();
    const Listen* const listen = request.call == OpenerCall::listen ? listener(request.number) : nullptr;
    tasks_.push_back({request, group_of(request), listen != nullptr ? listen->endpoint.unix_path : "",
                      std::move(reply_to), std::move(*helper), Clock::now() + patience});
}

// Runs in the helper. Sends the answer to the server from here; the opener gets only the hanging paths.
OpenerAnswer Opener::carry_out(const OpenerRequest& request, const HangingPaths& left_out,
                               int reply_to) const {
    if (request.call == OpenerCall::listen) return listen(request.number);
    OpenerAnswer answer;
    if (request.call == OpenerCall::reload) {
        pack(answer.packed, read_config_files(options_, left_out));
        return answer;
    }
    ConfigTexts hanging;
    if (request.call == OpenerCall::authfiles) {
        const ConfigTexts texts = read_access_files(config_, left_out);
        hanging.hanging = texts.hanging;
        pack(answer.packed, texts);
    } else {
        Surroundings around = server::look_around(config_, left_out);
        add_uses(config_, left_out, around);
        hanging.hanging = std::move(around.hanging);
        std::ranges::move(around.warnings, std::back_inserter(around.mistakes));
        pack(answer.packed, around.mistakes);
    }
    send(answer, reply_to, 0);
    (void)::close(reply_to);  // the last copy of the socket: the answer ends here
    OpenerAnswer for_opener;
    pack(for_opener.packed, hanging);
    return for_opener;
}

int Opener::milliseconds_to_wait() const {
    Deadline next = no_deadline;
    for (const Task& one : tasks_) next = std::min(next, one.deadline);
    return poll_timeout(next, Clock::now());
}

void Opener::end_tasks() {
    for (auto next = tasks_.begin(); next != tasks_.end();) {
        const auto one = next++;
        std::optional<OpenerOutcome> outcome = one->helper.question.take();
        if (!outcome && Clock::now() < one->deadline) continue;
        Task done = std::move(*one);
        tasks_.erase(one);
        if (!outcome) {
            if (done.helper.pid > 0) (void)::kill(done.helper.pid, SIGKILL);
            keep_places(done.helper, {done.group});
            std::string why = fmt::format("no answer for {} s", patience_for(done.request.call).count());
            if (done.request.call == OpenerCall::listen) why = fmt::format("cannot {}: {}", done.group, why);
            outcome = std::unexpected(VolumeRefusal{false, std::move(why)});
        }
        end_task(std::move(done), std::move(*outcome));
    }
}

void Opener::end_task(Task task, OpenerOutcome outcome) {
    if (task.request.call == OpenerCall::listen) {
        keep_places(task.helper, {});
        if (!outcome)
            return send(refusal(OpenerStatus::refused, outcome.error().text), task.reply_to.get(),
                        MSG_DONTWAIT);
        if (!task.unix_path.empty()) bound_.insert(task.unix_path);
        OpenerAnswer made;
        made.files = std::move(outcome->files);
        return send(made, task.reply_to.get(), MSG_DONTWAIT);
    }
    std::optional<ConfigTexts> texts;
    if (outcome) {
        Unpacker from(outcome->bytes);
        texts = unpack_texts(from);
    }
    std::set<std::string> groups;
    if (texts) {
        for (const std::string& path : texts->hanging) groups.insert(file_group(path));
    }
    keep_places(task.helper, std::move(groups));
    if (!task.reply_to) return;
    // Answers from a separate process, because the answer may be long.
    const OpenerAnswer ready = texts     ? take_over(*texts)
                               : outcome ? refusal(OpenerStatus::refused, "not read completely")
                                         : refusal(OpenerStatus::refused, outcome.error().text);
    answer_apart(task.request, std::move(task.reply_to), &ready);
}

void Opener::keep_places(const Helper& helper, std::set<std::string> groups) {
    if (helper.pid <= 0) return;  // the helper has ended
    Process& kept = processes_.try_emplace(helper.pid, Process{{}, Clock::now()}).first->second;
    kept.groups.merge(groups);
}

HangingPaths Opener::hanging_paths() const {
    constexpr std::chrono::minutes pause{1};
    std::map<std::string, std::size_t> counts;
    HangingPaths paths;
    constexpr std::string_view prefix = "file ";
    for (const auto& [pid, process] : processes_) {
        for (const std::string& group : process.groups) {
            if (!group.starts_with(prefix)) continue;
            if (++counts[group] >= most_for_one || Clock::now() < process.since + pause)
                paths.insert(group.substr(prefix.size()));
        }
    }
    return paths;
}

// Keeps the configuration for commit(), and returns the texts for the server.
OpenerAnswer Opener::take_over(const ConfigTexts& texts) {
    next_.reset();
    LoadedConfig loaded = make_config(options_, texts);
    if (loaded.errors.empty()) next_ = std::move(loaded.config);
    OpenerAnswer answer;
    pack(answer.packed, texts);
    return answer;
}

void Opener::commit() {
    if (!next_) return;
    const std::vector<Listen> old = std::exchange(config_, std::move(*next_)).listens;
    next_.reset();
    std::set<std::string> paths;
    for (const Listen& one : old) paths.insert(one.endpoint.unix_path);
    for (const Listen& one : config_.listens) paths.erase(one.endpoint.unix_path);
    constexpr std::chrono::milliseconds moment{100};
    remove_sockets(paths, moment);
}

pid_t Opener::run_apart(const std::function<void()>& work) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    control_.reset();
    tasks_.clear();
    constexpr unsigned patience_s = 10;
    (void)::alarm(patience_s);
    work();
    ::_exit(0);
}

void Opener::remove_sockets(const std::set<std::string>& paths, std::chrono::milliseconds patience) {
    std::vector<pid_t> removers;
    for (const std::string& path : std::set<std::string>(paths)) {
        if (bound_.erase(path) == 0) continue;
        // Removal may not be permitted for this user; the next start replaces the socket.
        const pid_t remover = run_apart([&] { (void)::unlink(path.c_str()); });
        if (remover <= 0) continue;
        removers.push_back(remover);
        // Blocks binding of this path while its removal may still be in progress.
        processes_[remover] = {{listen_group({.host = {}, .port = 0, .unix_path = path})}, Clock::now()};
    }
    const std::vector<pid_t> left = reap_soon(removers, patience);
    for (const pid_t one : removers) {
        if (std::ranges::find(left, one) == left.end()) processes_.erase(one);
    }
}

// Removes only the pid file of our own server: by now the next server may have written its own.
void Opener::remove_pid_file() const {
    if (options_.pid_file.empty()) return;
    const Result<std::string> text = read_text_file(options_.pid_file, 4096);
    if (text && *text == std::to_string(server_) + "\n") (void)::unlink(options_.pid_file.c_str());
}

Result<void> Opener::start(OpenerClient& link, Context context) {
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
    // Denies access to other processes of the same user (ptrace(2), /proc/PID/mem).
    (void)::prctl(PR_SET_DUMPABLE, 0);
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int standard :
         {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {  // their readers must see the end
        if (standard != STDERR_FILENO || !context.keep_stderr) (void)::dup2(null.get(), standard);
    }
    // Closes the pipe to the command that started the daemon, and all other inherited descriptors.
    const auto kept = static_cast<unsigned>(control.get());
    if (kept > 3) (void)::close_range(3, kept - 1, 0);
    (void)::close_range(kept + 1, ~0U, 0);
    Opener(std::move(control), std::move(context), server).run();
    ::_exit(0);
}

}  // namespace holdfast::server
