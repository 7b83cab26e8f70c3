// All authfiles, as the opener read them together. The accept must not wait for a file, and a client's
// requests need no other process. Pure.
#pragma once

#include <cstddef>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/access/access_file.hh"
#include "server/config/config_file.hh"

namespace holdfast::server {

// Result for a single client: the authfiles that admit its address.
class Verdicts {
public:
    // Verdicts for a client that no authfile applies to: a client of a UNIX socket, whose owner and mode
    // decide who may connect.
    static Verdicts everything() { return Verdicts(); }

    // Returns nullopt if the export's authfile admits the client or the export has no authfile; otherwise the
    // reason.
    [[nodiscard]] std::optional<std::string> forbidden(const std::string& authfile) const;
    // Whether no authfile applies to the client.
    [[nodiscard]] bool allows_everything() const noexcept { return everything_; }
    // Whether an authfile contains the client's address.
    [[nodiscard]] bool is_known() const noexcept { return known_; }

private:
    friend class AccessTable;
    bool everything_ = true;
    bool known_ = false;
    std::map<std::string, std::string, std::less<>> refused_;  // authfiles that reject the client, and why
    std::vector<std::string> allowed_;
};

class AccessTable {
public:
    // Parses the files. Entries with the same text in `before`, which may be null, are not parsed again.
    [[nodiscard]] static std::shared_ptr<const AccessTable> make(const ConfigTexts& files,
                                                                 const AccessTable* before);

    [[nodiscard]] Verdicts judge(const Address& client) const;

private:
    struct File {
        std::string text;
        std::expected<AccessList, std::string> list;
    };
    std::map<std::string, std::shared_ptr<const File>, std::less<>> files_;
};

}  // namespace holdfast::server
