// The fixed fan-in kernels for one instruction set (compiled once for each, see CMakeLists.txt).
//
// Per label: z = b + Σ_j w_j·x[i_j] → g = ∂loss/∂z → gw_j = Σ_b g·x[i_j], gx[i_j] += w_j·g → w_j updated in place. The
// scores of one label and one tile of documents live in registers; nothing of size B×L exists.
//
// Arithmetic. A tile is at most eight vectors of documents (128 with AVX-512). With D = 768 and 64 documents a tile
// of x and one of gx are 196 KB each and live in L2. A connection of 64 documents does 192 multiply-adds, 12 of the widest
// instructions: 12 cycles on a core that starts one a cycle. It moves 4 cache lines of x from L2 (the second use hits L1
// while a label's rows fit there: K ≤ 64), 4 of gx from L2 and 4 back, and writes gx: 4 stores of two cycles each. Measured
// alone on such a core (Zen 4, 3.3 GHz): reading a row from L2 2.5 ns, reading and writing one 3.3 ns, both with the products
// 6.4 ns, against 3.7 ns of multiply-adds: 0.57 of peak is the limit of this way, less the loss (1.0 ns a connection at
// K = 32, its exponentials and one division) and the update. So what is left to do is to keep everything else in registers:
// no lane sum goes to memory, sixteen lanes share one division, and the backward pass begins with the rows read last.
// Grouping a chunk's connections by input instead would spare the writes of gx, but sorting them costs as much (below).
// A core with two such multiply-add units (a Xeon with AVX-512: 164 GFLOP/s a thread in matrix products, against 102) moves
// lines no faster: the step takes the same time there (results/reference/kernels_avx512.csv), and so half the share of its peak.
// Other documents follow tile by tile, a chunk of labels at a time, so that one tile's x and gx stay in L2.
//
// Machines with AVX2 alone have small caches (Zen 3: 512 KB of L2, 32 KB of L1): a tile of 32 documents, 98 KB of x and of gx,
// is read from L1 more often and leaves room for weights. Measured there at B = 64, in turns: the step took 0.6 to 0.85 of its
// time with 64 documents, the forward pass 0.4 to 0.7; 16 documents were slower than 32. Groups copy the rows that they read, and
// were a quarter to a third slower with 32. Without AVX2 a tile of four vectors is 0.9 to 0.95 as fast as one of eight, and half of
// the compiler's time. AVX-512 machines do not gain (Zen 4, 1 MB of L2, in turns, K = 32, 64, 128, B = 64 and 128): 64 documents a
// tile took 0.99 to 1.05 of the time with 128, 32 took 1.06 to 1.26, 16 took 1.44 to 1.6. Chunks of 4, 16 or 32 labels where one
// tile holds the batch: 0.95 to 1.07 of the time with 8; of 16,384 connections: 1.03 to 1.5. A step alone takes 0.128 to 0.131 µs
// a label there, from 16 thousand labels to 2.8 million.
// Features in bfloat16 (features.hpp; sums and gx stay float32) move 2 lines of x for 4, for a shift and a mask in place of a load. The
// operator there, in turns, medians of 15, L = 131,072: 0.86, 0.81, 0.79 of the time at B = 64 (K = 32, 64, 128), 0.85, 0.80, 0.75 at
// 128 (and rounded features are not what the claims are made of). The AVX2 kernels, on the same machine, gain nothing below K = 128:
// 1.04, 1.00, 0.94 and 1.06, 1.01, 0.95.
// The loss's exponential by a table of 32 mantissas and a square (vector.hpp), in turns with a polynomial of fifth degree: 0.98 of the
// step's time at K = 32, B = 64 (0.97 with features in bfloat16, 0.98 to 1.0 for groups of 16 and 32), 1.0 at K = 64 or B = 128.
// Core cycles a connection and 32 documents on Zen 3 (2.95 GHz, best of 300): scores 3.3 with all rows in L1 and 4.0 with 768 inputs;
// gw and gx together 9.0 and 12.3, of which the four stores take 4; the multiply-adds alone would take 6. So 0.5 of a square
// product's rate (three quarters of peak) is the limit. Tried there, and not kept (best of 15, K = 32, 64, 128, in turns):
// a chunk sorted by input, same bits: 8.5 cycles for the gradients, but 18 a connection to sort and to undo it: step
// 1.2 to 1.35 of its time at B = 64, 0.97 to 1.12 at 128; eight or sixteen connections of every label of a chunk at a time, so
// that neighbouring rows stay in L1: 1.0 to 1.3. The loss took 27 cycles a vector of documents there, waiting for its own
// results; with the exponentials stage by stage and a division a vector it takes 18 (a step at K = 32 0.91 of its time).
// x and gx lie half a page apart within their pages (work.hpp): a step of two threads took 0.94 to 0.96 of its time. Tried and not
// kept: sums of the scores in two chains each 0.97 to 1.01 (other bits), the next label's scores before a label's loss 1.0 to 1.1,
// a row of gx fetched ahead while scores are summed 1.1 to 1.2. Chunks of 16,384 connections: 0.95 to 1.0 of the time with 8,192, at
// B = 64, 128 and 256; of 32,768 0.95 to 1.12. bfloat16 weights, widened for every tile and once more to be updated, took 1.06 to 1.10
// of float32's time; widened once a chunk, with a sum for a product in the generator, 1.02 to 1.04; without any rounding 1.0 to 1.04.
//
// Reproducibility. Labels are cut into partitions by their number alone; each has its own sum of gx, and these are
// added in order. Threads only choose who computes a partition. Sums are added as they come to an end, so that a call holds one, and
// two a thread (turns.hpp). Against all sixteen, added at the end (Zen 4, two threads, in turns, medians of three, caches cold):
// 0.95 of the time at L = 32,768, 0.96 at 131,072 (B = 64, K = 32), 0.98 to 0.99 at B = 128 or K = 128. With one and one a thread, so
// that a thread waits for the one before it, 1.05 and 1.06 of the time with two a thread at L = 131,072 and 32,768.
#include "backward.hpp"
#include "forward.hpp"
#include "top_k.hpp"
#include "train_step.hpp"

namespace xmc {
const Kernels &XMC_FUNCTION() {
    static const Kernels kernels{
        XMC_NAME, W, [](int64_t group) { return Tiles::most(group) * W; }, forward, backward, train_step, top_k};
    return kernels;
}
}  // namespace xmc
