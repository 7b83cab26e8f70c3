// sysvinit's list of processes that shutdown spares, /run/sendsigs.omit.d.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

// The entry in /run/sendsigs.omit.d that makes sysvinit's shutdown spare the daemon.
class OmitFile {
public:
    // `process`: a further process of the device's daemon; empty: the daemon itself.
    [[nodiscard]] static Result<OmitFile> open(std::uint32_t index, std::string_view process = {});
    // Enters this process, replacing another. May be called after the seal, like remove().
    [[nodiscard]] Result<void> enter() noexcept;
    // Removes the entry unless it belongs to another process by now.
    void remove() noexcept;
    // Descriptor of the folder; owned by the OmitFile.
    [[nodiscard]] int directory() const noexcept { return directory_.get(); }

private:
    Fd directory_;
    std::string name_;
};

}  // namespace holdfast::client
