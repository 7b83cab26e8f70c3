// ARCHITECTURE.md shows the table by which a device's link is kept.
#include "client/daemon/link_table.hh"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>

#include "client/daemon/supervisor.hh"
#include "common/linux/text_file.hh"

using namespace holdfast::client;

namespace {

constexpr std::array<std::string_view, link_events> events{"deadline", "link_lost", "slot_free", "connected",
                                                           "agreed",   "failed",    "accepted",  "rejected",
                                                           "used",     "leave"};
constexpr std::array<std::string_view, 7> actions{"",     "try_server", "drop_attempt", "offer",
                                                  "look", "cut_link",   "drop_link"};
constexpr std::array<std::string_view, 8> deadlines{"keep",   "pause", "connect", "attempt",
                                                    "let_go", "prove", "look",    "never"};

std::string action_word(LinkAction action) {
    return std::string(action == LinkAction::leave ? "leave" : actions.at(static_cast<std::size_t>(action)));
}

// Markdown: a line for each transition; what is not there is ignored.
std::string table_text() {
    std::string text =
        "| state | event | next state | action | deadline |\n| --- | --- | --- | --- | --- |\n";
    for (std::size_t state = 0; state < link_states; ++state) {
        for (std::size_t event = 0; event < link_events; ++event) {
            const LinkRule& rule = link_rule(static_cast<LinkState>(state), static_cast<LinkEvent>(event));
            if (rule == LinkRule{static_cast<LinkState>(state)}) continue;
            text += "| " + std::string(word_of(static_cast<LinkState>(state))) + " | " +
                    std::string(events.at(event)) + " | " + word_of(rule.next) + " | " +
                    action_word(rule.action) + " | " +
                    std::string(deadlines.at(static_cast<std::size_t>(rule.deadline))) + " |\n";
        }
    }
    return text;
}

}  // namespace

TEST_CASE("ARCHITECTURE.md shows the link's table as it is") {
    const auto page = holdfast::read_text_file(HOLDFAST_SOURCE_DIR "/ARCHITECTURE.md", 1 << 20);
    REQUIRE(page);
    constexpr std::string_view begin = "<!-- BEGIN link table -->\n";
    constexpr std::string_view end = "<!-- END link table -->";
    const std::size_t from = page->find(begin);
    const std::size_t to = page->find(end);
    REQUIRE(from != std::string::npos);
    REQUIRE(to != std::string::npos);
    const std::string shown = page->substr(from + begin.size(), to - from - begin.size());
    // The text to put between the markers.
    CHECK(shown == table_text());
}

TEST_CASE("a link's last state is left by nothing, and every other one by an order to leave") {
    for (std::size_t state = 0; state < link_states; ++state) {
        const bool last = static_cast<LinkState>(state) == LinkState::leaving;
        for (std::size_t event = 0; event < link_events && last; ++event)
            CHECK(link_rule(LinkState::leaving, static_cast<LinkEvent>(event)).next == LinkState::leaving);
        if (!last)
            CHECK(link_rule(static_cast<LinkState>(state), LinkEvent::leave).action == LinkAction::leave);
    }
}
