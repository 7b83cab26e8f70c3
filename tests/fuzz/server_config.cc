// The server's configuration: the main file, one of the includedir, arguments of --export and --listen.
// Either there are errors, each with its place, or a configuration that the server can rely on.
#include "server/config/config.hh"

#include <set>

#include "common/access/access.hh"
#include "tests/fuzz/input.hh"

using namespace holdfast;
using namespace holdfast::server;
using fuzz::check;

namespace {

void check_export(const ExportConfig& one) {
    check(!one.name.empty() && one.name.size() <= nbd::longest_string, "an export's name is bounded");
    check(one.path.starts_with('/'), "an export's path is absolute");
    check(one.authfile.empty() || one.authfile.starts_with('/'), "an authfile's path is absolute");
    for (const char* client : {"192.0.2.7", "2001:db8::7", "unix"}) {
        const std::string path = path_for_client(one, client);
        check(one.is_virtual() || path == one.path, "only %s leads to a file of the client's own");
        check(path.starts_with('/'), "a client's path is absolute");
    }
}

void check_config(const Config& config) {
    check(!config.exports.empty(), "there is an export");
    check(!config.listens.empty(), "there is somewhere to listen");
    std::set<std::string> names;
    for (const ExportConfig& one : config.exports) {
        check_export(one);
        check(names.insert(one.name).second, "a name is one export's");
        check(config.find(one.name) == &one, "an export is found by its name");
    }
    std::set<Endpoint> endpoints;
    for (const Listen& listen : config.listens) {
        const Endpoint& endpoint = listen.endpoint;
        check(endpoint.unix_path.empty() ? endpoint.port != 0 : endpoint.unix_path.starts_with('/'),
              "an endpoint can be listened on");
        check(endpoints.insert(endpoint).second, "an endpoint is listened on once");
        check(listen.default_export.empty() || config.find(listen.default_export) != nullptr,
              "a default export exists");
        check(listen.every_export || !listen.default_export.empty(), "a port serves something");
        check(!to_string(endpoint).empty(), "an endpoint has a name");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    ConfigReader reader;
    if (const std::string_view main = input.part(); !main.empty()) reader.add_main("main", main);
    if (const std::string_view included = input.part(); !included.empty())
        reader.add_included("included", included);
    for (std::string_view arguments = input.part(); !arguments.empty();)
        reader.add_export_argument(fuzz::take_line(arguments));
    for (std::string_view arguments = input.part(); !arguments.empty();)
        reader.add_listen_argument(fuzz::take_line(arguments));
    const Config config = reader.finish();
    for (const Remark& remark : reader.errors()) {
        check(!remark.text.empty(), "an error says something");
        check(!remark.position.file.empty(), "an error has a place");
    }
    for (const Remark& remark : reader.warnings())
        check(!to_string(remark).empty(), "a warning says something");
    if (reader.errors().empty()) check_config(config);
    return 0;
}
