// A connection keeps its initial size, so only a new connection uses a larger size.

#include "server/size_change.hh"

#include <fmt/core.h>

#include "server/export/offer.hh"

namespace holdfast::server {

SizeChange size_change(std::uint64_t offered, const ExportConfig* config, const VolumeTraits& traits) {
    using Kind = SizeChange::Kind;
    if (traits.size == 0 && offered != 0) return {Kind::gone, 0};
    if (traits.size < offered) return {Kind::shrunk, traits.size};
    if (config == nullptr) return {};
    const auto offer = make_offer(*config, traits);
    if (!offer || offer->size <= offered) return {};
    return {Kind::grown, offer->size};
}

std::string grown_text(const SizeNews& news, const SizeChange& change) {
    const std::string text = fmt::format("export {}: {} has grown from {} to {} bytes", news.export_name,
                                         news.path, news.offered, change.now);
    if (news.in_session) return fmt::format("{}; {} uses them after its next probe", text, news.peer);
    return fmt::format("{}; reconnect {} to use them", text, news.peer);
}

std::string shrunk_text(const SizeNews& news, const SizeChange& change) {
    if (change.kind == SizeChange::Kind::gone) {
        return fmt::format(
            "export {}: {} is gone, although {} uses it; bring the disk back, then restart the server",
            news.export_name, news.path, news.peer);
    }
    return fmt::format(
        "export {}: {} has shrunk to {} bytes, although {} uses {}; extend it at once: lvextend -L {}b {}",
        news.export_name, news.path, change.now, news.peer, news.offered, news.offered, news.path);
}

}  // namespace holdfast::server
