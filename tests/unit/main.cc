// The unit tests' main program. The tests need no root, no network and no waiting.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
