// How the features of a tile of documents lie in memory: a row a feature, read vector by vector, v = 0, 1, … in turn.
#pragma once

#include "tiles.hpp"

namespace {

// All ones in a float that is infinite or no number; of a bfloat16 they are the upper half.
constexpr int32_t EXPONENT = 0x7f800000;

// As float32.
struct Floats {
    using Input = float;
    const float *p;

    template <int WIDTH>
    inline __attribute__((always_inline)) Floats row(int64_t i) const { return {p + i * (WIDTH * W)}; }
    inline __attribute__((always_inline)) vec next(int v) const { return load(p + v * W); }
    // Vector v of every row, and no other.
    Floats alone(int v) const { return {p + v * W}; }

    // Vectors of memory that a row of so many vectors of documents takes.
    static int64_t taken(int64_t width) { return width; }
    static veci unsound(veci lane) { return (lane & EXPONENT) == EXPONENT; }
    static void pack_row(const float *x, int64_t real, int64_t width, float *to) {
        std::memcpy(to, x, real * 4);
        std::memset(to + real, 0, (width * W - real) * 4);
    }
};

// One vector of each row of Twins.
struct Twin {
    const float *p;
    int shift;

    template <int WIDTH>
    inline __attribute__((always_inline)) Twin row(int64_t i) const { return {p + i * ((WIDTH + 1) / 2 * W), shift}; }
    inline __attribute__((always_inline)) vec next(int) const { return (vec)((bits(load(p)) << shift) & UPPER); }
    static constexpr int32_t UPPER = ~0xffff;
};

// As bfloat16, half of the bytes: a lane of 32 bits holds a document of vector v in its lower half and one of v + 1 in its upper
// (nothing, where v is the last), so that a load gives both. Sums are those of the same numbers as float32, to the bit.
struct Twins {
    using Input = uint16_t;
    const float *p;
    veci two = {};

    template <int WIDTH>
    inline __attribute__((always_inline)) Twins row(int64_t i) const { return {p + i * ((WIDTH + 1) / 2 * W)}; }
    inline __attribute__((always_inline)) vec next(int v) {
        if (v & 1) return (vec)(two & Twin::UPPER);
        two = bits(load(p + v / 2 * W));
        return (vec)(two << 16);
    }
    Twin alone(int v) const { return {p + v / 2 * W, v & 1 ? 0 : 16}; }

    static int64_t taken(int64_t width) { return (width + 1) / 2; }
    static veci unsound(veci lane) {
        constexpr int32_t LOW = EXPONENT >> 16;
        return ((lane & EXPONENT) == EXPONENT) | ((lane & LOW) == LOW);
    }
    static void pack_row(const uint16_t *x, int64_t real, int64_t width, float *to) {
        for (int64_t v = 0; v < width; v += 2, to += W)
            for (int64_t b = 0; b < W; b++) {
                const int64_t low = v * W + b, high = low + W;
                const uint32_t lane = (low < real ? x[low] : 0u) | (high < real ? (uint32_t)x[high] << 16 : 0u);
                std::memcpy(to + b, &lane, 4);
            }
    }
};

// The features of a call, packed: tile by tile, row by row; lanes behind the last document are zero.
template <class X>
struct Packed {
    const Tiles &tiles;
    int64_t features;
    Buffer rows;

    Packed(const Tiles &t, const Features &x, int64_t d) : tiles(t), features(d), rows(at(t.count)) {
        using Input = typename X::Input;
        for (int64_t n = 0; n < tiles.count; n++) {
            const int64_t from = tiles.first(n) * W, width = tiles.width(n);
            const int64_t real = tiles.batch - from < width * W ? tiles.batch - from : width * W;
            const Input *p = static_cast<const Input *>(x.p) + from * x.of_document;
            float *to = rows.p + at(n);
            for (int64_t i = 0; i < features; i += TURNED) {
                const int64_t some = features - i < TURNED ? features - i : TURNED;
                // A row a document, as encoders give them: some columns are turned into rows.
                Input turned[TURNED][TILE * W];
                if (x.of_document != 1)
                    for (int64_t b = 0; b < real; b++)
                        for (int64_t j = 0; j < some; j++) turned[j][b] = p[(i + j) * x.of_feature + b * x.of_document];
                for (int64_t j = 0; j < some; j++, to += X::taken(width) * W)
                    X::pack_row(x.of_document == 1 ? p + (i + j) * x.of_feature : turned[j], real, width, to);
            }
        }
    }
    // Features whose row of every document lies in one piece.
    Packed(const Tiles &t, const typename X::Input *x_DB, int64_t d) : Packed(t, Features{x_DB, false, t.batch, 1}, d) {}

    X tile(int64_t t) const { return {rows.p + at(t)}; }
    bool finite() const {
        veci bad = {};
        for (int64_t i = 0; i < at(tiles.count); i += W) bad |= X::unsound(bits(load(rows.p + i)));
        return sum(bad) == 0;
    }

   private:
    static constexpr int64_t TURNED = 16;
    int64_t at(int64_t t) const {
        int64_t vectors = 0;
        for (int64_t n = 0; n < t; n++) vectors += X::taken(tiles.width(n));
        return vectors * W * features;
    }
};

}  // namespace
