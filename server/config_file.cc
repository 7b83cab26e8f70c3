// The main file, then the files of its includedir, then the command line.

#include "server/config_file.hh"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <set>

#include "common/linux/text_file.hh"
#include "server/access_file.hh"

namespace holdfast::server {
namespace {

constexpr std::size_t largest_config = 4U << 20;

// The names that end in ".conf", sorted, so that the order does not depend on the directory.
Result<std::vector<std::string>> conf_files(const std::string& directory) {
    const auto close = [](DIR* dir) { ::closedir(dir); };
    const std::unique_ptr<DIR, decltype(close)> dir(::opendir(directory.c_str()), close);
    if (!dir) return sys_error("opendir");
    std::vector<std::string> names;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(dir.get());
        if (entry == nullptr) break;
        const std::string_view name = entry->d_name;
        if (name.ends_with(".conf") && !name.starts_with('.')) names.emplace_back(name);
    }
    if (errno != 0) return sys_error("readdir");
    std::ranges::sort(names);
    return names;
}

void read_included(ConfigReader& reader, const ConfigReader::IncludeDir& included) {
    const Result<std::vector<std::string>> names = conf_files(included.path);
    if (!names) {
        return reader.add_error(included.place,
                                fmt::format("includedir: {}: {}", included.path, names.error().message()));
    }
    for (const std::string& name : *names) {
        const std::string path = included.path + "/" + name;
        const Result<std::string> text = read_text_file(path, largest_config);
        if (text) {
            reader.add_included(path, *text);
        } else {
            reader.add_error({path, 0}, text.error().message());
        }
    }
}

}  // namespace

LoadedConfig load_config(const Options& options) {
    ConfigReader reader;
    if (options.reads_config()) {
        const Result<std::string> text = read_text_file(options.config, largest_config);
        if (text) {
            reader.add_main(options.config, *text);
            if (reader.includedir()) read_included(reader, *reader.includedir());
        } else {
            reader.add_error({options.config, 0}, text.error().message());
        }
    }
    for (const std::string& one : options.exports) reader.add_export_argument(one);
    for (const std::string& one : options.listens) reader.add_listen_argument(one);
    LoadedConfig loaded;
    loaded.config = reader.finish();
    loaded.errors = reader.errors();
    loaded.warnings = reader.warnings();
    return loaded;
}

Surroundings look_around(const Config& config) {
    Surroundings found;
    std::set<std::string_view> authfiles;
    for (const ExportConfig& one : config.exports) {
        struct stat status {};
        const bool named = !one.path.empty() && !one.is_virtual() && one.filesize == 0;
        if (named && ::stat(one.path.c_str(), &status) != 0) {
            const SysError error{errno, "stat"};
            found.warnings.push_back(
                {one.place, fmt::format("[{}]: {}: {}; clients are refused until it is there", one.name,
                                        one.path, error.message())});
        }
        if (one.authfile.empty() || !authfiles.insert(one.authfile).second) continue;
        std::vector<Remark> mistakes = mistakes_in_access_file(one.authfile);
        for (Remark& mistake : mistakes) {
            mistake.text += fmt::format("; nobody may connect to [{}] until this is mended", one.name);
            found.mistakes.push_back(std::move(mistake));
        }
        if (!mistakes.empty()) continue;
        if (const auto list = read_access_file(one.authfile); !list) {
            found.warnings.push_back(
                {one.place,
                 fmt::format("[{}]: {}; nobody may connect until this is mended", one.name, list.error())});
        }
    }
    return found;
}

}  // namespace holdfast::server
