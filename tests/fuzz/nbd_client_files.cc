// The import of nbd-client's files, in the form of nbdtab and of a shell script: whatever a file contains,
// the lines that result are lines of the table of devices, and nothing but these is appended to it.
#include "client/config/device_table.hh"
#include "client/config/nbd_client_import.hh"
#include "client/config/shell_assignments.hh"

#include "tests/fuzz/input.hh"

using namespace holdfast;
using namespace holdfast::client;
using fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    NbdClientImporter importer;
    importer.add_nbdtab("nbdtab", input.part());
    importer.add_script("script", input.part());
    const std::string_view old_table = input.rest();
    const Import& import = importer.result();

    const TableAddition fresh = add_to_table(import, "devices", "");
    const DeviceTable table = read_device_table("devices", fresh.text);
    check(table.errors.empty() && table.warnings.empty(), "the lines are sound");
    check(table.devices.size() == import.devices.size(), "each device is one line");
    check(add_to_table(import, "devices", fresh.text).present.size() == import.devices.size(),
          "a second import finds every device there");

    const TableAddition addition = add_to_table(import, "devices", old_table);
    check(addition.text.starts_with(old_table), "the table keeps what it has");
    check(
        addition.added.size() + addition.present.size() + addition.conflicts.size() == import.devices.size(),
        "each device is new, there, or in conflict");
    for (const auto* remarks : {&import.errors, &import.notes, &addition.present, &addition.conflicts})
        for (const Remark& remark : *remarks) {
            check(remark.position.line > 0, "a remark has its line");
            check(fuzz::is_printable_line(remark.text), "a remark can be shown");
        }
    for (const ImportedDevice& device : import.devices)
        check(fuzz::is_printable_line(device.line), "a line can be shown");
    return 0;
}
