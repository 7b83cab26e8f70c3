// The compiled part of libfmt, built here because Debian ships that library only as a shared library, which
// no initramfs has. Same as libfmt's own src/format.cc, for char only. Built without a locale
// (FMT_STATIC_THOUSANDS_SEPARATOR, set for every file by the Makefile), because std::locale would be half of
// the client's size.

#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE
namespace detail {

#ifndef FMT_STATIC_THOUSANDS_SEPARATOR
template FMT_API locale_ref::locale_ref(const std::locale& loc);
template FMT_API auto locale_ref::get<std::locale>() const -> std::locale;
#endif

template FMT_API auto thousands_sep_impl(locale_ref) -> thousands_sep_result<char>;
template FMT_API auto decimal_point_impl(locale_ref) -> char;
template FMT_API void buffer<char>::append(const char*, const char*);
template FMT_API void vformat_to(buffer<char>&, string_view, basic_format_args<format_context>, locale_ref);

}  // namespace detail

template auto formatter<string_view>::format(const string_view&, format_context&) const
    -> format_context::iterator;

FMT_END_NAMESPACE
