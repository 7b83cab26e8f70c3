// The main file, then the files of its includedir, then the command line.

#include "server/config_file.hh"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

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

ConfigTexts::File read_file(const std::string& path) {
    Result<std::string> text = read_text_file(path, largest_config);
    if (!text) return {path, {}, text.error().message()};
    return {path, std::move(*text), {}};
}

}  // namespace

ConfigTexts read_config_files(const Options& options) {
    ConfigTexts texts;
    if (!options.reads_config()) return texts;
    texts.files.push_back(read_file(options.config));
    ConfigReader reader;
    reader.add_main(options.config, texts.files.front().text);
    if (!reader.includedir()) return texts;
    const std::string& directory = reader.includedir()->path;
    const Result<std::vector<std::string>> names = conf_files(directory);
    if (!names) texts.directory_fault = names.error().message();
    for (const std::string& name : names.value_or(std::vector<std::string>()))
        texts.files.push_back(read_file(directory + "/" + name));
    return texts;
}

LoadedConfig make_config(const Options& options, const ConfigTexts& texts) {
    ConfigReader reader;
    bool main = true;
    for (const ConfigTexts::File& one : texts.files) {
        const bool first = std::exchange(main, false);
        if (!one.fault.empty()) {
            reader.add_error({one.path, 0}, one.fault);
        } else if (first) {
            reader.add_main(one.path, one.text);
        } else {
            reader.add_included(one.path, one.text);
        }
        if (first && reader.includedir() && !texts.directory_fault.empty()) {
            const ConfigReader::IncludeDir& included = *reader.includedir();
            reader.add_error(included.place,
                             fmt::format("includedir: {}: {}", included.path, texts.directory_fault));
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

LoadedConfig load_config(const Options& options) { return make_config(options, read_config_files(options)); }

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
