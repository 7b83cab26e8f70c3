// Reads /proc/PID/attr/current: "kernel" before a policy is loaded, then a context; the text of another
// security module if that module is in charge.

#include "client/process/selinux_domain.hh"

#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace holdfast::client {
namespace {

constexpr std::string_view kernel_domain = ":kernel_t:";
constexpr std::string_view own_domain = ":holdfast_client_t:";
// Types of files before labelling: on any file system until the policy is fully loaded, then on a tmpfs.
constexpr std::array<std::string_view, 2> unlabelled_types{"unlabeled_t", "tmpfs_t"};

// Checks for USER:ROLE:TYPE:LEVEL; AppArmor's text has no colon.
bool is_context(std::string_view text) { return std::ranges::count(text, ':') >= 2; }

std::string_view type_in(std::string_view context) {
    for (int field = 0; field < 2; ++field) context.remove_prefix(context.find(':') + 1);
    return context.substr(0, context.find(':'));
}

std::string_view without_end(std::string_view text) {
    while (!text.empty() && (text.back() == '\0' || text.back() == '\n')) text.remove_suffix(1);
    return text;
}

ssize_t label_of(int descriptor, char* room, std::size_t size) {
    return ::fgetxattr(descriptor, "security.selinux", room, size);
}

}  // namespace

SecurityContext context_after(std::string_view context) noexcept {
    SecurityContext next;
    const std::size_t at = context.find(kernel_domain);
    if (at == std::string_view::npos) return next;
    next.append(context.substr(0, at));
    next.append(own_domain);
    next.append(context.substr(at + kernel_domain.size()));
    if (next.full()) next.clear();
    return next;
}

SelinuxDomain SelinuxDomain::open(std::initializer_list<Kept> kept, const char* proc, ReadLabel read_label) {
    SelinuxDomain domain;
    const std::string path = std::string(proc) + "/thread-self/attr/current";
    domain.current_.reset(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    domain.read_label_ = read_label != nullptr ? read_label : label_of;
    for (const Kept& one : kept)
        if (one.descriptor >= 0 && domain.count_ < most_kept) domain.kept_[domain.count_++] = one;
    return domain;
}

SecurityContext SelinuxDomain::type_of(const Kept& kept) const noexcept {
    std::array<char, 256> room{};
    const ssize_t count = read_label_(kept.descriptor, room.data(), room.size());
    const std::string_view text = without_end({room.data(), count > 0 ? static_cast<std::size_t>(count) : 0});
    return is_context(text) ? SecurityContext(type_in(text)) : SecurityContext();
}

bool SelinuxDomain::is_labelled(const Kept& kept) const noexcept {
    const SecurityContext type = type_of(kept);
    if (!kept.type.empty()) return type == kept.type;
    return !type.empty() && std::ranges::find(unlabelled_types, type.view()) == unlabelled_types.end();
}

const SelinuxDomain::Kept* SelinuxDomain::first_unlabelled() const noexcept {
    for (std::size_t i = 0; i < count_; ++i)
        if (!is_labelled(kept_[i])) return &kept_[i];
    return nullptr;
}

LineText SelinuxDomain::unlabelled() const {
    const Kept* const file = first_unlabelled();
    if (file == nullptr) return "no file";
    const SecurityContext type = type_of(*file);
    return LineText::of("{} ({})", file->name, type.empty() ? "no type" : type.view());
}

SelinuxDomain::Step SelinuxDomain::look(Clock::time_point now) noexcept {
    if (!current_) return Step::none;
    std::array<char, 256> room{};
    const ssize_t count = ::pread(current_.get(), room.data(), room.size(), 0);
    const std::string_view text = without_end({room.data(), count > 0 ? static_cast<std::size_t>(count) : 0});
    if (text == "kernel") return Step::none;
    context_ = is_context(text) ? SecurityContext(text) : SecurityContext();
    if (context_after(context_).empty()) {
        current_.reset();
        return Step::none;
    }
    if (policy_seen_ == Clock::time_point{}) policy_seen_ = now;
    if (first_unlabelled() == nullptr) return Step::ready;
    if (reported_ || now - policy_seen_ < patience) return Step::none;
    reported_ = true;
    return Step::unlabelled;
}

SelinuxDomain::Step SelinuxDomain::move() noexcept {
    const SecurityContext next = context_after(context_);
    if (!current_ || next.empty()) return Step::none;
    if (::pwrite(current_.get(), next.view().data(), next.view().size(), 0) >= 0) {
        context_ = next;
        current_.reset();
        return Step::moved;
    }
    // The policy lacks the domain, but may get it later.
    if (errno == EINVAL) return Step::none;
    current_.reset();
    return Step::forbidden;
}

}  // namespace holdfast::client
