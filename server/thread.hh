// Starting a thread with a small stack: there are many of them, and each does little on it.
#pragma once

#include <pthread.h>

#include "common/linux/result.hh"

namespace holdfast::server {

// The caller joins it.
[[nodiscard]] Result<pthread_t> start_thread(void* (*main)(void*), void* argument);

}  // namespace holdfast::server
