// Table of options: the help texts, the manual pages and the completion name the same options.

#include <doctest/doctest.h>

#include <string>

#include "client/command/options.hh"
#include "client/config/option_table.hh"
#include "common/linux/text_file.hh"

using namespace holdfast::client;

namespace {

std::string text_of(const char* path) {
    const auto text = holdfast::read_text_file(std::string(HOLDFAST_SOURCE_DIR "/client/") + path, 1U << 20);
    REQUIRE_MESSAGE(text.has_value(), path);
    return *text;
}

// A manual page without the backslash before a hyphen.
std::string manual_of(const char* path) {
    std::string text = text_of(path);
    std::erase(text, '\\');
    return text;
}

// The text has the option, not as the beginning of a longer one.
bool names(std::string_view text, std::string_view option) {
    for (std::size_t at = text.find(option); at != text.npos; at = text.find(option, at + 1)) {
        const char after = at + option.size() < text.size() ? text[at + option.size()] : ' ';
        if ((after < 'a' || after > 'z') && after != '-') return true;
    }
    return false;
}

// Calls `use` for each choice of a place.
template <class Use>
void each_choice(OptionPlace place, Use use) {
    for (const ChoiceOption& choice : choice_options()) {
        if ((choice.places & place) == 0) continue;
        INFO(choice.name);
        use(std::string(choice.name));
    }
}

}  // namespace

TEST_CASE("a command's help, its manual and the completion name each of its choices") {
    const std::string manual = manual_of("holdfast-client.8");
    const std::string completion = text_of("holdfast-client.bash-completion");
    for (const auto& [place, command] :
         {std::pair{in_attach, "attach"}, std::pair{in_takeover, "takeover"}}) {
        const std::string words = completion.substr(completion.find(std::string("    ") + command + ":*)"));
        each_choice(place, [&](const std::string& name) {
            CHECK(names(help_text(command), "--" + name));
            CHECK(names(manual, " -" + name));
            CHECK(names(words.substr(0, words.find(";;")), "--" + name));
        });
    }
}

TEST_CASE("the manual of each file names each of its choices") {
    const std::string config = manual_of("holdfast-client.conf.5");
    each_choice(in_config, [&](const std::string& name) { CHECK(names(config, name)); });
    const std::string devices = manual_of("holdfast-devices.5");
    each_choice(in_devices, [&](const std::string& name) { CHECK(names(devices, name)); });
    const std::string manual = manual_of("holdfast-client.8");
    each_choice(in_nbdroot, [&](const std::string& name) { CHECK(names(manual, name + "=")); });
}

TEST_CASE("a place has an option once, and its choice is known") {
    for (const OptionPlace place : {in_nbdroot, in_devices})
        for (const ChoiceOption& choice : choice_options()) {
            INFO(choice.name);
            const auto option = find_option(choice.name, place);
            CHECK((choice.places & place) == (option && option->treatment == Treatment::choice ? place : 0));
            if (option && option->treatment == Treatment::choice) CHECK(option->note == choice.name);
        }
    CHECK(find_option("conns", in_devices)->note == "connections");
    CHECK(!find_option("conns", in_nbdroot));
    CHECK(find_option("C", in_nbdroot)->note == "connections");
    CHECK(!find_option("C", in_devices));
}
