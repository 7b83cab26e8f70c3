// readdir(3), with the stream closed on every way out.

#include "common/linux/folder.hh"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace holdfast {

std::vector<std::string> names_in(const std::string& path, int directory) {
    std::vector<std::string> names;
    const int raw = ::openat(directory, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (raw < 0) return names;
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(raw), &::closedir);
    if (!stream) {
        ::close(raw);
        return names;
    }
    while (const dirent* entry = ::readdir(stream.get()))
        if (entry->d_name[0] != '.') names.emplace_back(static_cast<const char*>(entry->d_name));
    std::ranges::sort(names);
    return names;
}

}  // namespace holdfast
