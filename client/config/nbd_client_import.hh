// Import of the devices of nbd-client, from nbdtab(5) and from the older /etc/nbd-client, a script of
// assignments, into lines of /etc/holdfast/devices. Each part without a counterpart is named with file and
// line. Pure: texts in, lines and remarks out. Use only before the daemon's seal.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/text/ini.hh"

namespace holdfast::client {

// An option of nbd-client: its word in nbdtab, its forms on the command line, which /etc/nbd-client contains,
// and its fate.
struct NbdClientOption {
    enum class Fate : std::uint8_t {
        kept,      // has a counterpart of the same meaning; a `reason` is a difference worth a note
        needless,  // left out, because Holdfast does so anyway, or has no need
        refused,   // without it, the device would not be the same disk, or not protected
        name,      // the export's name, which is a field of the table
    };
    std::string_view word;       // in nbdtab
    std::string_view long_form;  // after one or two dashes; empty: only in nbdtab
    char letter;                 // 0: none
    bool has_value;
    Fate fate;
    std::string_view reason;
};
[[nodiscard]] std::span<const NbdClientOption> nbd_client_options() noexcept;

struct ImportedDevice {
    std::uint32_t index = 0;
    std::string line;       // for the table of devices, without the line end
    FilePosition position;  // in nbd-client's file
};

struct Import {
    std::vector<ImportedDevice> devices;
    std::vector<Remark> errors;  // parts that keep a device from being imported, with the fix
    std::vector<Remark> notes;   // parts that are left out or have another effect, and why
};

class NbdClientImporter {
public:
    void add_nbdtab(std::string_view file, std::string_view text);
    // Adds a text in the form of /etc/nbd-client.
    void add_script(std::string_view file, std::string_view text);

    // A device that is named twice in the same way is imported once.
    [[nodiscard]] const Import& result() const { return import_; }

private:
    friend class DeviceImport;
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
