// A thin volume is mapped to a device of its pool, which LVM names "vg0-pool-tpool".

#include "server/opener/thin_pool.hh"

#include <fmt/core.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <filesystem>

#include "common/linux/text_file.hh"
#include "common/text/printable.hh"

namespace holdfast::server {
namespace {

constexpr std::size_t longest_name = 256;
constexpr std::string_view pool_suffix = "-tpool";

std::string first_line(const std::string& path) {
    const std::string text = read_text_file(path, 4096).value_or("");
    return text.substr(0, text.find('\n'));
}

}  // namespace

// LVM doubles the hyphens within a name; a single hyphen separates.
std::string volume_of_mapped_name(std::string_view name) {
    std::string found;
    for (std::size_t at = 0; at < name.size(); ++at) {
        const bool doubled = name.substr(at).starts_with("--");
        found += name[at] == '-' && !doubled ? '/' : name[at];
        if (doubled) ++at;
    }
    const bool sound =
        std::ranges::count(found, '/') == 1 && !found.starts_with('/') && !found.ends_with('/');
    return sound ? found : std::string();
}

std::string thin_pool_of(dev_t device, const std::string& sys) {
    const std::string folder = fmt::format("{}/dev/block/{}:{}/slaves", sys, major(device), minor(device));
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
         at.increment(error)) {
        const std::string mapped = at->path().string() + "/dm/";
        const std::string name = first_line(mapped + "name");
        if (!first_line(mapped + "uuid").ends_with(pool_suffix) || !name.ends_with(pool_suffix)) continue;
        return printable_ascii(volume_of_mapped_name(name.substr(0, name.size() - pool_suffix.size())),
                               longest_name);
    }
    return {};
}

}  // namespace holdfast::server
