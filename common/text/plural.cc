// English nouns that take an s.

#include "common/text/plural.hh"

fmt::appender fmt::formatter<holdfast::Counted>::format(const holdfast::Counted& counted,
                                                        fmt::format_context& context) {
    return fmt::format_to(context.out(), "{} {}{}", counted.count, counted.noun,
                          counted.count == 1 ? "" : "s");
}
