// Runs tasks on many paths, some of which may be on file systems that do not answer, without delaying the
// others.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "common/linux/clock.hh"
#include "server/process/thread.hh"

namespace holdfast::server {

template <class T>
struct ApartResult {
    bool begun = false;
    std::optional<T> value;  // empty: the task did not end in time
};

// Returns the results of the tasks, each run once in a thread of this call. A single thread runs all tasks
// unless a task is slow; then additional threads take the rest. Blocks for at most `patience`. Leaves a
// thread that hangs behind, with its task.
template <class T>
std::vector<ApartResult<T>> do_apart(std::vector<std::function<T()>> tasks,
                                     std::chrono::milliseconds patience) {
    struct State {
        std::vector<std::function<T()>> tasks;
        std::mutex mutex;  // protects the members below
        std::condition_variable changed;
        std::vector<ApartResult<T>> results;
        std::size_t next = 0;
        std::size_t done = 0;
    };
    using Handle = std::shared_ptr<State>;
    const auto work = [](void* argument) -> void* {
        const std::unique_ptr<Handle> handle(static_cast<Handle*>(argument));
        State& state = **handle;
        std::unique_lock lock(state.mutex);
        while (state.next < state.tasks.size()) {
            const std::size_t mine = state.next++;
            state.results[mine].begun = true;
            lock.unlock();
            std::optional<T> result = state.tasks[mine]();
            lock.lock();
            state.results[mine].value = std::move(result);
            ++state.done;
            state.changed.notify_all();
        }
        return nullptr;
    };
    constexpr std::size_t most_threads = 512;
    constexpr std::chrono::milliseconds slow{100};
    const auto deadline = Clock::now() + patience;
    const Handle state = std::make_shared<State>();
    state->results.resize(tasks.size());
    state->tasks = std::move(tasks);
    std::unique_lock lock(state->mutex);
    const auto finished = [&] { return state->done == state->tasks.size(); };
    std::size_t threads = 0;
    std::size_t wanted = 1;
    for (; !finished() && Clock::now() < deadline; wanted = std::min(2 * wanted, most_threads)) {
        while (threads < wanted && state->next < state->tasks.size()) {
            auto handle = std::make_unique<Handle>(state);
            if (!start_detached_thread(work, handle.get())) break;
            (void)handle.release();
            ++threads;
        }
        state->changed.wait_until(lock, std::min(deadline, Clock::now() + slow), finished);
    }
    return state->results;  // a copy: a thread left behind may still write to the original
}

}  // namespace holdfast::server
