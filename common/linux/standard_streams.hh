// Ensures that descriptors 0 to 2 are open. Otherwise files opened later would get these numbers, and would
// be replaced when a daemon redirects its standard streams to /dev/null.
#pragma once

namespace holdfast {

// Opens /dev/null for each standard stream that was closed at start, in the opposite direction: a read or
// write fails as with a closed stream. Call it before anything else is opened. Returns false, with errno set,
// if a stream is still closed.
[[nodiscard]] bool open_standard_streams() noexcept;

}  // namespace holdfast
