// Reads a small text file whole: configuration, access lists, what the kernel says in /proc and /sys.
#pragma once

#include <string>

#include "common/linux/result.hh"

namespace holdfast {

// EFBIG for a file of more than `most` bytes, EISDIR or EINVAL for what is no regular file. Does not wait on
// a FIFO.
[[nodiscard]] Result<std::string> read_text_file(const std::string& path, std::size_t most);

}  // namespace holdfast
