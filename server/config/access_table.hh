// What all authfiles say, as they were read together by the opener: for the accept, which must not wait for a
// file, and so that a client's questions need no other process. Pure.
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

// For one client: which authfiles let it in.
class Verdicts {
public:
    // A client that no authfile applies to: of a UNIX socket, whose owner and mode say who may connect.
    static Verdicts everything() { return Verdicts(); }

    // nullopt: the export's authfile lets the client in, or it has none. Otherwise why not.
    [[nodiscard]] std::optional<std::string> forbidden(const std::string& authfile) const;
    // No authfile applies to the client.
    [[nodiscard]] bool allows_everything() const noexcept { return everything_; }
    // An authfile names the client's address.
    [[nodiscard]] bool is_known() const noexcept { return known_; }

private:
    friend class AccessTable;
    bool everything_ = true;
    bool known_ = false;
    std::map<std::string, std::string, std::less<>> refused_;  // the authfiles that do not, and why
    std::vector<std::string> allowed_;
};

class AccessTable {
public:
    // The files as they were read. `before` may be null: what is the same in it is not parsed again.
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
