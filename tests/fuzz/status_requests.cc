// Requests to the server's status socket, and what it tells when names are any bytes. The first part of an
// input is the request, the second a name that an administrator or a client chose.
#include "server/status/status_socket.hh"

#include <fmt/core.h>

#include "tests/fuzz/input.hh"

using namespace holdfast::server;
using fuzz::check;

namespace {

StatusReport report_with(const std::string& name) {
    StatusReport report;
    report.version = "1";
    report.exports.push_back({name, name, false, 1, 2, {}});
    report.exports.push_back({"gone", "", false, 0, 2, {}});
    ConnectionFacts facts;
    facts.export_name = name;
    facts.peer = name;
    facts.session = ConnectionFacts::Session{{1}, 2, 3};
    report.clients.push_back({facts, {}});
    return report;
}

void check_lines(std::string_view text) {
    while (!text.empty()) check(fuzz::is_printable_line(fuzz::take_line(text)), "a line can be shown");
}

// The text exposition format: comments, or NAME{LABEL="VALUE",...} NUMBER, where \ escapes a character.
void check_series(std::string_view text) {
    while (!text.empty()) {
        std::string_view line = fuzz::take_line(text);
        if (line.empty() || line.starts_with('#')) continue;
        bool quoted = false;
        std::size_t blanks = 0;
        for (; !line.empty(); line.remove_prefix(1)) {
            if (quoted && line.front() == '\\') {
                check(line.size() > 1 && std::string_view("\\\"n").find(line[1]) != std::string_view::npos,
                      "an escape is one that the format has");
                line.remove_prefix(1);
            } else if (line.front() == '"') {
                quoted = !quoted;
            } else if (!quoted && line.front() == ' ') {
                ++blanks;
            }
        }
        check(!quoted && blanks == 1, "a series is a name, labels and a number");
    }
}

// Outside of strings JSON has no quote; inside, a backslash begins an escape.
void check_json(std::string_view text) {
    check(text.ends_with('\n'), "an object ends with a newline");
    text.remove_suffix(1);
    check(fuzz::is_printable_line(text), "JSON is one line of UTF-8");
    bool quoted = false;
    int depth = 0;
    for (; !text.empty(); text.remove_prefix(1)) {
        const char c = text.front();
        if (quoted && c == '\\') {
            check(text.size() > 1 && std::string_view("\"\\u").find(text[1]) != std::string_view::npos,
                  "an escape is one");
            text.remove_prefix(1);
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted) {
            depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
            check(depth >= 0, "what is closed was open");
        }
    }
    check(!quoted && depth == 0, "what is open is closed");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::string_view request = input.part();
    const StatusReport report = report_with(std::string(input.rest()));
    int asked = 0;
    const std::string answer = answer_to(request, [&] {
        ++asked;
        return report;
    });
    check(asked <= 1, "the figures are taken once");
    check(answer.starts_with("HTTP/1.0 "), "an answer is one of HTTP");
    const std::size_t head = answer.find("\r\n\r\n");
    check(head != std::string::npos, "an answer has a head and a body");
    const bool good = answer.starts_with("HTTP/1.0 200 ");
    check(good == (asked == 1), "only a good answer has figures in it");
    check(answer.find(fmt::format("Content-Length: {}\r\n", answer.size() - head - 4)) < head,
          "a body is as long as it says");
    check_lines(to_text(report));
    check_json(to_json(report));
    check_series(to_prometheus(report));
    return 0;
}
