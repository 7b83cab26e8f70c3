// Packs no count for lists at the end: unpacking takes values until the bytes end.

#include "server/config/config_packing.hh"

#include <utility>

namespace holdfast::server {

void pack(Packer& to, const ConfigTexts& texts) {
    to.text(texts.directory);
    to.text(texts.directory_fault);
    to.number(std::uint8_t{texts.directory_hangs});
    to.number(static_cast<std::uint32_t>(texts.hanging.size()));
    for (const std::string& one : texts.hanging) to.text(one);
    for (const ConfigTexts::File& one : texts.files) {
        to.text(one.path);
        to.text(one.text);
        to.text(one.fault);
    }
}

std::optional<ConfigTexts> unpack_texts(Unpacker& from) {
    ConfigTexts texts;
    texts.directory = from.text();
    texts.directory_fault = from.text();
    texts.directory_hangs = from.flag();
    for (auto left = from.number<std::uint32_t>(); left > 0 && from.sound(); --left)
        texts.hanging.push_back(from.text());
    while (from.sound() && !from.complete()) {
        ConfigTexts::File one;
        one.path = from.text();
        one.text = from.text();
        one.fault = from.text();
        texts.files.push_back(std::move(one));
    }
    if (!from.complete()) return std::nullopt;
    return texts;
}

void pack(Packer& to, const std::vector<Remark>& remarks) {
    for (const Remark& one : remarks) {
        to.text(one.position.file);
        to.number(std::uint32_t{one.position.line});
        to.text(one.text);
    }
}

std::optional<std::vector<Remark>> unpack_remarks(Unpacker& from) {
    std::vector<Remark> remarks;
    while (from.sound() && !from.complete()) {
        Remark one;
        one.position.file = from.text();
        one.position.line = from.number<std::uint32_t>();
        one.text = from.text();
        remarks.push_back(std::move(one));
    }
    if (!from.complete()) return std::nullopt;
    return remarks;
}

}  // namespace holdfast::server
