// Writes the counters of a coverage build also where a process ends by _exit(2), as most children do.
// Linked with --wrap=_exit into the programs of `make coverage` only.

extern "C" {
void __gcov_dump(void);
[[noreturn]] void __real__exit(int status);
[[noreturn]] void __wrap__exit(int status) {
    __gcov_dump();
    __real__exit(status);
}
}
