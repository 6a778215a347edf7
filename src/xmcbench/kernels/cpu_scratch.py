"""What the C++ kernels of fixed fan-in hold beside their arguments: the arithmetic of `cpu/work.hpp`, `cpu/turns.cpp` and
`cpu/features.hpp`."""

#: Labels are cut into at most as many partitions, each of ≥ LEAST labels.
PARTITIONS, LEAST = 16, 1024
#: Where a batch is several tiles its blocks of labels have as many connections (half of it where labels share inputs).
CONNECTIONS = 16_384


def scratch_bytes(
    labels: int,
    features: int,
    fan_in: int,
    batch: int,
    group: int,
    *,
    tile: tuple[int, int],
    threads: int,
    narrow_weights: bool,
    narrow_features: bool,
) -> int:
    """Return the bytes of a call.

    tile: documents side by side in a vector, and of a tile at most (`module().tile(group)`). narrow_weights, narrow_features:
    bfloat16, not float32.

    Packed features, and their gradient: its sum, and two partial sums a thread. Of a block of labels a thread has the weight
    gradients, bfloat16 weights widened, and 16 bytes; of a group its inputs and its score gradients, twice.
    """
    partitions = min(PARTITIONS, -(-labels // LEAST))
    sums = min(partitions, 2 * threads + 1)
    lane, most = tile
    block = CONNECTIONS // (1 if group == 1 else 2) // fan_in if batch > most else 8
    own = max(block, group) * (fan_in + (fan_in if narrow_weights else 0) + 4)
    own += most * (fan_in + 2 * group) if group > 1 else 0
    vectors = -(-batch // lane)
    tiles = -(-vectors // (most // lane))
    widths = [(t + 1) * vectors // tiles - t * vectors // tiles for t in range(tiles)]
    packed = sum((width + 1) // 2 for width in widths) if narrow_features else vectors
    lanes = (packed + sums * vectors) * lane
    return (lanes * features + min(partitions, threads) * own) * 4
