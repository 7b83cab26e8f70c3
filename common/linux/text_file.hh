// Reads a small text file whole: configuration, access lists, files in /proc and /sys.
#pragma once

#include <cstddef>
#include <string>

#include "common/linux/result.hh"

namespace holdfast {

// Returns EFBIG for a file of more than `most` bytes, EISDIR or EINVAL for a non-regular file. Does not block
// on a FIFO.
[[nodiscard]] Result<std::string> read_text_file(const std::string& path, std::size_t most);

// Reads the rest of an open file, whose descriptor the caller owns. Returns EFBIG for more than `most` bytes.
[[nodiscard]] Result<std::string> read_to_end(int file, std::size_t most);

}  // namespace holdfast
