// Not a target but the proof that the others can find something: a defect behind five comparisons, each of
// which only coverage leads to, and behind it a read beyond the end that only the sanitizer sees. The run
// fails when it is not found.
#include <memory>

#include "tests/fuzz/input.hh"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::string_view way = "reefs";
    if (size < way.size() || data[0] != way[0] || data[1] != way[1] || data[2] != way[2]) return 0;
    if (data[3] != way[3] || data[4] != way[4]) return 0;
    const std::unique_ptr<std::uint8_t[]> copy(new std::uint8_t[size]);
    std::copy_n(data, size, copy.get());
    const volatile std::uint8_t beyond = copy[size];
    return beyond == 0 ? 0 : 0;
}
