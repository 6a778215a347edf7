// The arrays that kernels make for themselves: how many bytes live, and those that wait for the next call.
//
// Compiled once, and for no instruction set, so that no copy made for a wider one is linked into another.
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "fan_in.hpp"

namespace xmc {

std::atomic<int64_t> scratch_lives{0}, scratch_most{0};

void scratch_taken(int64_t bytes) {
    const int64_t lives = scratch_lives += bytes;
    int64_t most = scratch_most;
    while (lives > most && !scratch_most.compare_exchange_weak(most, lives)) {
    }
}

int64_t most_scratch() { return scratch_most.exchange(scratch_lives); }

struct Kept {
    void *p;
    int64_t bytes;
};
constexpr int64_t KEPT_AT_MOST = 32 << 20;
std::mutex kept_lock;
std::vector<Kept> kept;  // the oldest first
int64_t kept_bytes = 0;

void *large_taken(int64_t bytes) {
    const std::lock_guard<std::mutex> held(kept_lock);
    for (size_t i = kept.size(); i-- > 0;) {
        if (kept[i].bytes != bytes) continue;
        void *p = kept[i].p;
        kept.erase(kept.begin() + (std::ptrdiff_t)i);
        kept_bytes -= bytes;
        return p;
    }
    return nullptr;
}

void large_given_back(void *p, int64_t bytes) {
    const std::lock_guard<std::mutex> held(kept_lock);
    kept.push_back({p, bytes});
    kept_bytes += bytes;
    while (kept_bytes > KEPT_AT_MOST) {
        kept_bytes -= kept.front().bytes;
        std::free(kept.front().p);
        kept.erase(kept.begin());
    }
}

int64_t free_kept() {
    const std::lock_guard<std::mutex> held(kept_lock);
    const int64_t bytes = kept_bytes;
    for (const Kept &one : kept) std::free(one.p);
    kept.clear();
    kept_bytes = 0;
    return bytes;
}

}  // namespace xmc
