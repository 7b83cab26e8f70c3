// Fills a new volume, whose extents may hold data of volumes that were removed.
#pragma once

#include <expected>
#include <string>

namespace holdfast::provision {

// Copies the whole disk `from`, or nothing if `from` is empty, to the disk `to`, and zeroes the rest of `to`.
// The content is on stable storage afterwards. Fails if `from` is larger.
[[nodiscard]] std::expected<void, std::string> fill_disk(const std::string& from, const std::string& to);

}  // namespace holdfast::provision
