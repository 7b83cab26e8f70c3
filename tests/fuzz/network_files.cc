// The files of the system's network configuration, which are only looked through.
#include "client/boot/network_managers.hh"
#include "tests/fuzz/input.hh"

using namespace holdfast::client;
using fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::Input(data, size).rest();
    const std::vector<std::string> interfaces{"eth0", "enp1s0"};
    for (const auto& place :
         {place_in_interfaces("file", text, interfaces), place_in_network_file("file", text, interfaces),
          place_in_keyfile("file", text, interfaces)})
        check(!place || place->starts_with("file:"), "a place is one in the file");
    const Ifupdown ifupdown{.excluded = excluded_interfaces(text), .is_ng = false};
    for (const RunFile& file : files_against(NetworkOwner::ifupdown, Init::systemd, interfaces, ifupdown))
        check(file.path.starts_with("/run/"), "only what is below /run is written");
    return 0;
}
