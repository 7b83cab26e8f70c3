// A device of nbd-client, collected from either of its formats, and the import to which it is added. Pure.
// Use only before the daemon's seal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/address/server_address.hh"
#include "client/config/device_table.hh"
#include "client/config/nbd_client_options.hh"
#include "common/text/ini.hh"

namespace holdfast::client {

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

// Collects the parts of a device, with options in the words of nbdtab; finish() adds the device to the import
// unless a part is wrong. The import must outlive the object.
class NbdClientDevice {
public:
    NbdClientDevice(Import& import, FilePosition position, std::string device)
        : import_(import), position_(std::move(position)), device_(std::move(device)) {}

    void set_host(std::string_view host) { host_ = host; }
    void set_name(std::string_view name) { name_ = name; }
    // `shown`: the option as the file has it.
    void take_option(const FilePosition& position, const NbdClientOption& option, std::string_view shown,
                     std::optional<std::string_view> value);
    // Keeps an option without a value that is a word of the table, too.
    void keep_word(std::string_view word) { options_.emplace_back(word, ""); }
    void note(const FilePosition& position, std::string_view text);
    // The device will not be imported.
    void error(const FilePosition& position, std::string_view text);
    // Call last. The resulting line is read again with the table's own parser, which judges hosts, names and
    // values.
    void finish();

private:
    using Option = std::pair<std::string, std::string>;  // word and value; an empty value: none

    void fail(Remark remark);
    void take_name(std::string_view name, const Remark& duplicate);
    [[nodiscard]] std::string_view value_of(std::string_view option) const;
    [[nodiscard]] bool has(std::string_view option) const;
    [[nodiscard]] bool needs_uri() const;
    [[nodiscard]] ServerAddress address() const;
    [[nodiscard]] std::string as_line() const;
    [[nodiscard]] bool is_in(const DeviceTable& table) const;
    void add(ImportedDevice made);

    Import& import_;
    FilePosition position_;
    std::string device_;
    std::string host_;
    std::string name_;
    std::vector<Option> options_;
    bool failed_ = false;
};

}  // namespace holdfast::client
