// The import of nbd-client's two files: each option of nbd-client has a fate, each part that has no
// counterpart is named with its place, and each line that results is one of the table of devices.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "client/config/device_table.hh"
#include "client/config/nbd_client_import.hh"
#include "client/config/nbd_client_options.hh"
#include "client/config/option_table.hh"
#include "client/config/shell_assignments.hh"
#include "common/linux/text_file.hh"

using namespace holdfast::client;
using holdfast::Remark;
using Fate = NbdClientOption::Fate;

namespace {

Import from_nbdtab(const std::string& text) {
    NbdClientImporter importer;
    importer.add_nbdtab("tab", text);
    return importer.result();
}

Import from_script(const std::string& text) {
    NbdClientImporter importer;
    importer.add_script("script", text);
    return importer.result();
}

// A script with one device, and these lines at its end.
Import from_entry(const std::string& lines) {
    return from_script("NBD_DEVICE[0]=/dev/nbd1\nNBD_TYPE[0]=r\nNBD_HOST[0]=h\n" + lines);
}

std::string lines_of(const Import& import) {
    std::string lines;
    for (const ImportedDevice& device : import.devices) lines += device.line + "\n";
    return lines;
}

std::string text_of(const std::vector<Remark>& remarks) {
    std::string lines;
    for (const Remark& remark : remarks) lines += to_string(remark) + "\n";
    return lines;
}

bool has(const std::vector<Remark>& remarks, const std::string& text) {
    INFO(text_of(remarks));
    const bool found = text_of(remarks).find(text) != std::string::npos;
    CHECK_MESSAGE(found, text);
    return found;
}

void refuse(const Import& import, const std::string& mend) {
    INFO(lines_of(import));
    CHECK(import.devices.empty());
    has(import.errors, mend);
}

// Options that the table reads in the same sense.
constexpr std::string_view example_value(std::string_view word) {
    if (word == "bs") return "4096";
    return "7";
}

}  // namespace

TEST_CASE("every option of nbd-client(8) and nbdtab(5) is known") {
    const auto knows = [](auto matches) { return std::ranges::any_of(nbd_client_options(), matches); };
    // nbdtab(5), 3.24 and 3.26; the last three are read, but not documented
    for (const std::string_view word :
         {"bs", "cacertfile", "certfile", "conns", "keyfile", "no_optgo", "port", "timeout", "persist",
          "swap", "sdp", "tlshostname", "unix", "priority", "preinit", "tls", "dead-timeout"}) {
        INFO(word);
        CHECK(knows([&](const NbdClientOption& one) { return one.word == word; }));
    }
    // nbd-client(8) and the program's own help
    for (const auto& [long_form, letter] : std::initializer_list<std::pair<std::string_view, char>>{
             {"block-size", 'b'}, {"connections", 'C'},  {"timeout", 't'},    {"persist", 'p'},
             {"preinit", 'P'},    {"readonly", 'R'},     {"size", 'B'},       {"sdp", 'S'},
             {"swap", 's'},       {"systemd-mark", 'm'}, {"nofork", 'n'},     {"no-optgo", 'g'},
             {"name", 'N'},       {"unix", 'u'},         {"certfile", 'F'},   {"keyfile", 'K'},
             {"cacertfile", 'A'}, {"tlshostname", 'H'},  {"enable-tls", 'x'}, {"priority", 'y'},
             {"nonetlink", 'L'}}) {
        INFO(long_form);
        CHECK(knows(
            [&](const NbdClientOption& one) { return one.long_form == long_form && one.letter == letter; }));
    }
}

TEST_CASE("the manual names every option of nbd-client") {
    const auto manual = holdfast::read_text_file(HOLDFAST_SOURCE_DIR "/client/holdfast-client.8", 1U << 20);
    REQUIRE(manual.has_value());
    const std::string section = manual->substr(manual->find("\n.Sh MIGRATION"));
    for (const NbdClientOption& option : nbd_client_options()) {
        INFO(option.word);
        const std::string form(option.long_form.empty() ? option.word : option.long_form);
        CHECK(section.substr(0, section.find("\n.Sh FILES")).find(form) != std::string::npos);
    }
}

TEST_CASE("each option has its fate, and a reason wherever it is not kept") {
    for (const NbdClientOption& option : nbd_client_options()) {
        INFO(option.word);
        if (option.fate == Fate::name) continue;
        const std::string shown = std::string(option.word) +
                                  (option.has_value ? "=" + std::string(example_value(option.word)) : "");
        // nbdtab has no `ro`.
        const Import import = option.word == "ro"
                                  ? from_entry("NBD_NAME[0]=data\nNBD_EXTRA[0]=-readonly\n")
                                  : from_nbdtab("nbd1 " + std::string(option.word == "unix" ? "/s" : "h") +
                                                " data " + shown + "\n");
        const bool is_kept = lines_of(import).find(shown) != std::string::npos;
        CHECK(is_kept == (option.fate == Fate::kept));
        CHECK(import.devices.empty() == (option.fate == Fate::refused));
        CHECK(import.errors.size() == (option.fate == Fate::refused ? 1 : 0));
        CHECK(
            import.notes.size() ==
            (option.fate == Fate::needless || (option.fate == Fate::kept && !option.reason.empty()) ? 1 : 0));
        if (option.fate != Fate::kept) {
            REQUIRE(!option.reason.empty());
            has(option.fate == Fate::refused ? import.errors : import.notes, std::string(option.reason));
        }
    }
}

TEST_CASE("the example of nbdtab(5) is imported, and its options are named") {
    const Import import = from_nbdtab(
        "# swap space, called \"swapexport\" on the server\n"
        "nbd0 nbdserver.example.com swapexport swap,persist\r\n"
        "\n"
        "\t/dev/nbd1\tnbdserver.example.com   data # no options\r\n");
    CHECK(lines_of(import) == "nbd0  nbdserver.example.com  swapexport\nnbd1  nbdserver.example.com  data\n");
    CHECK(import.devices.at(1).position.line == 4);
    CHECK(import.errors.empty());
    has(import.notes, "tab:2: nbd0: option 'swap': left out");
    has(import.notes, "tab:2: nbd0: option 'persist': left out");
}

TEST_CASE("lines of nbdtab that cannot be imported are named with the fix") {
    refuse(from_nbdtab("nbd1 h\n"), "tab:1: nbd1: incomplete line");
    refuse(from_nbdtab("nbd1 h x bs=512 swap\n"), "separate options by commas");
    refuse(from_nbdtab("\nsda h x\n"), "tab:2: 'sda' is not a device");
    refuse(from_nbdtab("nbd1p1 h x\n"), "partitions come with their disk");
    refuse(from_nbdtab("nbd1 h x bs=513\n"), "tab:1: nbd1: option 'bs=513': takes 512");
    refuse(from_nbdtab("nbd1 h x port=nbd\n"), "port= takes a port");
    refuse(from_nbdtab("nbd1 h x port=\n"), "port= takes a port");
    refuse(from_nbdtab("nbd1 h x bs\n"), "missing value");
    refuse(from_nbdtab("nbd1 h x persist=1\n"), "takes no value");
    refuse(from_nbdtab("nbd1 h x bs=512,bs=1024\n"), "duplicate option");
    refuse(from_nbdtab("nbd1 /s x\n"), "add the option unix");
    refuse(from_nbdtab("nbd1 h x conns=99\n"), "1 to 8");
    refuse(from_nbdtab("nbd1 h x _\x1b[2J\n"), "cannot be a line of the table of devices");
    refuse(from_nbdtab("nbd1 h " + std::string(longest_script_line, 'x') + "\n"), "longer than 4096 bytes");
}

TEST_CASE("an option that nbd-client does not know is left out, as nbd-client does") {
    const Import import = from_nbdtab("nbd1 h x colour=blue,ro,_netdev,,lost-cache=fail\n");
    CHECK(lines_of(import) == "nbd1  h  x  _netdev\n");
    has(import.notes, "option 'colour=blue': left out: nbd-client does not know it");
    has(import.notes, "option 'ro': left out");
    has(import.notes, "option 'lost-cache=fail': left out");
}

TEST_CASE("a device is imported once, from whichever file names it") {
    NbdClientImporter same;
    same.add_nbdtab("tab", "nbd1 h data port=7\n");
    same.add_script(
        "script", "NBD_DEVICE[0]=/dev/nbd1\nNBD_TYPE[0]=r\nNBD_HOST[0]=h\nNBD_NAME[0]=data\nNBD_PORT[0]=7\n");
    CHECK(lines_of(same.result()) == "nbd1  h  data  port=7\n");
    CHECK(same.result().errors.empty());
    has(same.result().notes, "script:1: /dev/nbd1: the same as at tab:1");

    const Import other = from_nbdtab("nbd1 h data\nnbd1 h other\n");
    CHECK(lines_of(other) == "nbd1  h  data\n");
    has(other.errors, "tab:2: nbd1: duplicate device, first at tab:1");
}

TEST_CASE("the script's arrays are devices, by port, by name, or by both") {
    CHECK(lines_of(from_entry("NBD_PORT[0]=1234\n")) == "nbd1  nbd://h:1234/\n");
    CHECK(lines_of(from_entry("NBD_NAME[0]=data\n")) == "nbd1  h  data\n");
    CHECK(lines_of(from_entry("NBD_NAME[0]=data\nNBD_PORT[0]=99\n")) == "nbd1  h  data  port=99\n");
    CHECK(lines_of(from_entry("NBD_PORT[0]=99\nNBD_EXTRA[0]='-b 512'\n")) ==
          "nbd1  nbd://h:99/  -  bs=512\n");
    // A name that the table has no field for.
    CHECK(lines_of(from_entry("NBD_NAME[0]='a b,ro'\n")) == "nbd1  nbd://h/a%20b,ro\n");
    CHECK(lines_of(from_entry("NBD_NAME[0]='#x'\n")) == "nbd1  nbd://h/%23x\n");
    // Bash takes NAME for NAME[0].
    CHECK(lines_of(from_script("NBD_DEVICE=nbd1\nNBD_TYPE=r\nNBD_HOST=::1\nNBD_NAME=x\n")) ==
          "nbd1  ::1  x\n");
    refuse(from_entry(""), "NBD_NAME and NBD_PORT are empty");
    refuse(from_entry("NBD_PORT[0]=nbd\n"), "NBD_PORT 'nbd' is not a number");
    refuse(from_entry("NBD_HOST[0]='h ro'\nNBD_NAME[0]=x\n"), "NBD_HOST must be one word");
    refuse(from_entry("NBD_HOST[0]=\nNBD_NAME[0]=x\n"), "NBD_HOST must be one word");
    // A value that is not understood is a single error.
    for (const std::string line : {"NBD_HOST=$(hostname)", "NBD_HOST=(a b)", "NBD_NAME=`x`", "FOO=$(x)"}) {
        const Import import = from_script("NBD_DEVICE=nbd1\nNBD_TYPE=r\n" + line + "\n" +
                                          (line.starts_with("FOO") ? "NBD_HOST=h\nNBD_NAME=x\n" : ""));
        has(import.errors, "script:3: " + line.substr(0, line.find('=')) + ": ");
        CHECK(import.errors.size() == 1);
        CHECK(import.notes.empty());
        CHECK(import.devices.size() == (line.starts_with("FOO") ? 1 : 0));
    }
    has(from_entry("NBD_NAME[0]=x\nNBD_HOST[0]=i\n").notes,
        "script:5: NBD_HOST: overrides the one at script:3");
}

TEST_CASE("NBD_EXTRA has the options of nbd-client's command line, in all their forms") {
    const auto extra = [](const std::string& words) {
        return from_entry("NBD_NAME[0]=x\nNBD_EXTRA[0]=\"" + words + "\"\n");
    };
    for (const char* words : {"-b 512", "-b512", "-block-size 512", "--block-size=512", "-block-size=512"})
        CHECK(lines_of(extra(words)) == "nbd1  h  x  bs=512\n");
    CHECK(lines_of(extra("-p -R -t 30 -C 2 -m -n")) == "nbd1  h  x  ro,timeout=30,conns=2\n");
    CHECK(lines_of(extra("-N x")) == "nbd1  h  x\n");
    CHECK(lines_of(from_entry("NBD_PORT[0]=7\nNBD_EXTRA[0]='-name y'\n")) == "nbd1  h  y  port=7\n");
    CHECK(lines_of(from_script("NBD_DEVICE[0]=nbd1\nNBD_TYPE[0]=r\nNBD_HOST[0]=/s\nNBD_NAME[0]=x\n"
                               "NBD_EXTRA[0]=-u\n")) == "nbd1  /s  x  unix\n");
    refuse(extra("-N y"), "the export is also named x");
    refuse(extra("-b"), "script:5: /dev/nbd1: option '-b': missing value");
    refuse(extra("-b 512,ro"), "neither blanks nor commas");
    refuse(extra("-pers"), "unknown option '-pers'");
    refuse(extra("--p"), "unknown option '--p'");
    refuse(extra("-d"), "unknown option '-d'");
    refuse(extra("-"), "unexpected word '-'");
    refuse(extra("--"), "unknown option '--'");
    refuse(extra("persist"), "unexpected word 'persist'");
    refuse(extra("-certfile /c"), "TLS is not supported yet");
    refuse(extra("-S"), "no Socket Direct Protocol");
}

TEST_CASE("what the script did beyond attaching is named") {
    const auto of_type = [](const std::string& type) {
        return from_script("NBD_DEVICE[0]=nbd1\nNBD_TYPE[0]=" + type + "\nNBD_HOST[0]=h\nNBD_NAME[0]=x\n");
    };
    CHECK(of_type("r").notes.empty());
    has(of_type("s").notes, "script:2: nbd1: NBD_TYPE s: nbd-client runs mkswap and swapon");
    has(of_type("f").notes, "_netdev,nofail in place of noauto");
    has(of_type("q").notes, "none of r, s, f");
    const Import import = from_entry("NBD_NAME[0]=x\nAUTO_GEN=n\nKILLALL=false\nOMITKILL=/dev/nbd9\nFOO=1\n");
    for (const char* name : {"AUTO_GEN", "KILLALL", "OMITKILL", "FOO"})
        has(import.notes, std::string(name) + ": left out");
    CHECK(lines_of(import) == "nbd1  h  x\n");
}

TEST_CASE("entries behind a missing NBD_TYPE are left out, as nbd-client does, and that is named") {
    // As the package installed it.
    const Import fresh =
        from_script("KILLALL=true\nNBD_DEVICE[0]=/dev/nbd0\nNBD_TYPE[0]=\nNBD_HOST[0]=\nNBD_PORT[0]=\n");
    CHECK(fresh.devices.empty());
    CHECK(fresh.errors.empty());
    has(fresh.notes, "script:2: left out, like all entries from here on");

    const Import gap =
        from_entry("NBD_NAME[0]=x\nNBD_DEVICE[2]=nbd2\nNBD_TYPE[2]=r\nNBD_HOST[2]=h\nNBD_NAME[2]=y\n");
    CHECK(lines_of(gap) == "nbd1  h  x\n");
    has(gap.notes,
        "script:5: left out, like all entries from here on: nbd-client stops at the first index without "
        "NBD_TYPE, which is 1");
}

TEST_CASE("a line that is not understood is an error, and the others are read") {
    const Import import = from_entry("NBD_NAME[0]=x\nNBD_HOST[1]=$(hostname)\n");
    CHECK(lines_of(import) == "nbd1  h  x\n");
    has(import.errors, "script:5: NBD_HOST: expansions");
}

TEST_CASE("the lines are appended to the table, and a device that is there is compared") {
    const Import import = from_nbdtab("nbd1 h data bs=512\nnbd2 h more\nnbd3 h last\n");
    const TableAddition fresh = add_to_table(import, "table", "");
    CHECK(fresh.text == "nbd1  h  data  bs=512\nnbd2  h  more\nnbd3  h  last\n");
    CHECK(fresh.added.size() == 3);
    // Written in another way, with the same meaning; no newline at the end; a line with an error.
    const std::string table = "/dev/nbd1 nbd://h/data - block-size=512\nnbd2 h other # mine\nnonsense";
    const TableAddition added = add_to_table(import, "table", table);
    CHECK(added.text == table + "\nnbd3  h  last\n");
    REQUIRE(added.added.size() == 1);
    CHECK(added.added[0].index == 3);
    has(added.present, "table:1: nbd1: is there already");
    has(added.conflicts, "table:2: nbd2: differs from tab:2; make this line 'nbd2  h  more', or remove it");
    CHECK(add_to_table(import, "table", fresh.text).text == fresh.text);
    CHECK(add_to_table(import, "table", "nbd1 h data bs=512,noauto\n").conflicts.size() == 1);
    CHECK(add_to_table(import, "table", "nbd1 h\n").conflicts.size() == 1);
}

TEST_CASE("the next steps name the units of both programs") {
    CHECK(steps_after(Import{}).empty());
    std::string steps;
    for (const std::string& step : steps_after(from_nbdtab("nbd1 h x\nnbd7 h y\n"))) steps += step + "\n";
    for (const char* part :
         {"systemctl disable --now nbd@nbd1.service nbd@nbd7.service", "update-rc.d nbd-client disable",
          "systemctl start holdfast@nbd1.service holdfast@nbd7.service", "/etc/fstab"}) {
        INFO(part);
        CHECK(steps.find(part) != std::string::npos);
    }
}
