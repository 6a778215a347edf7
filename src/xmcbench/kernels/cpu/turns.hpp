// Who works on which partition of the labels in which buffer, and whose sum is added next: in order, while others still work.
#pragma once

#include <condition_variable>
#include <mutex>

namespace xmc {

constexpr int MAX_PARTITIONS = 16;

// Partitions are handed out in order, each with one of few buffers; a buffer is free again once its sum was added to buffer 0,
// which partition 0 fills. Whoever works on the lowest partition waits for nobody, so that every wait ends.
//
// Defined in turns.cpp alone: inline functions of the library must not come from a copy made for a wider instruction set.
class Turns {
   public:
    // A buffer for the whole, two a thread: one that is being filled, and one that waits for an earlier partition.
    static int buffers(int partitions, int threads);
    Turns(int partitions, int threads);
    ~Turns();
    // The next partition and its buffer; false where none is left. Waits for a free buffer.
    bool take(int &partition, int &buffer);
    // A partition's sum is complete. Returns the buffer that the caller adds to buffer 0 and then answers with `added`; −1: none.
    int finished(int partition);
    int added();

   private:
    int next_sum();
    const int partitions;
    int first_free, taken = 0, summed = 0;
    int free_buffers[MAX_PARTITIONS], buffer_of[MAX_PARTITIONS];
    bool complete[MAX_PARTITIONS] = {}, adding = false;
    std::mutex lock;
    std::condition_variable freed;
};

}  // namespace xmc
