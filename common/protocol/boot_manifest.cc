// Accepts nothing but the lines of the description, each at most once.
#include "common/protocol/boot_manifest.hh"

#include <algorithm>
#include <vector>

#include "common/text/characters.hh"
#include "common/text/hex.hh"
#include "common/text/number.hh"

namespace holdfast::nbd {

namespace {

constexpr std::string_view manifest_head = "holdfast-boot-files 1";
constexpr std::string_view published_head = "holdfast-boot-published 1";
constexpr std::size_t longest_version = 64;
constexpr std::size_t longest_refusal = 400;

std::unexpected<std::string> wrong(std::string_view line) {
    return std::unexpected("invalid line: " + std::string(line.substr(0, longest_refusal)));
}

// Splits at each space: two spaces have an empty word between them, which no line has.
std::vector<std::string_view> split_at_spaces(std::string_view line) {
    std::vector<std::string_view> words;
    for (;;) {
        const std::size_t space = line.find(' ');
        words.push_back(line.substr(0, space));
        if (space == std::string_view::npos) return words;
        line.remove_prefix(space + 1);
    }
}

// Lines after the head; nullopt unless the text begins with the head and ends with a newline.
std::optional<std::vector<std::string_view>> lines_after(std::string_view head, std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        if (end == std::string_view::npos) return std::nullopt;
        lines.push_back(text.substr(0, end));
        text.remove_prefix(end + 1);
    }
    if (lines.empty() || lines.front() != head) return std::nullopt;
    lines.erase(lines.begin());
    return lines;
}

std::optional<Digest> digest_of(std::string_view word) noexcept {
    Digest digest{};
    if (!read_hex(word, digest)) return std::nullopt;
    return digest;
}

// Writes each number in one way only: without leading zeroes.
std::optional<BootFile> file_of(const std::vector<std::string_view>& words) {
    if (words.size() != 4 || !is_boot_version(words[1])) return std::nullopt;
    const auto digest = digest_of(words[2]);
    const auto size = number_of<std::uint64_t>(words[3]);
    if (!digest || !size || *size < 1 || *size > largest_boot_file || words[3].starts_with('0'))
        return std::nullopt;
    return BootFile{std::string(words[1]), *digest, *size};
}

std::string line_of(std::string_view role, const BootFile& file) {
    std::string line(role);
    line += ' ' + file.version + ' ' + hex_of(file.sha256.data(), file.sha256.size()) + ' ';
    return line + std::to_string(file.size) + '\n';
}

bool is_printable_line(std::string_view text) noexcept {
    return !text.empty() && text.size() <= longest_refusal && std::ranges::all_of(text, [](char c) {
        return static_cast<unsigned char>(c) >= ' ' && c != '\x7f';
    });
}

bool take_next(BootPublished& published, const std::vector<std::string_view>& words) {
    if (words.size() != 4 || published.next || !is_boot_version(words[1])) return false;
    const auto kernel = digest_of(words[2]);
    const auto initrd = digest_of(words[3]);
    if (!kernel || !initrd) return false;
    published.next = BootPublished::Next{std::string(words[1]), *kernel, *initrd};
    return true;
}

bool take_previous(BootPublished& published, const std::vector<std::string_view>& words) {
    if (words.size() != 2 || !published.previous.empty() || !is_boot_version(words[1])) return false;
    published.previous = words[1];
    return true;
}

bool take_refused(BootPublished& published, std::string_view text) {
    if (!published.refused.empty() || !is_printable_line(text)) return false;
    published.refused = text;
    return true;
}

bool take_published_line(BootPublished& published, bool& answers, std::string_view line) {
    constexpr std::string_view refused = "refused ";
    const std::vector<std::string_view> words = split_at_spaces(line);
    if (words[0] == "next") return take_next(published, words);
    if (words[0] == "previous") return take_previous(published, words);
    if (line.starts_with(refused)) return take_refused(published, line.substr(refused.size()));
    if (words[0] != "manifest" || words.size() != 2 || answers) return false;
    const auto digest = digest_of(words[1]);
    if (!digest) return false;
    published.manifest = *digest;
    answers = true;
    return true;
}

}  // namespace

bool is_boot_version(std::string_view word) noexcept {
    if (word.empty() || word.size() > longest_version || word.front() == '.' || word.front() == '-')
        return false;
    return std::ranges::all_of(word, [](char c) {
        return is_letter_or_digit(c) || std::string_view("._+~-").find(c) != std::string_view::npos;
    });
}

std::string to_text(const BootManifest& manifest) {
    std::string text(manifest_head);
    text += '\n' + line_of("kernel", manifest.kernel) + line_of("initrd", manifest.initrd);
    if (manifest.xen) text += line_of("xen", *manifest.xen);
    return text;
}

std::expected<BootManifest, std::string> read_boot_manifest(std::string_view text) {
    const auto lines = text.size() <= longest_boot_manifest ? lines_after(manifest_head, text) : std::nullopt;
    if (!lines) return std::unexpected(std::string("not a manifest of boot files"));
    std::optional<BootFile> kernel;
    std::optional<BootFile> initrd;
    std::optional<BootFile> xen;
    for (const std::string_view line : *lines) {
        const std::vector<std::string_view> words = split_at_spaces(line);
        std::optional<BootFile>* const into = words[0] == "kernel"   ? &kernel
                                              : words[0] == "initrd" ? &initrd
                                              : words[0] == "xen"    ? &xen
                                                                     : nullptr;
        if (into == nullptr || *into) return wrong(line);
        *into = file_of(words);
        if (!*into) return wrong(line);
    }
    if (!kernel || !initrd)
        return std::unexpected(std::string("the manifest lacks the kernel or the initrd"));
    return BootManifest{std::move(*kernel), std::move(*initrd), std::move(xen)};
}

std::expected<BootPublished, std::string> read_boot_published(std::string_view text) {
    const auto lines =
        text.size() <= longest_boot_published ? lines_after(published_head, text) : std::nullopt;
    if (!lines) return std::unexpected(std::string("not a statement about published boot files"));
    BootPublished published;
    bool answers = false;
    for (const std::string_view line : *lines)
        if (!take_published_line(published, answers, line)) return wrong(line);
    if (!answers) return std::unexpected(std::string("no manifest is named"));
    return published;
}

std::string boot_folder_name(std::string_view export_name) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string name;
    for (const char c : export_name) {
        const bool plain = is_letter_or_digit(c) || c == '_' || c == '-' || (c == '.' && !name.empty());
        const auto byte = static_cast<unsigned char>(c);
        if (plain)
            name += c;
        else
            name += {'%', digits[byte >> 4], digits[byte & 15]};
    }
    return name;
}

}  // namespace holdfast::nbd
