#include "turns.hpp"

namespace xmc {

int Turns::buffers(int partitions, int threads) {
    const int most = 2 * threads + 1;
    return partitions < most ? partitions : most;
}

Turns::Turns(int count, int threads) : partitions(count), first_free(0) {
    for (int b = buffers(count, threads) - 1; b >= 0; b--) free_buffers[first_free++] = b;
}

Turns::~Turns() = default;

bool Turns::take(int &partition, int &buffer) {
    std::unique_lock<std::mutex> held(lock);
    freed.wait(held, [&] { return taken == partitions || first_free > 0; });
    if (taken == partitions) return false;
    partition = taken++;
    buffer = buffer_of[partition] = free_buffers[--first_free];
    if (taken == partitions) freed.notify_all();
    return true;
}

int Turns::finished(int partition) {
    const std::lock_guard<std::mutex> held(lock);
    complete[partition] = true;
    return adding ? -1 : next_sum();
}

int Turns::added() {
    const std::lock_guard<std::mutex> held(lock);
    free_buffers[first_free++] = buffer_of[summed++];
    freed.notify_one();
    return next_sum();
}

int Turns::next_sum() {
    if (summed == 0 && complete[0]) summed = 1;  // it is where the others are added
    adding = summed > 0 && summed < partitions && complete[summed];
    return adding ? buffer_of[summed] : -1;
}

}  // namespace xmc
