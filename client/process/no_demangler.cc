// Replaces the demangler of the C++ runtime, which only the message for an uncaught exception uses: 50 KiB of
// each initramfs (20 KiB compressed). That message has the mangled name instead; c++filt(1) reads such names.
// The sanitizers' reports keep theirs.

#include <cstddef>

#ifdef __has_feature  // clang
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KEEP_DEMANGLER
#endif
#endif

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(KEEP_DEMANGLER)

extern "C" char* __cxa_demangle(const char* name, char* buffer, std::size_t* length, int* status);

// The status is that of an invalid name (Itanium C++ ABI, 3.4).
// NOLINTNEXTLINE(bugprone-reserved-identifier): the name is the ABI's
extern "C" char* __cxa_demangle(const char*, char*, std::size_t*, int* status) {
    if (status != nullptr) *status = -2;
    return nullptr;
}

#endif
