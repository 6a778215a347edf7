// Batches cut into tiles that registers can hold, labels into partitions whose number is theirs alone.
#pragma once

#include <cstdlib>
#include <cstring>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "fan_in.hpp"
#include "turns.hpp"
#include "vector.hpp"

namespace {

using namespace xmc;

constexpr int TILE = 8;             // vectors of documents in a tile, at most: as many accumulators fit the registers
constexpr int NARROW_TILE = W == 16 ? TILE : 4;  // the same where a label reads rows of its own, see fan_in.cpp
// Connections whose weight gradient is kept between tiles (64 KB); on AVX2 half of it costs 1 to 5 %, twice up to 12 %. Groups
// of labels, which work on copies of their inputs, gain nothing by it.
constexpr int64_t CHUNK = 16384, GROUP_CHUNK = 8192;
constexpr int64_t LARGE = 2 << 20;  // bytes of a large page

inline __attribute__((always_inline)) int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// A large array that is about to be written for the first time: a fault for every 2 MB instead of every 4 KB.
inline void expect_large(void *from, int64_t bytes) {
#if defined(__linux__)
    const uintptr_t first = (reinterpret_cast<uintptr_t>(from) + LARGE - 1) / LARGE * LARGE;
    const uintptr_t last = (reinterpret_cast<uintptr_t>(from) + bytes) / LARGE * LARGE;
    if (last > first) madvise(reinterpret_cast<void *>(first), last - first, MADV_HUGEPAGE);
#endif
}

struct Buffer {  // aligned floats; an allocation that fails ends the program as any other would
    float *p;
    int64_t size;
    bool large;  // rows are read in random order: large pages spare most of the misses of the address translation
    explicit Buffer(int64_t n) : size(n * 4), large(size >= LARGE / 32) {
        const int64_t page = large ? LARGE : 64;
        void *found = large ? large_taken(bytes()) : nullptr;
        if (!found) {
            found = std::aligned_alloc(page, bytes());
            if (!found) std::abort();
            if (large) expect_large(found, bytes());
        }
        p = static_cast<float *>(found);
        scratch_taken(size);
    }
    ~Buffer() {
        scratch_taken(-size);
        if (large) large_given_back(p, bytes());
        else std::free(p);
    }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;

   private:
    int64_t bytes() const { return up(size + 64, large ? LARGE : 64); }
};

struct Tiles {
    int64_t batch, vectors, count;
    Tiles(int64_t b, int64_t group) : batch(b), vectors(up(b, W) / W), count(up(vectors, most(group)) / most(group)) {}
    static int64_t most(int64_t group) { return group > 1 ? TILE : NARROW_TILE; }
    int64_t first(int64_t t) const { return t * vectors / count; }  // in vectors
    int width(int64_t t) const { return int(first(t + 1) - first(t)); }
    int64_t lanes() const { return vectors * W; }
    // Where tile t begins in an array of D rows of every document's float32, tile by tile.
    int64_t at(int64_t t, int64_t features) const { return first(t) * W * features; }
};

// The weights of labels from `first` on as float32, a row of K each: the layer's own, or widened into scratch.
inline __attribute__((always_inline)) float *weights_of(const Layer &layer, int64_t first, float *rows, int64_t labels = 1) {
    if (!layer.bf16) return static_cast<float *>(layer.weight) + first * layer.fan_in;
    const uint16_t *from = static_cast<const uint16_t *>(layer.weight) + first * layer.fan_in;
    for (int64_t j = 0; j < labels * layer.fan_in; j++) rows[j] = from_bf16(from[j]);
    return rows;
}

int partitions(int64_t labels) {
    const int64_t n = (labels + 1023) / 1024;
    return int(n < 1 ? 1 : n > MAX_PARTITIONS ? MAX_PARTITIONS : n);
}

// The first label of partition p of `count`: always the first of a group.
inline int64_t bound(const Layer &layer, int64_t p, int64_t count) {
    const int64_t groups = up(layer.labels, layer.group) / layer.group, at = groups * p / count * layer.group;
    return at < layer.labels ? at : layer.labels;
}

inline void add(float *to, const float *from, int64_t size) {
    for (int64_t i = 0; i < size; i += W) store(to + i, load(to + i) + load(from + i));
}

// Copy the sum, tile by tile, into grad_x_DB.
void unpack(const Tiles &tiles, const float *sum, int64_t features, float *grad_x_DB, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t d = 0; d < features; d++)
        for (int64_t t = 0; t < tiles.count; t++) {
            const int64_t from = tiles.first(t) * W, n = tiles.width(t) * W;
            const int64_t real = tiles.batch - from < n ? tiles.batch - from : n;
            std::memcpy(grad_x_DB + d * tiles.batch + from, sum + tiles.at(t, features) + d * n, real * 4);
        }
}

// Calls of_groups(), or of_labels(index) with the index as what it is. Tiles wider than labels with rows of their own take are
// those of groups, so that of_labels is not compiled for them.
template <int NV, class Groups, class Labels>
inline __attribute__((always_inline)) void by_layer(const Layer &layer, Groups &&of_groups, Labels &&of_labels) {
    if (layer.group > 1)
        of_groups();
    else if constexpr (NV <= NARROW_TILE) {
        if (layer.wide)
            of_labels(static_cast<const int32_t *>(layer.index));
        else
            of_labels(static_cast<const uint16_t *>(layer.index));
    }
}

#define FOR_WIDTH(width, call)     \
    switch (width) {               \
    case 1: call(1); break;        \
    case 2: call(2); break;        \
    case 3: call(3); break;        \
    case 4: call(4); break;        \
    case 5: call(5); break;        \
    case 6: call(6); break;        \
    case 7: call(7); break;        \
    default: call(8); break;       \
    }

}  // namespace
