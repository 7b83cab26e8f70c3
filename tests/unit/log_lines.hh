// Log lines of a test, kept instead of written, while the object lives.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/linux/log.hh"

namespace holdfast {

class LogLines {
public:
    LogLines() {
        log::open("unit-tests", log::Sink::journal, log::Level::debug);
        log::hand_lines_to(std::make_unique<Taker>(lines_));
    }
    LogLines(const LogLines&) = delete;
    LogLines& operator=(const LogLines&) = delete;
    ~LogLines() { log::open("unit-tests", log::Sink::terminal, log::Level{2}); }

    // Returns the lines of this level since the last call, without their newlines.
    [[nodiscard]] std::vector<std::string> take(log::Level level) {
        const std::string head = "<" + std::to_string(static_cast<int>(level)) + ">";
        std::vector<std::string> found;
        for (const std::string& line : lines_)
            if (line.starts_with(head))
                found.push_back(line.substr(head.size(), line.size() - head.size() - 1));
        std::erase_if(lines_, [&](const std::string& line) { return line.starts_with(head); });
        return found;
    }
    // Whether there is no line, except those that were taken.
    [[nodiscard]] bool empty() const { return lines_.empty(); }

private:
    class Taker final : public log::LineTaker {
    public:
        explicit Taker(std::vector<std::string>& lines) : lines_(lines) {}
        void add(std::string line) override { lines_.push_back(std::move(line)); }
        bool send() override { return false; }
        void finish() override {}

    private:
        std::vector<std::string>& lines_;
    };

    std::vector<std::string> lines_;
};

}  // namespace holdfast
