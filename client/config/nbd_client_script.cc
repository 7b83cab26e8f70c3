// A device per index of the arrays NBD_DEVICE, NBD_TYPE, NBD_HOST, NBD_PORT, NBD_NAME and NBD_EXTRA.

#include "client/config/nbd_client_script.hh"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "client/config/shell_assignments.hh"
#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "common/text/words.hh"

namespace holdfast::client {
namespace {

struct Variable {
    std::string_view name;
    std::string_view reason;
};
// Variables without an index, and the reason why no counterpart is needed.
constexpr std::array needless_variables{
    Variable{"AUTO_GEN", "no program rewrites the table of devices"},
    Variable{"KILLALL", "only devices that Holdfast has attached are detached at shutdown"},
    Variable{"OMITKILL", "each daemon enters itself in /run/sendsigs.omit.d"},
};
constexpr std::array<std::string_view, 6> device_variables{"NBD_DEVICE", "NBD_TYPE", "NBD_HOST",
                                                           "NBD_PORT",   "NBD_NAME", "NBD_EXTRA"};

// Elements of the arrays with one index.
using Entry = std::map<std::string_view, const Assignment*>;

std::string_view value_of(const Entry& entry, std::string_view name) {
    const auto found = entry.find(name);
    return found == entry.end() ? std::string_view{} : std::string_view{found->second->value};
}

class ScriptImport {
public:
    explicit ScriptImport(Import& import) : import_(import) {}

    void read(std::string_view file, std::string_view text) {
        Assignments assignments = read_assignments(file, text);
        std::ranges::move(assignments.errors, std::back_inserter(import_.errors));
        for (const Assignment& one : assignments.all) take(one);
        const auto last = std::ranges::find_if(entries_, [this](const auto& entry) {
            return value_of(entry.second, "NBD_TYPE").empty() || gap(entry.first);
        });
        for (auto entry = entries_.begin(); entry != last; ++entry) import_entry(entry->second);
        if (last != entries_.end()) note_end(last->first, last->second);
    }

private:
    // Bash takes NAME for NAME[0].
    void take(const Assignment& one) {
        const auto known = std::ranges::find(device_variables, std::string_view{one.name});
        if (known != device_variables.end()) {
            const auto [element, first] = entries_[one.index.value_or(0)].try_emplace(*known, &one);
            if (!first) {
                note(one, fmt::format("overrides the one at {}", to_string(element->second->position)));
                element->second = &one;
            }
            return;
        }
        if (one.refused) return;
        const auto* const needless = std::ranges::find(needless_variables, one.name, &Variable::name);
        note(one, needless == needless_variables.end() ? "left out: nbd-client does not know this variable"
                                                       : fmt::format("left out: {}", needless->reason));
    }

    void note(const Assignment& one, std::string_view text) {
        import_.notes.push_back({one.position, fmt::format("{}: {}", one.name, text)});
    }

    [[nodiscard]] bool gap(unsigned index) const { return index != 0 && !entries_.contains(index - 1); }

    // nbd-client's script stopped at the first index without NBD_TYPE.
    void note_end(unsigned index, const Entry& entry) {
        import_.notes.push_back(
            {entry.begin()->second->position,
             fmt::format(
                 "left out, like all entries from here on: nbd-client stops at the first index without "
                 "NBD_TYPE, which is {}",
                 gap(index) ? entries_before(index) : index)});
    }

    [[nodiscard]] unsigned entries_before(unsigned index) const {
        return static_cast<unsigned>(std::distance(entries_.begin(), entries_.find(index)));
    }

    void import_entry(const Entry& entry) {
        if (std::ranges::any_of(entry, [](const auto& one) { return one.second->refused; })) return;
        const Assignment& type = *entry.at("NBD_TYPE");
        const auto named = entry.find("NBD_DEVICE");
        const FilePosition& position = named == entry.end() ? type.position : named->second->position;
        NbdClientDevice device(import_, position, std::string(value_of(entry, "NBD_DEVICE")));
        for (const std::string_view name : {"NBD_DEVICE", "NBD_HOST"}) {
            const std::string_view value = value_of(entry, name);
            if (value.empty() || words_of(value).size() != 1 || words_of(value)[0].size() != value.size())
                return device.error(position, fmt::format("{} must be one word; set it", name));
        }
        device.set_host(value_of(entry, "NBD_HOST"));
        device.set_name(value_of(entry, "NBD_NAME"));
        if (!value_of(entry, "NBD_PORT").empty()) take_port(device, *entry.at("NBD_PORT"));
        if (value_of(entry, "NBD_NAME").empty() && value_of(entry, "NBD_PORT").empty())
            device.error(position, "NBD_NAME and NBD_PORT are empty; set one");
        take_type(device, type);
        if (const auto extra = entry.find("NBD_EXTRA"); extra != entry.end())
            take_extra(device, *extra->second);
        device.finish();
    }

    static void take_port(NbdClientDevice& device, const Assignment& port) {
        if (!number_of<std::uint16_t>(port.value))
            return device.error(port.position, fmt::format("NBD_PORT '{}' is not a number; write one",
                                                           printable(port.value)));
        device.take_option(port.position, *find_nbdtab_option("port"), "NBD_PORT", port.value);
    }

    static void take_type(NbdClientDevice& device, const Assignment& type) {
        if (type.value == "r") return;
        if (type.value == "s")
            return device.note(
                type.position,
                "NBD_TYPE s: nbd-client runs mkswap and swapon; run mkswap once, and give swap a "
                "line in /etc/fstab with sw,_netdev,nofail");
        if (type.value == "f")
            return device.note(
                type.position,
                "NBD_TYPE f: nbd-client mounts it; its line in /etc/fstab needs _netdev,nofail in "
                "place of noauto");
        device.note(type.position,
                    fmt::format("NBD_TYPE '{}' is none of r, s, f; taken for r", printable(type.value)));
    }

    // Splits NBD_EXTRA at blanks, as the unquoted variable of nbd-client's script.
    static void take_extra(NbdClientDevice& device, const Assignment& extra) {
        const std::vector<std::string_view> words = words_of(extra.value);
        for (auto word = words.begin(); word != words.end(); ++word) {
            if (!word->starts_with('-') || word->size() < 2)
                return device.error(extra.position, fmt::format("NBD_EXTRA: unexpected word '{}'; remove it",
                                                                printable(*word)));
            CommandLineOption read = read_command_line_option(*word);
            if (read.option == nullptr)
                return device.error(extra.position,
                                    fmt::format("NBD_EXTRA: unknown option '{}'; write it in full, as "
                                                "in nbd-client(8), or remove it",
                                                printable(*word)));
            const std::string_view shown = *word;
            if (read.option->has_value && !read.value && word + 1 != words.end()) read.value = *++word;
            device.take_option(extra.position, *read.option, shown, read.value);
        }
    }

    Import& import_;
    std::map<unsigned, Entry> entries_;
};

}  // namespace

void import_nbd_client_script(Import& import, std::string_view file, std::string_view text) {
    ScriptImport(import).read(file, text);
}

}  // namespace holdfast::client
