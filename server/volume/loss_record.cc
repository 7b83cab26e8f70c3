// Uses native integers: the file never leaves the machine, nor outlives its boot.

#include "server/volume/loss_record.hh"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/linux/log.hh"
#include "common/linux/text_file.hh"
#include "common/text/fnv1a.hh"
#include "common/text/number.hh"
#include "common/text/text.hh"

namespace holdfast::server {
namespace {

// Changes with the format: the states of other versions cannot be parsed.
constexpr std::string_view magic = "hf-lost1";

struct Head {
    char magic[8];
    nbd::Uuid boot;
    std::uint64_t number;
    std::uint64_t checksum;  // checksum of all other bytes
    std::uint32_t length;    // length of the states after the head
    std::uint32_t gap;       // LossRecord::Gap
};
static_assert(sizeof(Head) == 48);

std::uint64_t checksum(Head head, std::string_view states) {
    head.checksum = 0;
    return fnv1a(states, fnv1a({reinterpret_cast<const char*>(&head), sizeof head}));
}

// Formats a state with the disk's identity, each preceded by its length.
std::string worded(const std::string& identity, const std::string& state) {
    return fmt::format("{} {}\n{}{}", identity.size(), state.size(), identity, state);
}

// Parses "LENGTH LENGTH\n" and two texts of these lengths; false if malformed.
bool take_disk(std::string_view& rest, std::string& identity, std::string& state) {
    std::string_view line = take_line(rest);
    const auto first = number_of<std::size_t>(take_word(line));
    const auto second = number_of<std::size_t>(take_word(line));
    if (!first || !second || *first > rest.size() || *second > rest.size() - *first) return false;
    identity = rest.substr(0, *first);
    state = rest.substr(*first, *second);
    rest.remove_prefix(*first + *second);
    return true;
}

}  // namespace

LossRecord::Read LossRecord::read_half(std::string_view bytes, const nbd::Uuid& boot, Half& into) {
    Head head{};
    if (bytes.find_first_not_of('\0') == std::string_view::npos) return Read::absent;
    if (bytes.size() < sizeof head) return Read::torn;
    std::memcpy(&head, bytes.data(), sizeof head);
    const std::string_view rest = bytes.substr(sizeof head);
    if (std::string_view(head.magic, sizeof head.magic) != magic || head.length > rest.size())
        return Read::torn;
    into.states = rest.substr(0, head.length);
    if (head.checksum != checksum(head, into.states)) return Read::torn;
    if (head.boot != boot) return Read::absent;
    into.number = head.number;
    into.gap = std::min(static_cast<Gap>(head.gap), Gap::damaged);
    return Read::whole;
}

void LossRecord::take(std::string_view bytes, const nbd::Uuid& boot) {
    Half newest;
    bool torn = false;
    for (std::size_t at = 0; at < 2 * half && at < bytes.size(); at += half) {
        Half one;
        const Read read = read_half(bytes.substr(at, half), boot, one);
        torn |= read == Read::torn;
        if (read == Read::whole && one.number > newest.number) newest = std::move(one);
    }
    number_ = newest.number;
    widen(newest.gap);
    std::string_view rest = newest.states;
    while (!rest.empty()) {
        std::string identity;
        std::string state;
        if (!take_disk(rest, identity, state)) {
            widen(Gap::damaged);
            break;
        }
        disks_[identity] = state;
    }
    if (!torn) return;
    // The torn half may have contained a further loss for each disk in the intact half.
    widen(Gap::damaged);
    disks_.clear();
}

void LossRecord::widen(Gap gap) { gap_ = std::max(gap_, gap); }

void LossRecord::warn_of_gap() const {
    if (gap_ == Gap::none) return;
    log::warning(
        fmt::format("the record of lost writes {}: a loss is assumed for every disk that it does not name; "
                    "each client that may have written before gets one failing FLUSH",
                    gap_ == Gap::full ? "was full" : "is damaged or incomplete"));
}

Result<void> LossRecord::open(const std::string& path, const nbd::Uuid& boot) {
    const std::lock_guard lock(mutex_);
    boot_ = boot;
    const Result<std::string> left = read_text_file(path, 2 * half);
    if (left) {
        take(*left, boot);
    } else if (left.error().code != ENOENT) {
        log::warning(
            fmt::format("{}: cannot read the record of lost writes: {}", path, left.error().message()));
        widen(Gap::damaged);
    }
    forgetful_ = gap_ != Gap::none;
    warn_of_gap();
    Result<void> made = make_anew(path);
    if (made) return made;
    // The next process would trust the old file, which lacks the losses of this process.
    file_ = Fd(::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
    if (file_) tear();
    file_.reset();
    return made;
}

// Never opens a file that another program has created.
Result<void> LossRecord::make_anew(const std::string& path) {
    const std::string made = path + ".new";
    (void)::unlink(made.c_str());
    file_ = Fd(::open(made.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file_) return sys_error("open");
    if (Result<void> written = write(); !written) return written;
    if (::rename(made.c_str(), path.c_str()) != 0) return sys_error("rename");
    return {};
}

std::optional<std::string> LossRecord::of(const std::string& identity) const {
    const std::lock_guard lock(mutex_);
    const auto found = disks_.find(identity);
    if (found == disks_.end()) return std::nullopt;
    return found->second;
}

bool LossRecord::forgetful() const {
    const std::lock_guard lock(mutex_);
    return forgetful_;
}

void LossRecord::put(const std::string& identity, std::string state) {
    const std::lock_guard lock(mutex_);
    std::string& kept = disks_[identity];
    if (kept == state) return;
    kept = std::move(state);
    if (!file_) return;
    const Result<void> written = write();
    if (written) return;
    // The intact half lacks this loss.
    widen(Gap::damaged);
    tear();
    if (std::exchange(failure_logged_, true)) return;
    log::error("the record of lost writes: " + written.error().message() +
               "; after a restart of the server, a loss is assumed for every disk");
}

std::string LossRecord::states() {
    std::string text;
    for (const auto& [identity, state] : disks_) {
        const std::string one = worded(identity, state);
        if (sizeof(Head) + text.size() + one.size() <= half) {
            text += one;
            continue;
        }
        if (gap_ == Gap::none) {
            log::warning(
                "the record of lost writes is full; after a restart of the server, a loss is assumed for "
                "every disk that it does not name");
        }
        widen(Gap::full);
    }
    return text;
}

// Invalidates both halves, best effort: overwriting existing bytes needs no additional space.
void LossRecord::tear() {
    constexpr std::string_view torn = "hf-torn!";
    for (const off_t at : {off_t{0}, static_cast<off_t>(half)})
        (void)::pwrite(file_.get(), torn.data(), torn.size(), at);
}

Result<void> LossRecord::write() {
    const std::string text = states();
    Head head{};
    magic.copy(head.magic, sizeof head.magic);
    head.boot = boot_;
    head.number = ++number_;
    head.length = static_cast<std::uint32_t>(text.size());
    head.gap = static_cast<std::uint32_t>(gap_);
    head.checksum = checksum(head, text);
    std::string bytes(reinterpret_cast<const char*>(&head), sizeof head);
    bytes += text;
    auto at = static_cast<off_t>(number_ % 2 * half);
    for (std::string_view rest = bytes; !rest.empty();) {
        const ssize_t count = ::pwrite(file_.get(), rest.data(), rest.size(), at);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return sys_error("pwrite");
        rest.remove_prefix(static_cast<std::size_t>(count));
        at += count;
    }
    return {};
}

}  // namespace holdfast::server
