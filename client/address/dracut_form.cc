// Splits the word at colons; the server and the word after the server are as in the classic forms.

#include "client/address/dracut_form.hh"

#include <algorithm>

#include "client/address/classic_form.hh"
#include "client/address/word_checks.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

// Returns the position of the colon after the server; npos if there is none.
std::size_t end_of_server(std::string_view text) {
    if (!text.starts_with('[')) return text.find(':');
    const std::size_t bracket = text.find(']');
    return bracket == std::string_view::npos ? bracket : text.find(':', bracket);
}

// Fields after the server; a missing field is empty.
struct Fields {
    std::string_view port_or_name, fstype, rootflags;
    std::string_view options;  // the last field: may contain colons
};

Fields split_fields(std::string_view text) {
    const auto take = [&text] {
        const std::string_view field = text.substr(0, text.find(':'));
        text.remove_prefix(std::min(field.size() + 1, text.size()));
        return field;
    };
    Fields fields;
    fields.port_or_name = take();
    fields.fstype = take();
    fields.rootflags = take();
    // An empty field here, before a further colon, means no options.
    fields.options = text.starts_with(':') ? std::string_view{} : text;
    return fields;
}

// Takes dracut's PORT/NAME apart; other texts are as in the classic forms.
std::expected<void, std::string> take_port_and_name(std::string_view text, NamedExport& named) {
    const std::size_t slash = text.find('/');
    const bool has_both = slash != std::string_view::npos && all_digits(text.substr(0, slash));
    if (const auto taken = take_port_or_name(has_both ? text.substr(0, slash) : text, named); !taken)
        return Problem{taken.error()};
    if (has_both) named.address.export_name = text.substr(slash + 1);
    if (const std::string wrong = name_problem(named.address.export_name); !wrong.empty())
        return problem("{}", wrong);
    return {};
}

std::expected<void, std::string> take_mount_options(const Fields& fields, NamedExport& named) {
    named.fstype = fields.fstype == "auto" ? "" : fields.fstype;
    if (!has_only_letters_digits_or("_.-", named.fstype))
        return problem(
            "invalid file system type '{}'; the form is nbd:SERVER:PORT/NAME[:FSTYPE[:FLAGS[:OPTIONS]]]",
            printable(fields.fstype));
    named.rootflags = fields.rootflags;
    if (has_control_character(named.rootflags) || named.rootflags.find(' ') != std::string::npos)
        return problem("blank or control character in the mount options");
    return {};
}

}  // namespace

bool is_dracut_form(std::string_view word) {
    if (!word.starts_with("nbd:")) return false;
    word.remove_prefix(4);
    if (word.starts_with('[')) return true;
    const std::size_t end = word.find_first_of(":/,");
    return end != std::string_view::npos && end != 0 && word[end] == ':';
}

std::expected<NamedExport, std::string> parse_dracut_form(std::string_view word) {
    const std::string_view rest = word.substr(4);
    if (rest.starts_with("unix:"))
        return problem("unsupported QEMU socket syntax; write nbd+unix:///NAME?socket=PATH");
    const std::size_t server_end = end_of_server(rest);
    if (server_end == std::string_view::npos)
        return problem(
            "missing port or name; write nbd:SERVER:PORT/NAME, nbd:SERVER:PORT or nbd:SERVER:NAME");
    auto named = parse_server_alone(rest.substr(0, server_end));
    if (!named) return named;

    const Fields fields = split_fields(rest.substr(server_end + 1));
    if (const auto taken = take_port_and_name(fields.port_or_name, *named); !taken)
        return Problem{taken.error()};
    if (const auto taken = take_mount_options(fields, *named); !taken) return Problem{taken.error()};
    for (const std::string_view option : split(fields.options, ','))
        if (!option.empty()) named->options.emplace_back(option);
    return named;
}

}  // namespace holdfast::client
