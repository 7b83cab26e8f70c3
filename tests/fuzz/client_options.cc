// The client's command line, a word a line.
#include "client/command/options.hh"

#include "tests/fuzz/input.hh"

using namespace holdfast::client;
using fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::string> words;
    for (std::string_view rest = fuzz::Input(data, size).rest(); !rest.empty();)
        words.emplace_back(fuzz::take_line(rest));
    const auto command = read_command(words);
    if (!command) {
        check(!command.error().empty(), "an error says something");
        check(fuzz::is_printable_line(command.error()), "an error can be shown");
    } else if (const auto* attach = std::get_if<AttachOptions>(&*command)) {
        check(!attach->servers.empty() || attach->index.has_value(), "something says what is to be attached");
    }
    return 0;
}
