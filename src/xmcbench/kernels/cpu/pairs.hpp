// A batch's positive pairs, checked, in the order that kernels read them: by label, then document. No instruction set's own.
#pragma once

#include <algorithm>
#include <vector>

#include "fan_in.hpp"

namespace xmc {

class SortedPairs {
   public:
    bool within = true;  // whether every pair is one of the batch's documents and the layer's labels

    SortedPairs(const Positives &given, int64_t labels, int64_t batch) : pairs(given) {
        std::vector<int64_t> keys(given.pairs);
        for (int64_t n = 0; n < given.pairs; n++) {
            const int64_t label = given.label[n], row = given.row[n];
            if (label < 0 || label >= labels || row < 0 || row >= batch) {
                within = false;
                return;
            }
            keys[n] = label * batch + row;
        }
        if (std::is_sorted(keys.begin(), keys.end())) return;
        std::sort(keys.begin(), keys.end());
        label.resize(keys.size()), row.resize(keys.size());
        for (size_t n = 0; n < keys.size(); n++) label[n] = keys[n] / batch, row[n] = keys[n] % batch;
        pairs = {label.data(), row.data(), given.pairs};
    }
    SortedPairs(const SortedPairs &) = delete;
    SortedPairs &operator=(const SortedPairs &) = delete;

    const Positives &in_order() const { return pairs; }

   private:
    std::vector<int64_t> label, row;
    Positives pairs;
};

}  // namespace xmc
