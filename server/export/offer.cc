// Sets a flag only for a command that both the configuration and the volume allow.

#include "server/export/offer.hh"

#include <fmt/core.h>

#include "common/text/plural.hh"

namespace holdfast::server {

using nbd::Offer;

std::expected<Offer, std::string> make_offer(const ExportConfig& config, const VolumeTraits& traits) {
    if (config.filesize > traits.size) {
        return std::unexpected(fmt::format("{} has {}, less than filesize = {}", config.path,
                                           counted(traits.size, "byte"), config.filesize));
    }
    Offer offer;
    offer.size = config.filesize != 0 ? config.filesize : traits.size;
    // Drops an incomplete block at the end, which could be neither read nor written.
    offer.size -= offer.size % traits.minimum_block;
    offer.block_sizes.minimum = traits.minimum_block;
    offer.block_sizes.preferred = traits.preferred_block;
    int flags = nbd::flag_has_flags;
    if (config.flush) flags |= nbd::flag_send_flush;
    if (config.rotational) flags |= nbd::flag_rotational;
    flags |= nbd::flag_send_cache;
    // All connections share one open volume, so each connection sees and flushes the writes of the others.
    // Exceptions: a virtual export, whose file depends on the client's address, and an export limited to a
    // single connection, whose client should not open more.
    if (!config.is_virtual() && config.maxconnections != 1) flags |= nbd::flag_can_multi_conn;
    if (config.readonly) {
        flags |= nbd::flag_read_only;
    } else {
        flags |= nbd::flag_send_write_zeroes | nbd::flag_send_fast_zero;
        if (config.fua) flags |= nbd::flag_send_fua;
        if (config.trim && traits.can_trim) flags |= nbd::flag_send_trim;
    }
    offer.flags = static_cast<std::uint16_t>(flags);
    return offer;
}

}  // namespace holdfast::server
