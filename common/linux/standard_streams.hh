// Makes sure that descriptors 0 to 2 are open: what a program opens later would otherwise take their numbers,
// and be overwritten when a daemon sends its standard streams to /dev/null.
#pragma once

namespace holdfast {

// Opens /dev/null as each standard stream that the process was started without, the wrong way round: reading
// from it or writing to it fails as with a closed stream. To be called before anything else is opened. False
// where a stream is still closed (errno says why).
[[nodiscard]] bool open_standard_streams() noexcept;

}  // namespace holdfast
