// Which machine and device it is, from files that look like those of /sys.
#include "client/link/host_identity.hh"

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "common/text/sha256.hh"

using namespace holdfast;
using namespace holdfast::client;

namespace {

class Machine {
public:
    Machine() {
        char folder[] = "/tmp/holdfast-host-XXXXXX";
        REQUIRE(::mkdtemp(folder) != nullptr);
        folder_ = folder;
        files = {folder_ + "/sys", folder_ + "/machine-id", folder_ + "/boot_id"};
        write("boot_id", "01234567-89ab-cdef-0123-456789abcdef");
    }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine() { std::filesystem::remove_all(folder_); }

    void write(const std::string& name, const std::string& text) const {
        const std::filesystem::path path = folder_ + "/" + name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text << '\n';
    }
    void card(const std::string& name, const std::string& address, const std::string& assigned = "0") const {
        write("sys/class/net/" + name + "/address", address);
        write("sys/class/net/" + name + "/addr_assign_type", assigned);
        write("sys/class/net/" + name + "/type", "1");
        write("sys/class/net/" + name + "/device/vendor", "0x1af4");
    }
    void dmi(const std::string& uuid) const { write("sys/class/dmi/id/product_uuid", uuid); }

    HostFiles files;

private:
    std::string folder_;
};

std::string digest_of(std::string_view text) {
    std::string digits;
    for (const std::uint8_t byte : sha256(text)) digits += fmt::format("{:02x}", byte);
    return digits;
}

}  // namespace

TEST_CASE("SHA-256 is that of FIPS 180-4") {
    CHECK(digest_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(digest_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(digest_of(std::string(1'000'000, 'a')) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("a machine is named by its firmware, else by its first card, else by its machine-id") {
    const Machine machine;
    CHECK(machine_name(machine.files).empty());
    CHECK_FALSE(new_attachment(0, machine.files));
    machine.write("machine-id", "0123456789abcdef0123456789abcdef");
    CHECK(machine_name(machine.files) == "machine-id 0123456789abcdef0123456789abcdef");
    machine.card("eth1", "02:00:00:00:00:07");
    machine.card("eth0", "52:54:00:77:00:02");
    machine.card("random", "02:00:00:00:00:01", "1");
    machine.write("sys/class/net/br0/address", "00:00:5e:00:00:01");
    CHECK(machine_name(machine.files) == "mac 02:00:00:00:00:07");
    machine.dmi("4C4C4544-0051-3010-8052-B4C04F4E4432");
    CHECK(machine_name(machine.files) == "dmi 4c4c4544005130108052b4c04f4e4432");
}

TEST_CASE("what many machines share is no name") {
    const Machine machine;
    for (const char* uuid :
         {"00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
          "03000200-0400-0500-0006-000700080009", "00020003-0004-0005-0006-000700080009",
          "11111111-2222-2222-2222-111111111111", "Not Settable", "", "0123456789abcdef"}) {
        machine.dmi(uuid);
        CHECK(machine_name(machine.files).empty());
    }
    machine.card("eth0", "52:54:00:12:34:56");
    machine.card("eth1", "00:00:00:00:00:00");
    machine.write("machine-id", "uninitialized");
    CHECK(machine_name(machine.files).empty());
}

TEST_CASE("an attachment names machine and device by a hash, the boot, and a number that grows") {
    const Machine machine;
    machine.card("eth0", "52:54:00:77:00:02");
    const auto first = new_attachment(0, machine.files);
    const auto second = new_attachment(0, machine.files);
    const auto other = new_attachment(1, machine.files);
    REQUIRE((first && second && other));
    CHECK(first->host == second->host);
    CHECK(first->host != other->host);
    CHECK(first->boot == nbd::Uuid{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67,
                                   0x89, 0xab, 0xcd, 0xef});
    CHECK(first->attachment < second->attachment);
    // The bytes stay the same from version to version: an older one's attachment is to be fenced, too.
    const auto digest = sha256("holdfast host 1\nmac 52:54:00:77:00:02\nnbd0\n");
    CHECK(std::equal(first->host.begin(), first->host.end(), digest.begin()));
    machine.write("boot_id", "nothing");
    CHECK_FALSE(new_attachment(0, machine.files));
}
