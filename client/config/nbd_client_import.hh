// Import of the devices of nbd-client, from nbdtab(5) and from the older /etc/nbd-client, a script of
// assignments, into lines of /etc/holdfast/devices. Each part without a counterpart is named with file and
// line. Pure: texts in, lines and remarks out. Use only before the daemon's seal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "client/config/nbd_client_device.hh"
#include "common/text/ini.hh"

namespace holdfast::client {

class NbdClientImporter {
public:
    void add_nbdtab(std::string_view file, std::string_view text);
    // Adds a text in the form of /etc/nbd-client.
    void add_script(std::string_view file, std::string_view text);

    // A device that is named twice in the same way is imported once.
    [[nodiscard]] const Import& result() const { return import_; }

private:
    Import import_;
};

// An import into an existing table.
struct TableAddition {
    std::vector<ImportedDevice> added;
    std::vector<Remark> present;    // devices that the table has already, in the same way
    std::vector<Remark> conflicts;  // devices that the table has in another way
    std::string text;               // the new table; the old one is its beginning
};
[[nodiscard]] TableAddition add_to_table(const Import& import, std::string_view table_file,
                                         std::string_view table);

// The work that remains for the administrator, a step each; empty without devices.
[[nodiscard]] std::vector<std::string> steps_after(const Import& import);

}  // namespace holdfast::client
