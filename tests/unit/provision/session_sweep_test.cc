// The tags of volumes of sessions.

#include "provision/session_sweep.hh"

#include <doctest/doctest.h>

#include <fstream>
#include <string>

using namespace holdfast::provision;
using Tags = std::vector<std::string>;

TEST_CASE("the tag of an idle volume is read as it was written, and anything else begins the time again") {
    const IdleSince idle{std::chrono::seconds(86'400), 77};
    CHECK(to_tag(idle) == "holdfast.idle=86400.77");
    CHECK(idle_by_tags({"holdfast.idle=-4000.1"}) == IdleSince{std::chrono::seconds(-4000), 1});
    CHECK(idle_by_tags({"other", to_tag(idle)}) == idle);
    for (const Tags& tags :
         {Tags{}, Tags{"holdfast.idle="}, Tags{"holdfast.idle=1"}, Tags{"holdfast.idle=1."},
          Tags{"holdfast.idle=x.1"}, Tags{"holdfast.idle=1.1.1"}, Tags{to_tag(idle), to_tag(idle)}})
        CHECK_FALSE(idle_by_tags(tags));
}

TEST_CASE("a volume is of a session only with both tags of a sound form") {
    const std::string session = "holdfast.session=" + std::string(32, 'a');
    const auto found = session_by_tags({"x", "holdfast.export=cow", session});
    REQUIRE(found);
    CHECK((found->export_name == "cow" && found->session == std::string(32, 'a')));
    for (const Tags& tags : {Tags{}, Tags{session}, Tags{"holdfast.export=cow"},
                             Tags{"holdfast.export=cow", "holdfast.session=a"},
                             Tags{"holdfast.export=cow", "holdfast.host=" + std::string(32, 'a')},
                             Tags{"holdfast.export=", session}})
        CHECK_FALSE(session_by_tags(tags));
}
