// The seal: the moment from which the daemon of a device lives on what it has. While its root disk is dead,
// an allocation may wait for memory that can only be had by writing to that disk, and a path may lead to it.
//
// In a build with HOLDFAST_SEAL_CHECK (make SEAL_CHECK=1, which the tests run), an allocation or the opening
// of a path after the seal ends the process with a word about where it came from. In others nothing is
// watched.
#pragma once

namespace holdfast::client::seal {

// From here on. Cannot be undone.
void close() noexcept;

// Whether this build watches.
[[nodiscard]] bool is_checked() noexcept;

}  // namespace holdfast::client::seal
