// The main file, then the files of its includedir, then the command line.

#include "server/config_file.hh"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "common/linux/text_file.hh"
#include "server/access_file.hh"
#include "server/apart.hh"

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

ConfigTexts read_config_files(const Options& options,
                              const std::function<void(const std::string& path)>& on_path) {
    const auto will_open = [&](const std::string& path) -> const std::string& {
        if (on_path) on_path(path);
        return path;
    };
    ConfigTexts texts;
    if (!options.reads_config()) return texts;
    texts.files.push_back(read_file(will_open(options.config)));
    ConfigReader reader;
    reader.add_main(options.config, texts.files.front().text);
    if (!reader.includedir()) return texts;
    const std::string& directory = reader.includedir()->path;
    const Result<std::vector<std::string>> names = conf_files(will_open(directory));
    if (!names) texts.directory_fault = names.error().message();
    for (const std::string& name : names.value_or(std::vector<std::string>()))
        texts.files.push_back(read_file(will_open(directory + "/" + name)));
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

ConfigTexts read_access_files(const Config& config) {
    constexpr std::chrono::seconds patience{2};
    std::set<std::string> paths;
    for (const ExportConfig& one : config.exports) {
        if (!one.authfile.empty()) paths.insert(one.authfile);
    }
    std::vector<std::function<ConfigTexts::File()>> tasks;
    for (const std::string& path : paths) tasks.emplace_back([path] { return read_file(path); });
    const auto results = do_apart(std::move(tasks), patience);
    ConfigTexts texts;
    auto path = paths.begin();
    for (const auto& one : results) {
        const ConfigTexts::File none{*path, {}, fmt::format("no answer for {} s", patience.count())};
        texts.files.push_back(one.value_or(none));
        ++path;
    }
    return texts;
}

LoadedConfig make_config_for_start(const Options& options, ConfigTexts texts) {
    LoadedConfig loaded = make_config(options, texts);
    const LoadedConfig whole = loaded;
    std::vector<Remark> skipped;
    // Files that are left out may have hidden mistakes of others, but each turn has fewer files.
    while (!loaded.errors.empty() && !loaded.config.strict) {
        std::set<std::string> faulty;
        for (const Remark& one : loaded.errors) faulty.insert(one.place.file);
        if (!texts.files.empty()) faulty.erase(texts.files.front().path);  // the main file is not left out
        skipped.insert(skipped.end(), loaded.errors.begin(), loaded.errors.end());
        if (std::erase_if(texts.files, [&](const auto& one) { return faulty.contains(one.path); }) == 0)
            return whole;
        loaded = make_config(options, texts);
    }
    loaded.skipped = std::move(skipped);
    return loaded;
}

LoadedConfig load_config_for_start(const Options& options) {
    return make_config_for_start(options, read_config_files(options));
}

namespace {

// What is wrong with an export's path; empty: nothing.
std::string fault_of_path(const std::string& path, std::uint64_t filesize) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) {
        const auto size = static_cast<std::uint64_t>(status.st_size);
        if (!S_ISREG(status.st_mode) || size >= filesize) return {};
        return fmt::format(
            "{} has {} bytes, fewer than filesize = {}; clients are refused until it is larger", path, size,
            filesize);
    }
    if (errno == ENOENT && filesize != 0) return {};  // it is made when the first client comes
    return fmt::format("{}: {}; clients are refused until it is there", path,
                       SysError{errno, "stat"}.message());
}

struct Found {
    std::vector<Remark> mistakes;
    std::string fault;  // empty: none
};

Found look_at_authfile(const std::string& path) {
    Found found;
    found.mistakes = mistakes_in_access_file(path);
    if (!found.mistakes.empty()) return found;
    if (const auto list = read_access_file(path); !list)
        found.fault = list.error() + "; nobody may connect until this is mended";
    return found;
}

}  // namespace

Surroundings look_around(const Config& config) {
    constexpr std::chrono::seconds patience{5};
    std::vector<std::function<Found()>> tasks;
    std::vector<const ExportConfig*> exports;  // of the tasks
    std::set<std::string_view> authfiles;
    for (const ExportConfig& one : config.exports) {
        if (!one.path.empty() && !one.is_virtual()) {
            tasks.emplace_back([path = one.path, size = one.filesize] {
                return Found{{}, fault_of_path(path, size)};
            });
            exports.push_back(&one);
        }
        if (one.authfile.empty() || !authfiles.insert(one.authfile).second) continue;
        tasks.emplace_back([path = one.authfile] { return look_at_authfile(path); });
        exports.push_back(&one);
    }
    Surroundings around;
    const std::vector<std::optional<Found>> results = do_apart(std::move(tasks), patience);
    for (std::size_t i = 0; i < results.size(); ++i) {
        const ExportConfig& one = *exports[i];
        const Found found = results[i].value_or(Found{
            {},
            fmt::format("{}{}{}: no answer for {} s; clients are refused as long as that lasts", one.path,
                        one.authfile.empty() ? "" : ", or ", one.authfile, patience.count())});
        for (Remark mistake : found.mistakes) {
            mistake.text += fmt::format("; nobody may connect to [{}] until this is mended", one.name);
            around.mistakes.push_back(std::move(mistake));
        }
        if (!found.fault.empty())
            around.warnings.push_back({one.place, fmt::format("[{}]: {}", one.name, found.fault)});
    }
    return around;
}

}  // namespace holdfast::server
