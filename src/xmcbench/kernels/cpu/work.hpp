// What is carried from label to label: the sums of a partition, and the buffers of the thread that works on it.
#pragma once

#include <cmath>

#include "group.hpp"
#include "turns.hpp"

namespace {

using namespace xmc;

struct Tally {  // of one partition
    LogSum logs;
    vec losses = {};    // of the labels since the last flush
    veci nonzero = {};  // −1 for each score gradient that is not zero, since the last flush
    double loss = 0;
    int64_t zeros = 0, skipped = 0, bad = -1;
    void flush() {
        loss += (double)sum(losses);
        zeros += sum(nonzero);  // the number of documents was added before
        losses = vec{};
        nonzero = veci{};
    }
    double total_loss() const {
        double total = loss;
        for (int b = 0; b < W; b++)
            total += std::log((double)logs.product[b]) + 0.69314718055994530942 * logs.exponent[b];
        return total;
    }
};

// A thread makes its buffers before it takes its first partition, and keeps them for the whole call: what a call holds
// depends on the number of threads, not on which of them comes first.
struct Work : Tally {
    Buffer gw, rows;  // rows: weights of so many labels at a time as float32, where the layer's are not
    Group group;
    Work(int64_t connections, const Layer &layer, int64_t labels)
        : gw(connections), rows(layer.bf16 ? labels * layer.fan_in : 1), group(layer) {}
    void begin() { static_cast<Tally &>(*this) = Tally(); }
};

// Floats from a row of x to the same row of gx, within a page: half of one. Cores compare a load with the stores before it by
// the last twelve bits of the address, so that at the same place in two pages a row of x would wait for that of gx.
constexpr int64_t APART = 512;

// The threads worth starting for `count` partitions.
inline int threads_for(int count, int threads) { return threads < count ? threads : count; }

// Calls body(p, gx, first, last, work) for every partition p and its labels [first, last), with the partition's own sum of the
// features' gradients; every thread makes its work once. The sums are added in order, as they come to an end, and go to grad_x_DB.
template <class Make, class Body>
void over_partitions(const Layer &layer, const Tiles &tiles, float *grad_x_DB, int threads, Make &&make, Body &&body) {
    const int count = partitions(layer.labels);
    const int64_t size = layer.features * tiles.lanes();
    Buffer sums(APART + size * Turns::buffers(count, threads));
    float *gx = sums.p + APART;
    Turns turns(count, threads);
#pragma omp parallel num_threads(threads_for(count, threads))
    {
        auto work = make();
        for (int p, buffer; turns.take(p, buffer);) {
            float *own = gx + buffer * size;
            std::memset(own, 0, size * 4);
            body(p, own, bound(layer, p, count), bound(layer, p + 1, count), work);
            for (int next = turns.finished(p); next >= 0; next = turns.added()) add(gx, gx + next * size, size);
        }
#pragma omp barrier  // every thread keeps its work to the end
    }
    unpack(tiles, gx, layer.features, grad_x_DB, threads);
}

}  // namespace
