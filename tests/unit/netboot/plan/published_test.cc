// The answer to a host's boot files.
#include <doctest/doctest.h>

#include "netboot/plan/published.hh"

using namespace holdfast;
using namespace holdfast::netboot;

namespace {

const std::string manifest(64, 'a');
const std::string kernel_sum(64, '1');
const std::string initrd_sum(64, '2');

Host host_with(const std::string& release, const std::string& previous) {
    Host host;
    host.name = "ws0";
    if (!release.empty()) host.kernel = KernelCopy{2, release};
    if (!previous.empty()) host.previous = KernelCopy{1, previous};
    return host;
}

nbd::BootPublished read(const Host& host, const std::string& sums = kernel_sum + "," + initrd_sum) {
    const auto published = nbd::read_boot_published(published_text(host, manifest, sums));
    REQUIRE(published);
    CHECK(digits_of(published->manifest) == manifest);
    return *published;
}

}  // namespace

TEST_CASE("the host reads what its next boot gets, and why not what it has sent") {
    Host host = host_with("6.1.0-37-amd64", "6.1.0-36-amd64");
    nbd::BootPublished published = read(host, kernel_sum + "," + initrd_sum + "," + std::string(64, '3'));
    REQUIRE(published.next);
    CHECK(published.next->version == "6.1.0-37-amd64");
    CHECK(digits_of(published.next->kernel) == kernel_sum);
    CHECK(digits_of(published.next->initrd) == initrd_sum);
    CHECK(published.previous == "6.1.0-36-amd64");
    CHECK(published.refused.empty());

    host.refused = manifest + " initrd.img: damaged; make it again";
    CHECK(read(host).refused == "initrd.img: damaged; make it again");
    host.refused = std::string(64, 'b') + " of another manifest";
    CHECK(read(host).refused.empty());
}

TEST_CASE("a line whose words are not known is left out") {
    CHECK(!read(host_with("", "")).next);
    CHECK(!read(host_with("6.1", ""), "").next);
    CHECK(!read(host_with("-6.1", "")).next);
    CHECK(!read(host_with("6.1 x", "")).next);
    CHECK(read(host_with("6.1", "6.0 x")).previous.empty());
    CHECK(read(host_with("", "6.0")).previous.empty());
}

TEST_CASE("a reason is a line of bounded length, whatever a host has put into it") {
    Host host = host_with("6.1", "");
    host.refused = manifest + " " + line_of_reason("a\nb\x1b[31m\xff" + std::string(1000, 'x'));
    const std::string reason = read(host).refused;
    CHECK(reason.starts_with("a?b?[31m?xxx"));
    CHECK(reason.size() <= 400);
}

TEST_CASE("the boot files of a host are the same after they were stored") {
    Host host = host_with("6.1.0-37-amd64", "6.1.0-36-amd64");
    host.export_name = "ws0";
    host.kernel->sums = kernel_sum + "," + initrd_sum;
    host.previous->sums = host.kernel->sums + "," + kernel_sum;
    host.previous->xen = true;
    host.taken = manifest;
    host.refused = manifest + " vmlinuz: no";
    CHECK(read_host("ws0", to_text(host)) == host);
    host.kernel->xen = true;
    host.kernel->sums = "";
    CHECK(read_host("ws0", to_text(host)) == host);
    CHECK(reason_of_refusal(host) == "vmlinuz: no");
    CHECK(!read_host("ws0", "kernel = 2 6.1 xem\n"));
    CHECK(!read_host("ws0", "kernel = 2 6.1 xen more\n"));
}
