// Offers: size, flags and block sizes by configuration and volume.
#include <doctest/doctest.h>

#include "server/export/offer.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

ExportConfig plain_export() {
    ExportConfig config;
    config.name = "root";
    config.path = "/x";
    return config;
}

}  // namespace

TEST_CASE("flush, fua, trim and zeroes are offered by default, trim only where the volume can") {
    const VolumeTraits able{.size = 1 << 20, .can_trim = true};
    const VolumeTraits unable{.size = 1 << 20, .can_trim = false};
    const auto offer = make_offer(plain_export(), able);
    REQUIRE(offer);
    CHECK(offer->size == 1 << 20);
    CHECK(offer->flags == (nbd::flag_has_flags | nbd::flag_send_flush | nbd::flag_send_fua |
                           nbd::flag_send_trim | nbd::flag_send_write_zeroes | nbd::flag_send_fast_zero |
                           nbd::flag_send_cache | nbd::flag_can_multi_conn));
    CHECK(offer->block_sizes == nbd::BlockSizes{1, 4096, 32U << 20});
    CHECK((make_offer(plain_export(), unable)->flags & nbd::flag_send_trim) == 0);
}

TEST_CASE("what the configuration turns off is not offered") {
    const VolumeTraits traits{.size = 1 << 20, .can_trim = true};
    ExportConfig config = plain_export();
    config.flush = config.fua = config.trim = false;
    config.rotational = true;
    CHECK(make_offer(config, traits)->flags ==
          (nbd::flag_has_flags | nbd::flag_rotational | nbd::flag_send_write_zeroes |
           nbd::flag_send_fast_zero | nbd::flag_send_cache | nbd::flag_can_multi_conn));
    config = plain_export();
    config.readonly = true;
    CHECK(make_offer(config, traits)->flags ==
          (nbd::flag_has_flags | nbd::flag_read_only | nbd::flag_send_flush | nbd::flag_send_cache |
           nbd::flag_can_multi_conn));
}

TEST_CASE("several connections are offered where they see one volume, and may be had") {
    const auto multi = [](const ExportConfig& config) {
        return (make_offer(config, {.size = 1})->flags & nbd::flag_can_multi_conn) != 0;
    };
    ExportConfig config = plain_export();
    CHECK(multi(config));
    config.maxconnections = 2;
    CHECK(multi(config));
    config.maxconnections = 1;
    CHECK_FALSE(multi(config));
    config = plain_export();
    config.path = "/x/%s";  // each may get another file
    CHECK_FALSE(multi(config));
}

TEST_CASE("filesize makes an export smaller than its volume, never larger") {
    ExportConfig config = plain_export();
    config.filesize = 512;
    CHECK(make_offer(config, {.size = 1024})->size == 512);
    CHECK_FALSE(make_offer(config, {.size = 511}).has_value());
}

TEST_CASE("a device that rejects writes is offered read-only, or not at all where that was excluded") {
    const VolumeTraits traits{.size = 1 << 20, .can_trim = true, .read_only = true};
    ExportConfig config = plain_export();
    const auto offer = make_offer(config, traits);
    REQUIRE(offer);
    config.readonly = true;
    CHECK(offer->flags == make_offer(config, traits)->flags);
    CHECK((offer->flags & nbd::flag_read_only) != 0);
    config.readonly = false;
    config.must_be_writable = true;
    const auto refused = make_offer(config, traits);
    REQUIRE_FALSE(refused);
    CHECK(
        refused.error().starts_with("/x is a read-only device, and the export has readonly = false; make "));
    CHECK(make_offer(config, {.size = 1 << 20}).has_value());
}

TEST_CASE("a volume without a whole block is not offered") {
    const ExportConfig config = plain_export();
    CHECK_FALSE(make_offer(config, {}).has_value());
    CHECK_FALSE(make_offer(config, {.size = 511, .minimum_block = 512}).has_value());
    CHECK(make_offer(config, {.size = 512, .minimum_block = 512})->size == 512);
    CHECK(make_offer(config, {.size = 1})->size == 1);
}
