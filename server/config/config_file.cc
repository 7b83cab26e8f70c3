// Reads the main file, then the files of its includedir, then the command line.

#include "server/config/config_file.hh"

#include <dirent.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "common/linux/text_file.hh"
#include "common/text/plural.hh"
#include "server/access/access_file.hh"
#include "server/config/config_packing.hh"
#include "server/config/export_path.hh"
#include "server/process/apart.hh"
#include "server/process/helper_process.hh"

namespace holdfast::server {
namespace {

constexpr std::size_t largest_config = 4U << 20;

// Returns the names that end in ".conf", sorted, so that the order does not depend on the directory.
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

template <class T>
struct PathTask {
    std::string path;
    std::function<T()> work;
    std::function<T(const std::string& why)> otherwise;
};

// Returns the results of the tasks, in their order. For a path that did not answer or is in `left_out`, the
// result is `otherwise` applied to the reason.
template <class T>
std::vector<T> do_for_paths(const std::vector<PathTask<T>>& tasks, const HangingPaths& left_out,
                            std::chrono::seconds patience, std::vector<std::string>& hanging) {
    std::vector<std::function<T()>> works;
    for (const PathTask<T>& one : tasks) {
        if (!left_out.contains(one.path)) works.push_back(one.work);
    }
    const std::vector<ApartResult<T>> done = do_apart(std::move(works), patience);
    std::vector<T> results;
    auto next = done.begin();
    for (const PathTask<T>& one : tasks) {
        if (left_out.contains(one.path)) {
            results.push_back(one.otherwise("an earlier attempt still hangs"));
            continue;
        }
        const ApartResult<T>& result = *next++;
        if (result.value) {
            results.push_back(*result.value);
        } else if (result.begun) {
            hanging.push_back(one.path);
            results.push_back(one.otherwise(fmt::format("no answer for {} s", patience.count())));
        } else {
            results.push_back(one.otherwise("too many other paths hang, or no thread is available"));
        }
    }
    return results;
}

std::vector<ConfigTexts::File> read_files(const std::vector<std::string>& paths, const HangingPaths& left_out,
                                          std::chrono::seconds patience, std::vector<std::string>& hanging) {
    using File = ConfigTexts::File;
    std::vector<PathTask<File>> tasks;
    tasks.reserve(paths.size());
    for (const std::string& path : paths) {
        tasks.push_back({path, [path] { return read_file(path); },
                         [path](const std::string& why) {
                             return File{path, {}, why};
                         }});
    }
    return do_for_paths(tasks, left_out, patience, hanging);
}

struct Listing {
    std::vector<std::string> paths;
    std::string fault;  // not empty: no paths, and why
};

Listing list_conf_files(const std::string& directory) {
    const Result<std::vector<std::string>> names = conf_files(directory);
    if (!names) return {{}, names.error().message()};
    Listing listing;
    for (const std::string& name : *names) listing.paths.push_back(fmt::format("{}/{}", directory, name));
    return listing;
}

}  // namespace

ConfigTexts read_config_files(const Options& options, const HangingPaths& left_out) {
    constexpr std::chrono::seconds patience{5};  // for each of the three steps
    ConfigTexts texts;
    if (!options.reads_config()) return texts;
    texts.files = read_files({options.config}, left_out, patience, texts.hanging);
    ConfigReader reader;
    reader.add_main(options.config, texts.files.front().text);
    if (!reader.includedir()) return texts;
    const std::size_t hanging = texts.hanging.size();
    const std::string& directory = texts.directory = reader.includedir()->path;
    const PathTask<Listing> list{directory, [directory] { return list_conf_files(directory); },
                                 [](const std::string& why) {
                                     return Listing{{}, why};
                                 }};
    const Listing listing = do_for_paths<Listing>({list}, left_out, patience, texts.hanging).front();
    texts.directory_fault = listing.fault;
    texts.directory_hangs = texts.hanging.size() > hanging || left_out.contains(directory);
    std::ranges::move(read_files(listing.paths, left_out, patience, texts.hanging),
                      std::back_inserter(texts.files));
    return texts;
}

ConfigTexts read_config_files_apart(const Options& options) {
    constexpr std::chrono::seconds patience{20};
    if (!options.reads_config()) return {};
    const auto answer = ask_helper(
        [&] {
            OpenerAnswer made;
            pack(made.packed, read_config_files(options));
            return made;
        },
        patience);
    std::optional<ConfigTexts> texts;
    if (answer) {
        Unpacker from(answer->bytes);
        texts = unpack_texts(from);
    }
    if (texts) return std::move(*texts);
    ConfigTexts none;
    none.files.push_back({options.config, {}, answer ? "could not be read" : answer.error()});
    return none;
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
            reader.add_error(included.position,
                             fmt::format("includedir: {}: {}", included.path, texts.directory_fault));
        }
    }
    for (const std::string& one : options.exports) reader.add_export_argument(one);
    for (const std::string& one : options.listens) reader.add_listen_argument(one);
    LoadedConfig loaded;
    loaded.config = reader.finish();
    loaded.errors = reader.errors();
    loaded.warnings = reader.warnings();
    loaded.unread = !texts.directory_fault.empty() ||
                    std::ranges::any_of(texts.files, [](const auto& one) { return !one.fault.empty(); });
    return loaded;
}

LoadedConfig load_config(const Options& options) {
    return make_config(options, read_config_files_apart(options));
}

ConfigTexts read_access_files(const Config& config, const HangingPaths& left_out) {
    constexpr std::chrono::seconds patience{2};
    std::set<std::string> paths;
    for (const ExportConfig& one : config.exports) {
        if (!one.authfile.empty()) paths.insert(one.authfile);
    }
    ConfigTexts texts;
    texts.files = read_files({paths.begin(), paths.end()}, left_out, patience, texts.hanging);
    return texts;
}

namespace {

// Sections of files that are left out.
struct HiddenSections {
    std::set<std::string, std::less<>> names;
    bool unknown = false;

    void add(const ConfigTexts::File& file) {
        std::vector<Remark> mistakes;
        for (const IniSection& one : scan_ini(file.path, file.text, "[EXPORT]", mistakes))
            names.insert(one.name);
        // A mistake may be in the name of a section.
        unknown |= !file.fault.empty() || !mistakes.empty();
    }
};

}  // namespace

LoadedConfig make_config_for_start(const Options& options, ConfigTexts texts) {
    LoadedConfig loaded = make_config(options, texts);
    LoadedConfig whole = loaded;
    std::vector<Remark> skipped;
    std::set<std::string> left_out;
    HiddenSections hidden;
    // Files that are left out may have hidden mistakes of others, but each turn has fewer files.
    while (!loaded.errors.empty() && !loaded.config.strict) {
        std::set<std::string> faulty;
        for (const Remark& one : loaded.errors) faulty.insert(one.position.file);
        if (!texts.files.empty()) faulty.erase(texts.files.front().path);  // the main file is never left out
        skipped.insert(skipped.end(), loaded.errors.begin(), loaded.errors.end());
        if (std::exchange(texts.directory_hangs, false)) {
            texts.directory_fault.clear();
            left_out.insert(texts.directory);
            hidden.unknown = true;
        } else {
            for (const ConfigTexts::File& one : texts.files)
                if (faulty.contains(one.path)) hidden.add(one);
            if (std::erase_if(texts.files, [&](const auto& one) { return faulty.contains(one.path); }) == 0)
                return whole;
        }
        left_out.merge(faulty);
        loaded = make_config(options, texts);
    }
    loaded.config.left_out = std::move(hidden.names);
    loaded.config.left_out_unknown = hidden.unknown;
    loaded.skipped = std::move(skipped);
    loaded.left_out = std::move(left_out);
    return loaded;
}

namespace {

struct Found {
    std::vector<Remark> mistakes;
    std::string fault;  // empty: none
    bool refuses{};     // clients cannot use the export
};

Found look_at_path(const ExportConfig& config) {
    PathFindings findings = check_path(config);
    Found found;
    if (!findings.mistake.empty()) found.mistakes.push_back({config.position, std::move(findings.mistake)});
    found.fault = std::move(findings.warning);
    found.refuses = !found.mistakes.empty() || (!found.fault.empty() && !findings.usable);
    return found;
}

Found look_at_authfile(const std::string& path) {
    Found found;
    found.mistakes = mistakes_in_access_file(path);
    found.refuses = !found.mistakes.empty();
    if (found.refuses) return found;
    if (const auto list = read_access_file(path); !list)
        found.fault = list.error() + "; all clients are refused until this is fixed";
    found.refuses = !found.fault.empty();
    return found;
}

// A file that look_around() checks: of an export, or an authfile of this export and of later ones.
struct Checked {
    const ExportConfig* config;
    bool is_authfile;
};

void add_refusing(const Config& config, const Checked& refusing, std::set<std::string>& names) {
    names.insert(refusing.config->name);
    if (!refusing.is_authfile) return;
    for (const ExportConfig& one : config.exports) {
        if (one.authfile == refusing.config->authfile) names.insert(one.name);
    }
}

}  // namespace

Surroundings look_around(const Config& config, const HangingPaths& left_out) {
    constexpr std::chrono::seconds patience{5};
    std::vector<PathTask<Found>> tasks;
    std::vector<Checked> checked;  // by the tasks, in their order
    std::set<std::string_view> authfiles;
    const auto add = [&](const ExportConfig& one, const std::string& path, std::function<Found()> work) {
        tasks.push_back(
            {path, std::move(work), [path](const std::string& why) {
                 return Found{
                     {},
                     fmt::format("{}: {}; clients are refused until its file system answers", path, why),
                     true};
             }});
        checked.push_back({&one, &path == &one.authfile});
    };
    for (const ExportConfig& one : config.exports) {
        if (!one.path.empty() && !one.filesize_is_wrong && !one.is_virtual()) {
            add(one, one.path, [one] { return look_at_path(one); });
        }
        if (!one.authfile.empty() && authfiles.insert(one.authfile).second)
            add(one, one.authfile, [path = one.authfile] { return look_at_authfile(path); });
    }
    Surroundings around;
    const std::vector<Found> results = do_for_paths(tasks, left_out, patience, around.hanging);
    for (std::size_t i = 0; i < results.size(); ++i) {
        const ExportConfig& one = *checked[i].config;
        if (results[i].refuses) add_refusing(config, checked[i], around.refusing);
        for (Remark mistake : results[i].mistakes) {
            mistake.text += fmt::format("; clients of [{}] are refused until this is fixed", one.name);
            around.mistakes.push_back(std::move(mistake));
        }
        if (!results[i].fault.empty())
            around.warnings.push_back({one.position, fmt::format("[{}]: {}", one.name, results[i].fault)});
    }
    return around;
}

}  // namespace holdfast::server
