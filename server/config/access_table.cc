// Fails closed: an authfile that is missing from the table, or has a mistake, rejects every client.

#include "server/config/access_table.hh"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace holdfast::server {

std::optional<std::string> Verdicts::forbidden(const std::string& authfile) const {
    if (everything_ || authfile.empty() || std::ranges::find(allowed_, authfile) != allowed_.end())
        return std::nullopt;
    const auto found = refused_.find(authfile);
    return found == refused_.end() ? fmt::format("authfile {} has not been read; connect again", authfile)
                                   : found->second;
}

std::shared_ptr<const AccessTable> AccessTable::make(const ConfigTexts& files, const AccessTable* before) {
    auto table = std::make_shared<AccessTable>();
    for (const ConfigTexts::File& one : files.files) {
        std::shared_ptr<const File>& file = table->files_[one.path];
        if (before != nullptr && one.fault.empty()) {
            const auto old = before->files_.find(one.path);
            if (old != before->files_.end() && old->second->text == one.text && old->second->list)
                file = old->second;
        }
        if (file) continue;
        file = std::make_shared<const File>(
            File{one.text, one.fault.empty()
                               ? parse_access_file(one.path, one.text)
                               : std::unexpected(fmt::format("authfile {}: {}", one.path, one.fault))});
    }
    return table;
}

Verdicts AccessTable::judge(const Address& client) const {
    Verdicts verdicts;
    verdicts.everything_ = false;
    for (const auto& [path, file] : files_) {
        if (!file->list) {
            verdicts.refused_[path] = file->list.error() + "; all clients are refused";
        } else if (file->list->allows(client)) {
            verdicts.allowed_.push_back(path);
            verdicts.known_ = true;
        } else {
            verdicts.refused_[path] = "the client's address is not in " + path;
        }
    }
    return verdicts;
}

}  // namespace holdfast::server
