// The command line of holdfast-netboot, and the lines for DHCP servers.
#include <doctest/doctest.h>

#include "common/linux/text_file.hh"
#include "netboot/command/options.hh"

using namespace holdfast::netboot;

namespace {

std::string error_of(const std::vector<std::string>& words) {
    const auto options = read_options(words);
    return options ? "" : options.error();
}

}  // namespace

TEST_CASE("the options of add are read, and stay unset where they are not named") {
    const auto options = read_options({"add", "ws0", "--export", "disk", "-m", "525400000001", "-m",
                                       "52:54:00:00:00:02", "--append", "quiet  x", "--console", "ttyS0"});
    REQUIRE(options);
    CHECK(options->host == "ws0");
    CHECK(options->export_name == "disk");
    CHECK(*options->macs == std::vector<std::string>{"52:54:00:00:00:01", "52:54:00:00:00:02"});
    CHECK(options->append == "quiet x");
    CHECK(!options->uuid);
    CHECK(!options->ips);
    CHECK(options->tree == "/srv/tftp");
    const auto cleared = read_options({"add", "ws0", "--mac", "", "--append", "", "--uuid="});
    REQUIRE(cleared);
    CHECK(cleared->macs->empty());
    CHECK(cleared->append == "");
    CHECK(cleared->uuid == "");
}

TEST_CASE("an error of the command line names the word and the mend") {
    CHECK(error_of({"ad"}) == "ad: unknown command; see `holdfast-netboot help`");
    CHECK(error_of({"help", "ini"}) == "ini: unknown command; see `holdfast-netboot help`");
    CHECK(error_of({"help", "help"}).empty());
    CHECK(error_of({"add"}) == "add: missing host; name one, for example workstation0");
    CHECK(error_of({"add", "a/b"}).starts_with("a/b: invalid host name; use "));
    CHECK(error_of({"add", "a", "b"}).starts_with("b: unexpected argument; see "));
    CHECK(error_of({"add", "a", "--json"}).starts_with("--json: unknown option; see "));
    CHECK(error_of({"add", "a", "--mac"}).starts_with("--mac: needs a value; see "));
    CHECK(error_of({"add", "a", "--kernel", "k"}).starts_with("--kernel and --initrd: use both"));
    CHECK(error_of({"add", "a", "--xen", "x"}).starts_with("--xen: no kernel is named; use --kernel"));
    CHECK(error_of({"take"}).contains("name one or several hosts, or use --all"));
    CHECK(error_of({"take", "a", "--all"}).contains("or use --all"));
    CHECK(error_of({"take", "a", "b/c"}).starts_with("b/c: invalid host name"));
    CHECK(error_of({"take", "a", "--tree", "/a", "--tree", "/b"}).starts_with("--tree: several trees need"));
    CHECK(error_of({"list", "--tree", "/a", "--tree", "/b"}).starts_with("--tree: used more than once"));
    CHECK(read_options({"take", "--all", "--tree", "/a", "--tree", "/b", "--tree", "/a"})->trees ==
          std::vector<std::string>{"/a", "/b"});
    CHECK(read_options({"take", "a", "--server", "::1", "--server", "b"})->servers ==
          std::vector<std::string>{"[::1]", "b"});
    CHECK(error_of({"take", "--all", "--dry-run"}).starts_with("--dry-run: unknown option"));
    CHECK(error_of({"take", "a", "b", "--json", "--spool", "/s"}).empty());
    CHECK(error_of({"add", "a", "--keep", "--force"}).contains("use one of them"));
    CHECK(error_of({"init", "--dhcp", "bind"}).contains("use dnsmasq, isc or kea"));
    CHECK(error_of({"init", "--dhcp", "kea", "--proxy", "192.0.2.0"}).contains("use --dhcp dnsmasq"));
    CHECK(error_of({"init", "--http", "ftp://x"}).contains("invalid URL"));
    CHECK(error_of({"init", "--http", "https://x"}).contains("invalid URL"));
    CHECK(error_of({"init", "--address", "192.0.2.0/24"}).contains("write the address of this boot server"));
    CHECK(read_options({"init", "--dhcp", "dnsmasq", "--proxy", "192.0.2.128/25"})->proxy == "192.0.2.128");
    for (const char* network : {"192.0.2.0/rubbish", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/24/24"})
        CHECK(error_of({"init", "--dhcp", "dnsmasq", "--proxy", network}).contains("invalid network"));
    CHECK(error_of({"init", "a\nb"}).contains("invalid path"));
    CHECK(error_of({"list", "--tree", "/srv/tftp "}).contains("blanks at its ends"));
    CHECK(error_of({"default"}).starts_with("default: missing host"));
    CHECK(error_of({"default", "a", "--none"}).contains("use a host or --none"));
}

TEST_CASE("each command has a help text, which names its options") {
    for (const char* command : {"init", "add", "remove", "default", "list", "check"}) {
        const auto options = read_options({command, "--help"});
        REQUIRE(options);
        CHECK(options->command == "help");
        CHECK(options->host == command);
        CHECK(help_text(command).starts_with("holdfast-netboot " + std::string(command)));
    }
    CHECK(read_options({})->command == "help");
    CHECK(read_options({"--version"})->command == "version");
}

TEST_CASE("the man page and the completion have every option of the help texts") {
    const std::string folder = HOLDFAST_SOURCE_DIR "/netboot/holdfast-netboot.";
    const auto manual = holdfast::read_text_file(folder + "8", 1U << 20);
    const auto completion = holdfast::read_text_file(folder + "bash-completion", 1U << 20);
    REQUIRE(manual);
    REQUIRE(completion);
    for (const char* command : {"init", "add", "remove", "default", "list", "check"}) {
        const std::string help(help_text(command));
        for (std::size_t at = help.find("--"); at != std::string::npos; at = help.find("--", at + 2)) {
            const std::string name = help.substr(at, help.find_first_of(" ,;.)]\n", at) - at);
            CHECK_MESSAGE(manual->contains("Fl " + name.substr(1)), name);
            CHECK_MESSAGE(completion->contains(name), name);
        }
    }
}

TEST_CASE("a DHCP server gives each architecture its loader") {
    const DhcpFacts facts{"/srv/tftp", "192.0.2.1", "http://192.0.2.1", "shimx64.efi", ""};
    const std::string dnsmasq = dhcp_lines(DhcpServer::dnsmasq, facts);
    CHECK(dnsmasq.contains("dhcp-boot=tag:!ipxe,tag:bios,pxelinux.0\n"));
    CHECK(dnsmasq.contains("dhcp-boot=tag:!ipxe,tag:http64,http://192.0.2.1/shimx64.efi\n"));
    CHECK(dhcp_lines(DhcpServer::isc, facts).contains("option architecture = 7 or option architecture = 9"));
    CHECK(
        dhcp_lines(DhcpServer::kea, facts).contains("\"boot-file-name\": \"http://192.0.2.1/shimx64.efi\""));
    const std::string proxy =
        dhcp_lines(DhcpServer::dnsmasq, {"/srv/tftp", "192.0.2.1", "http://192.0.2.1", "", "192.0.2.0"});
    CHECK(proxy.contains("dhcp-range=192.0.2.0,proxy\n"));
    CHECK(proxy.contains("pxe-service=tag:!ipxe,x86-64_EFI,\"Holdfast\",shimx64.efi\n"));
}

TEST_CASE("UEFI HTTP boot gets a loader that can go on, or none") {
    const std::pair<DhcpServer, const char*> servers[] = {
        {DhcpServer::dnsmasq, "dhcp-boot=tag:!ipxe,tag:http64,http://s/snponly.efi\n"},
        {DhcpServer::isc,
         "    } elsif option architecture = 16 {\n        option vendor-class-identifier \"HTTPClient\";\n"
         "        filename \"http://s/snponly.efi\";\n    }\n}\n"},
        {DhcpServer::kea, "\"boot-file-name\": \"http://s/snponly.efi\""}};
    for (const auto& [server, line] : servers) {
        CHECK(dhcp_lines(server, {"/t", "192.0.2.1", "http://s", "snponly.efi", ""}).contains(line));
        const std::string none = dhcp_lines(server, {"/t", "192.0.2.1", "http://s", "", ""});
        CHECK(none.contains("the GRUB of this tree cannot read HTTP"));
        CHECK(!none.contains("http://s"));
    }
}
