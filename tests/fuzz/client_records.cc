// What a daemon finds in a state file or is handed by another one, and what a command is answered: lines of
// text. What is taken is written as it was read.
#include "client/control/device_record.hh"
#include "client/control/device_status.hh"
#include "tests/fuzz/input.hh"

using namespace holdfast::client;
using fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view lines = fuzz::Input(data, size).rest();
    if (const auto known = read_known_device(lines); !known) {
        check(fuzz::is_printable_line(known.error()), "an error can be shown");
    } else {
        check(known->live.target < known->record.targets.size(), "the server in use is one of them");
        check(is_identifier(known->record.identifier), "the identifier is ours");
        LiveLines live;
        add_lines(live, known->live);
        check(!live.full(), "the lines of any state have room");
        const std::string record = to_lines(known->record);
        const auto again = read_known_device(record + std::string(live.view()));
        check(again.has_value(), "a record is read again");
        check(to_lines(again->record) == record, "a record is written as it was read");
        check(again->live == known->live, "a state is written as it was read");
    }
    // What would begin a line of its own is made a blank by the first writing.
    const DeviceStatus status = from_lines(to_lines(from_lines(lines)));
    const StatusLines written = to_lines(status);
    check(!written.full(), "the lines of any status have room");
    check(from_lines(written) == status, "a status is written as it was read");
    (void)to_text(status);
    check(fuzz::is_printable_line(to_json(status)), "JSON is one line of UTF-8");
    return 0;
}
