// The seal: from this moment the daemon of a device uses only memory and files that it already has. While its
// root disk is unreachable, an allocation may wait for memory that is freed only by writing to that disk, and
// a path may lead to that disk.
//
// In a build with HOLDFAST_SEAL_CHECK (make SEAL_CHECK=1, used by the tests), an allocation or opening a path
// after the seal aborts the process with a message that names the caller. Other builds check nothing.
#pragma once

namespace holdfast::client::seal {

// Seals the process. Cannot be undone.
void close() noexcept;

// True if this build checks the seal.
[[nodiscard]] bool is_checked() noexcept;

}  // namespace holdfast::client::seal
