// Sets a flag only for a command that both the configuration and the volume allow.

#include "server/export/offer.hh"

#include <fmt/core.h>

#include <utility>

#include "common/text/plural.hh"

namespace holdfast::server {

using nbd::Offer;

namespace {

std::uint64_t size_of(const ExportConfig& config, const VolumeTraits& traits) {
    return config.filesize != 0 ? config.filesize : traits.size;
}

// Explains why the volume cannot be offered; empty: it can.
std::string why_not(const ExportConfig& config, const VolumeTraits& traits) {
    if (config.filesize > traits.size)
        return fmt::format("{} has {}, less than filesize = {}", config.path, counted(traits.size, "byte"),
                           config.filesize);
    if (traits.read_only && config.must_be_writable)
        return fmt::format(
            "{} is a read-only device, and the export has readonly = false; make the device "
            "writable (blockdev --setrw, lvchange --permission rw), or set readonly = true",
            config.path);
    if (size_of(config, traits) < traits.minimum_block)
        return fmt::format("{} is empty, or smaller than a block ({})", config.path,
                           counted(traits.minimum_block, "byte"));
    return {};
}

int flags_for(const ExportConfig& config, const VolumeTraits& traits) {
    int flags = nbd::flag_has_flags;
    if (config.flush) flags |= nbd::flag_send_flush;
    if (config.rotational) flags |= nbd::flag_rotational;
    flags |= nbd::flag_send_cache;
    // All connections share one open volume, so each connection sees and flushes the writes of the others.
    // Exceptions: a virtual export, whose file depends on the client's address, and an export limited to a
    // single connection, whose client should not open more.
    if (!config.is_virtual() && config.maxconnections != 1) flags |= nbd::flag_can_multi_conn;
    if (config.readonly || traits.read_only) return flags | nbd::flag_read_only;
    flags |= nbd::flag_send_write_zeroes | nbd::flag_send_fast_zero;
    if (config.fua) flags |= nbd::flag_send_fua;
    if (config.trim && traits.can_trim) flags |= nbd::flag_send_trim;
    return flags;
}

}  // namespace

std::expected<Offer, std::string> make_offer(const ExportConfig& config, const VolumeTraits& traits) {
    if (std::string why = why_not(config, traits); !why.empty()) return std::unexpected(std::move(why));
    Offer offer;
    offer.size = size_of(config, traits);
    // Drops an incomplete block at the end, which could be neither read nor written.
    offer.size -= offer.size % traits.minimum_block;
    offer.block_sizes.minimum = traits.minimum_block;
    offer.block_sizes.preferred = traits.preferred_block;
    offer.flags = static_cast<std::uint16_t>(flags_for(config, traits));
    return offer;
}

}  // namespace holdfast::server
