// Parses options with getopt_long(3) of the C library, whose state is in global variables; they are reset
// before each use.

#include "client/command/options.hh"

#include <fmt/core.h>
#include <getopt.h>

#include <algorithm>
#include <optional>

#include "client/address/export_address.hh"
#include "client/address/nbd_device.hh"
#include "client/config/option_table.hh"
#include "common/text/number.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

using std::unexpected;
using Words = std::vector<std::string>;
template <class T>
using Read = std::expected<T, std::string>;

// Option found by getopt, or the end of the options.
struct Found {
    int letter = -1;  // -1: no more options; '?': an error
    std::string value;
    std::string error;
};

// Splits a command's words with getopt.
class Scanner {
public:
    Scanner(const Words& words, const char* letters, const option* table)
        : words_(words), letters_(letters), table_(table) {
        for (std::string& word : words_) pointers_.push_back(word.data());
        pointers_.push_back(nullptr);
        ::optind = 0;  // GNU: restarts, with permutation of words
        ::opterr = 0;
    }

    Found next() {
        const int count = static_cast<int>(words_.size());
        const int letter = ::getopt_long(count, pointers_.data(), letters_, table_, nullptr);
        if (letter == ':' || letter == '?') {
            // getopt has just passed the word, unless more letters follow in it: then the letter names the
            // option.
            const std::string_view last = pointers_[static_cast<std::size_t>(::optind - 1)];
            const std::string word =
                last.starts_with("--") ? std::string(last) : fmt::format("-{:c}", ::optopt);
            return {'?', "",
                    fmt::format("{}: {}; see `holdfast-client help {}`", printable(word),
                                letter == ':' ? "needs a value" : "unknown option", words_[0])};
        }
        return {letter, ::optarg != nullptr ? ::optarg : "", ""};
    }

    [[nodiscard]] Words rest() const {
        Words rest;
        for (auto i = static_cast<std::size_t>(::optind); i + 1 < pointers_.size(); ++i)
            rest.emplace_back(pointers_[i]);
        return rest;
    }

private:
    Words words_;  // the command's name first
    std::vector<char*> pointers_;
    const char* letters_;
    const option* table_;
};

std::string too_many(const Words& rest, std::size_t from) {
    return fmt::format("{}: unexpected argument", printable(rest[from]));
}

// Value of getopt for the first row of choice_options(); the other rows follow.
constexpr int first_choice = 1024;

// A command's own options, the choices that the command accepts, and --help, in getopt's form.
class OptionTable {
public:
    // `letters`: getopt's, of the own options.
    OptionTable(std::string letters, std::vector<option> own, OptionPlace place)
        : letters_(std::move(letters)), rows_(std::move(own)) {
        int value = first_choice;
        for (const ChoiceOption& choice : choice_options()) {
            if ((choice.places & place) != 0) {
                // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): a literal, with its NUL
                rows_.push_back({choice.name.data(), required_argument, nullptr, value});
                if (choice.letter != 0) letters_.append({choice.letter, ':'});
            }
            ++value;
        }
        rows_.push_back({"help", no_argument, nullptr, 'h'});
        rows_.push_back({});
    }

    [[nodiscard]] const char* letters() const { return letters_.c_str(); }
    [[nodiscard]] const option* rows() const { return rows_.data(); }

private:
    std::string letters_;
    std::vector<option> rows_;
};

// Returns the choice that getopt found, by its name or its letter; nullptr for another option.
const ChoiceOption* choice_found(int letter) {
    const auto options = choice_options();
    if (letter >= first_choice) return &options[static_cast<std::size_t>(letter - first_choice)];
    const auto found = std::ranges::find_if(options, [letter](const ChoiceOption& choice) {
        return choice.letter != 0 && choice.letter == letter;
    });
    return found == options.end() ? nullptr : &*found;
}

Read<void> take_choice(Choices& choices, const ChoiceOption& choice, std::string_view value) {
    const auto chosen = choose(choices, choice.name, value);
    if (!chosen) return unexpected(fmt::format("--{} {}", choice.name, chosen.error()));
    return {};
}

// True if the last of several words is meant as a device, not as a server: only a bare number can be a device
// but not a server.
bool is_misplaced_device(const AttachOptions& options, const Words& words, const std::string& word) {
    return !options.index && words.size() > 1 && &word == &words.back() && read_device(word);
}

// Accepts nbd-client's order, SERVER DEVICE, out of habit. A single device is distinguished from a host by
// its path.
void take_last_as_device(AttachOptions& options, Words& words) {
    if (words.empty() || options.index) return;
    if (words.size() == 1 && !words[0].starts_with("/dev/")) return;
    const auto device = parse_nbd_device(words.back());
    if (!device || device->partition != 0) return;
    options.index = device->index;
    words.pop_back();
}

Read<void> take_servers(AttachOptions& options, Words words) {
    take_last_as_device(options, words);
    if (words.empty() && !options.index)
        return unexpected(
            "attach: missing export; name one, for example nbd://server/name, or use --device with a "
            "configured device; see `holdfast-client help attach`");
    for (const std::string& word : words) {
        auto server = parse_server_address(word);
        if (!server && is_misplaced_device(options, words, word))
            return unexpected(
                fmt::format("{}: not a server; for the device, write nbd{} or -d {}", word, word, word));
        if (!server) return unexpected(server.error());
        options.servers.push_back(std::move(*server));
    }
    return {};
}

// Long options without a letter, but for the choices.
enum LongOnly : int { read_write = 256, config, root, init, service, script, nbdtab, devices_file };

Read<void> take_attach_option(AttachOptions& options, const Found& found) {
    if (const ChoiceOption* const choice = choice_found(found.letter))
        return take_choice(options.choices, *choice, found.value);
    switch (found.letter) {
        case 'd': {
            const auto index = read_device(found.value);
            if (!index) return unexpected(index.error());
            options.index = *index;
            break;
        }
        case 'r': options.choices.read_only = true; break;
        case read_write: options.choices.read_only = false; break;
        case config: options.config_file = found.value; break;
        case service: options.service = true; break;
        case 'q': options.quiet = true; break;
        default: return unexpected(found.error);
    }
    return {};
}

Read<Command> read_attach(const Words& words) {
    const OptionTable table(":d:rqh",
                            {{"device", required_argument, nullptr, 'd'},
                             {"read-only", no_argument, nullptr, 'r'},
                             {"read-write", no_argument, nullptr, read_write},
                             {"config", required_argument, nullptr, config},
                             {"service", no_argument, nullptr, service},
                             {"quiet", no_argument, nullptr, 'q'}},
                            in_attach);
    AttachOptions options;
    Scanner scanner(words, table.letters(), table.rows());
    for (Found found = scanner.next(); found.letter != -1; found = scanner.next()) {
        if (found.letter == 'h') return HelpOptions{"attach"};
        if (const auto taken = take_attach_option(options, found); !taken) return unexpected(taken.error());
    }
    if (auto taken = take_servers(options, scanner.rest()); !taken) return unexpected(taken.error());
    if (options.service && !options.index) return unexpected("attach: --service requires --device");
    return options;
}

Read<Command> read_detach(const Words& words) {
    static constexpr option table[] = {{"force", no_argument, nullptr, 'f'},
                                       {"service", no_argument, nullptr, service},
                                       {"help", no_argument, nullptr, 'h'},
                                       {}};
    DetachOptions options;
    Scanner scanner(words, ":fh", table);
    for (Found found = scanner.next(); found.letter != -1; found = scanner.next()) {
        switch (found.letter) {
            case 'f': options.force = true; break;
            case service: options.service = true; break;
            case 'h': return HelpOptions{"detach"};
            default: return unexpected(found.error);
        }
    }
    const Words rest = scanner.rest();
    if (rest.empty()) return unexpected("detach: missing device; name one, for example /dev/nbd0");
    if (rest.size() > 1) return unexpected(too_many(rest, 1));
    auto index = read_device(rest[0]);
    if (!index) return unexpected(index.error());
    options.index = *index;
    return options;
}

Read<Command> read_status(const Words& words) {
    static constexpr option table[] = {{"json", no_argument, nullptr, 'j'},
                                       {"prometheus", no_argument, nullptr, 'p'},
                                       {"help", no_argument, nullptr, 'h'},
                                       {}};
    StatusOptions options;
    Scanner scanner(words, ":jph", table);
    for (Found found = scanner.next(); found.letter != -1; found = scanner.next()) {
        switch (found.letter) {
            case 'j': options.json = true; break;
            case 'p': options.prometheus = true; break;
            case 'h': return HelpOptions{"status"};
            default: return unexpected(found.error);
        }
    }
    if (options.json && options.prometheus)
        return unexpected("status: --json and --prometheus exclude each other; give one");
    const Words rest = scanner.rest();
    if (rest.size() > 1) return unexpected(too_many(rest, 1));
    if (rest.empty()) return options;
    auto index = read_device(rest[0]);
    if (!index) return unexpected(index.error());
    options.index = *index;
    return options;
}

// Returns the words of a command without options; nullopt for --help.
Read<std::optional<Words>> read_plain(const Words& words) {
    static constexpr option table[] = {{"help", no_argument, nullptr, 'h'}, {}};
    Scanner scanner(words, ":h", table);
    for (Found found = scanner.next(); found.letter != -1; found = scanner.next()) {
        if (found.letter == 'h') return std::nullopt;
        return unexpected(found.error);
    }
    return scanner.rest();
}

// Takes an option that changes the device.
Read<void> take_change(TakeoverOptions& options, const Found& found) {
    if (const ChoiceOption* const choice = choice_found(found.letter))
        return take_choice(options.choices, *choice, found.value);
    if (found.letter == 's') {
        auto server = parse_server_address(found.value);
        if (!server) return unexpected(server.error());
        options.servers.push_back(std::move(*server));
        return {};
    }
    if (found.letter != 'n') return unexpected(found.error);
    options.only_check = true;
    return {};
}

Read<Command> read_takeover(const Words& words) {
    const OptionTable table(
        ":s:nh", {{"server", required_argument, nullptr, 's'}, {"dry-run", no_argument, nullptr, 'n'}},
        in_takeover);
    TakeoverOptions options;
    Scanner scanner(words, table.letters(), table.rows());
    bool changes = false;
    for (Found found = scanner.next(); found.letter != -1; found = scanner.next()) {
        if (found.letter == 'h') return HelpOptions{"takeover"};
        if (const auto taken = take_change(options, found); !taken) return unexpected(taken.error());
        changes = true;
    }
    const Words rest = scanner.rest();
    if (rest.size() > 1) return unexpected(too_many(rest, 1));
    if (rest.empty() && changes)
        return unexpected("takeover: these options apply to one device; name it, for example /dev/nbd0");
    if (rest.empty()) return options;
    const auto index = read_device(rest[0]);
    if (!index) return unexpected(index.error());
    options.index = *index;
    return options;
}

Read<Command> read_resize(const Words& words) {
    const auto rest = read_plain(words);
    if (!rest) return unexpected(rest.error());
    if (!*rest) return HelpOptions{"resize"};
    if ((*rest)->empty()) return unexpected("resize: missing device; name one, for example /dev/nbd0");
    if ((*rest)->size() > 1) return unexpected(too_many(**rest, 1));
    const auto index = read_device((*rest)->front());
    if (!index) return unexpected(index.error());
    return ResizeOptions{*index};
}

Read<Command> read_confine(const Words& words) {
    const auto rest = read_plain(words);
    if (!rest) return unexpected(rest.error());
    if (!*rest) return HelpOptions{"confine"};
    if ((*rest)->size() > 1) return unexpected(too_many(**rest, 1));
    if ((*rest)->empty()) return ConfineOptions{};
    const auto index = read_device((*rest)->front());
    if (!index) return unexpected(index.error());
    return ConfineOptions{*index};
}

Read<Command> read_devices(const Words& words) {
    static constexpr option table[] = {{"check", no_argument, nullptr, 'c'},
                                       {"json", no_argument, nullptr, 'j'},
                                       {"help", no_argument, nullptr, 'h'},
                                       {}};
    DevicesOptions options;
    Scanner scanner(words, ":jh", table);
    for (Found found = scanner.next(); found.letter != -1; found = scanner.next()) {
        switch (found.letter) {
            case 'c': options.check_only = true; break;
            case 'j': options.json = true; break;
            case 'h': return HelpOptions{"devices"};
            default: return unexpected(found.error);
        }
    }
    const Words rest = scanner.rest();
    if (rest.size() > 1) return unexpected(too_many(rest, 1));
    if (!rest.empty()) options.file = rest[0];
    return options;
}

Read<Command> read_import_config(const Words& words) {
    static constexpr option table[] = {{"nbd-client", required_argument, nullptr, script},
                                       {"nbdtab", required_argument, nullptr, nbdtab},
                                       {"devices", required_argument, nullptr, devices_file},
                                       {"write", no_argument, nullptr, 'w'},
                                       {"json", no_argument, nullptr, 'j'},
                                       {"help", no_argument, nullptr, 'h'},
                                       {}};
    ImportConfigOptions options;
    Scanner scanner(words, ":jh", table);
    for (Found found = scanner.next(); found.letter != -1; found = scanner.next()) {
        switch (found.letter) {
            case script: options.script = found.value; break;
            case nbdtab: options.nbdtab = found.value; break;
            case devices_file: options.table = found.value; break;
            case 'w': options.write = true; break;
            case 'j': options.json = true; break;
            case 'h': return HelpOptions{"import-config"};
            default: return unexpected(found.error);
        }
    }
    const Words rest = scanner.rest();
    if (!rest.empty()) return unexpected(too_many(rest, 0));
    return options;
}

Read<Command> read_list(const Words& words) {
    static constexpr option table[] = {{"long", no_argument, nullptr, 'l'},
                                       {"json", no_argument, nullptr, 'j'},
                                       {"help", no_argument, nullptr, 'h'},
                                       {}};
    ListOptions options;
    Scanner scanner(words, ":ljh", table);
    for (Found found = scanner.next(); found.letter != -1; found = scanner.next()) {
        switch (found.letter) {
            case 'l': options.with_details = true; break;
            case 'j': options.json = true; break;
            case 'h': return HelpOptions{"list"};
            default: return unexpected(found.error);
        }
    }
    const Words rest = scanner.rest();
    if (rest.empty()) return unexpected("list: missing server; name one, for example nbd://server");
    if (rest.size() > 1) return unexpected(too_many(rest, 1));
    auto server = parse_server_address(rest[0]);
    if (!server) return unexpected(server.error());
    options.server = std::move(*server);
    return options;
}

// Returns the mistake in a combination of options; nullptr: none.
const char* flaw_of(const BootFilesOptions& options, bool status) {
    if (options.push && status) return "bootfiles: --push and --status exclude each other; give one";
    if (options.kernel.has_value() != options.initrd.has_value())
        return "bootfiles: --kernel and --initrd belong together; give both";
    if ((options.kernel || options.xen) && !options.push)
        return "bootfiles: files are only handed in with --push; give it, too";
    return nullptr;
}

bool take_boot_file(BootFilesOptions& options, const Found& found) {
    switch (found.letter) {
        case 'k': options.kernel = found.value; return true;
        case 'i': options.initrd = found.value; return true;
        case 'x': options.xen = found.value; return true;
        default: return false;
    }
}

Read<Command> read_boot_files(const Words& words) {
    static constexpr option table[] = {
        {"push", no_argument, nullptr, 'p'},         {"status", no_argument, nullptr, 's'},
        {"kernel", required_argument, nullptr, 'k'}, {"initrd", required_argument, nullptr, 'i'},
        {"xen", required_argument, nullptr, 'x'},    {"json", no_argument, nullptr, 'j'},
        {"help", no_argument, nullptr, 'h'},         {}};
    BootFilesOptions options;
    bool status = false;
    Scanner scanner(words, ":jh", table);
    for (Found found = scanner.next(); found.letter != -1; found = scanner.next()) {
        switch (found.letter) {
            case 'p': options.push = true; break;
            case 's': status = true; break;
            case 'j': options.json = true; break;
            case 'h': return HelpOptions{"bootfiles"};
            default:
                if (!take_boot_file(options, found)) return unexpected(found.error);
        }
    }
    const Words rest = scanner.rest();
    if (rest.size() > 1) return unexpected(too_many(rest, 1));
    if (const char* const flaw = flaw_of(options, status)) return unexpected(flaw);
    if (rest.empty()) return options;
    const auto index = read_device(rest[0]);
    if (!index) return unexpected(index.error());
    options.index = *index;
    return options;
}

Read<Command> read_boot(const Words& words) {
    static constexpr option table[] = {
        {"check", no_argument, nullptr, 'c'},         {"print", no_argument, nullptr, 'p'},
        {"cmdline", required_argument, nullptr, 'f'}, {"config", required_argument, nullptr, config},
        {"network", no_argument, nullptr, 'n'},       {"limit", required_argument, nullptr, 'l'},
        {"help", no_argument, nullptr, 'h'},          {}};
    BootCommandOptions options;
    Scanner scanner(words, ":h", table);
    for (Found found = scanner.next(); found.letter != -1; found = scanner.next()) {
        switch (found.letter) {
            case 'c': options.check_only = true; break;
            case 'p': options.print_only = true; break;
            case 'n': options.network_only = true; break;
            case 'l':
                if (const auto limit = number_of<std::uint32_t>(found.value)) {
                    options.limit = std::chrono::seconds{*limit};
                    break;
                }
                return unexpected(fmt::format("--limit '{}' is invalid; write a number of seconds",
                                              printable(found.value)));
            case 'f': options.command_line_file = found.value; break;
            case config: options.config_file = found.value; break;
            case 'h': return HelpOptions{"boot"};
            default: return unexpected(found.error);
        }
    }
    const Words rest = scanner.rest();
    if (!rest.empty()) return unexpected(too_many(rest, 0));
    return options;
}

Read<Command> read_keep_network(const Words& words) {
    static constexpr option table[] = {{"root", required_argument, nullptr, root},
                                       {"init", required_argument, nullptr, init},
                                       {"config", required_argument, nullptr, config},
                                       {"help", no_argument, nullptr, 'h'},
                                       {}};
    KeepNetworkOptions options;
    Scanner scanner(words, ":h", table);
    for (Found found = scanner.next(); found.letter != -1; found = scanner.next()) {
        switch (found.letter) {
            case root: options.root = found.value; break;
            case init: options.init = found.value; break;
            case config: options.config_file = found.value; break;
            case 'h': return HelpOptions{"keep-network"};
            default: return unexpected(found.error);
        }
    }
    const Words rest = scanner.rest();
    if (!rest.empty()) return unexpected(too_many(rest, 0));
    return options;
}

Read<Command> read_prepare_root(const Words& words) {
    static constexpr option table[] = {{"root", required_argument, nullptr, root},
                                       {"cmdline", required_argument, nullptr, 'f'},
                                       {"help", no_argument, nullptr, 'h'},
                                       {}};
    PrepareRootOptions options;
    Scanner scanner(words, ":h", table);
    for (Found found = scanner.next(); found.letter != -1; found = scanner.next()) {
        switch (found.letter) {
            case root: options.root = found.value; break;
            case 'f': options.command_line_file = found.value; break;
            case 'h': return HelpOptions{"prepare-root"};
            default: return unexpected(found.error);
        }
    }
    const Words rest = scanner.rest();
    if (!rest.empty()) return unexpected(too_many(rest, 0));
    if (options.root.empty())
        return unexpected("prepare-root: missing mount point of the root file system; write --root FOLDER");
    return options;
}

unexpected<std::string> unknown_command(const std::string& word) {
    return unexpected(fmt::format("{}: unknown command; see `holdfast-client help`", printable(word)));
}

Read<Command> read_help(const Words& words) {
    if (words.size() > 2) return unexpected(too_many(words, 2));
    const std::string command = words.size() == 2 ? words[1] : "";
    if (help_text(command).empty()) return unknown_command(command);
    return HelpOptions{command};
}

Read<Command> read_version(const Words&) { return VersionOptions{}; }

struct CommandReader {
    std::string_view name;
    Read<Command> (*read)(const Words&);
};
constexpr CommandReader readers[] = {
    {"attach", read_attach},
    {"detach", read_detach},
    {"status", read_status},
    {"takeover", read_takeover},
    {"resize", read_resize},
    {"confine", read_confine},
    {"devices", read_devices},
    {"import-config", read_import_config},
    {"list", read_list},
    {"bootfiles", read_boot_files},
    {"boot", read_boot},
    {"keep-network", read_keep_network},
    {"prepare-root", read_prepare_root},
    {"help", read_help},
    {"--help", read_help},
    {"-h", read_help},
    {"--version", read_version},
    {"-V", read_version},
};

}  // namespace

Read<std::uint32_t> read_device(std::string_view word) {
    const bool number = !word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos;
    const auto device = parse_nbd_device(number ? fmt::format("nbd{}", word) : std::string(word));
    if (!device)
        return unexpected(fmt::format("{}: not an nbd device; write /dev/nbd0, nbd0 or 0, up to {}",
                                      printable(word), most_devices - 1));
    if (device->partition != 0)
        return unexpected(
            fmt::format("{}: a partition; name the disk, nbd{}", printable(word), device->index));
    return device->index;
}

Read<Command> read_command(const Words& words) {
    if (words.empty())
        return unexpected(
            "missing command: attach, detach, status, takeover, resize, confine, devices, import-config, "
            "list, bootfiles, boot, prepare-root or keep-network; "
            "see `holdfast-client help`");
    for (const CommandReader& reader : readers)
        if (reader.name == words[0]) return reader.read(words);
    return unknown_command(words[0]);
}

}  // namespace holdfast::client
