"""Sizes of blocks: plain functions of the shapes, since results must not depend on a timing."""

from dataclasses import dataclass, replace

from xmcbench.kernels.blocks import CHUNK_BYTES

#: Documents that a label's program can hold: 16 scores a thread, and 256 threads, which may have 255 registers each.
MOST_DOCUMENTS = 4096
#: From this many labels a row on, products of groups (padded to 16 labels) are cheaper than label by label.
ENOUGH_LABELS = 8
#: Largest k of the streaming top-k: its keys live in registers.
MOST_PLACES = 32


def power_of_two(n: int) -> int:
    """Return the smallest power of two that is not below n."""
    return 1 << max(0, n - 1).bit_length()


@dataclass(frozen=True)
class Blocks:
    """labels, slots, documents: of a block. warps: of a program.

    registers: of a thread, at most. Without a limit the assembler takes 128 or 168 and spills a few bytes for the sake of
    one more program a processor; with one a little above it does not.
    """

    labels: int
    slots: int
    documents: int
    warps: int
    registers: int | None = None


def fan_in_blocks(labels: int, fan_in: int, documents: int) -> Blocks:
    """Label by label. A gathered block of slots is 1024 values a warp: 32 registers a thread, 4 KB in flight.

    Eight labels follow each other in a program, so that partial sums and launches are few, unless labels are too few to
    fill the device: 132 processors × 32 programs.
    """
    wide = max(32, power_of_two(documents))
    warps = max(1, wide // 512)
    slots = min(power_of_two(fan_in), max(1, 1024 * warps // wide))
    return Blocks(
        min(8, power_of_two(max(1, labels // 16_384))),
        slots,
        wide,
        warps,
        registers=144 if warps == 1 else 224,
    )


def forward_blocks(labels: int, fan_in: int, documents: int) -> Blocks:
    """As `fan_in_blocks`; documents may be tiled, since no sum runs over them, and 72 registers need no limit."""
    return replace(fan_in_blocks(labels, fan_in, min(documents, 512)), registers=None)


def group_blocks(fan_in: int, documents: int, group: int) -> Blocks:
    """Products of 16 or 32 labels, 32 slots and up to 32 documents; more of any of them spills registers."""
    labels = min(32, max(16, power_of_two(group)))
    wide = min(32, max(16, power_of_two(documents)))
    return Blocks(
        labels, min(32, max(16, power_of_two(fan_in))), wide, 4, registers=144 if labels == 16 else 255
    )


def top_k_blocks(fan_in: int, documents: int, group: int) -> Blocks:
    """One warp holds 16 labels × 64 documents; with products, four warps do."""
    wide = min(64, max(16, power_of_two(documents)))
    return Blocks(16, min(32, max(16, power_of_two(fan_in))), wide, 1 if group < ENOUGH_LABELS else 4)


def top_k_parts(blocks: int, tiles: int) -> int:
    """Return how many parts the labels' blocks are cut into: some 4096 programs, each of at least 16 blocks."""
    return max(1, min(blocks // 16, -(-4096 // tiles)))


def chunk_labels(documents: int, group: int, sorted_slots: int = 0) -> int:
    """Return how many labels a chunk has: whole groups of them. sorted_slots: K if their connections are sorted, else 0."""
    of_group = 4 * group * (documents + sorted_slots) + 12 * sorted_slots
    return max(1, CHUNK_BYTES // of_group) * group


def scratch_bytes(
    labels: int, features: int, fan_in: int, documents: int, group: int, by_input: bool = False
) -> int:
    """Return what the fused step holds beside weights and moments; by_input: without atomics (`by_input`).

    Transposed features and their gradient, where each label's positives begin, and partial sums of the programs; of a
    chunk of labels the score gradients, and without atomics the weights of before (as float32) and the sorted connections:
    keys of 16 bits, twice, and their order. What a sort takes for itself is not counted: 18 bytes a connection of the chunk (H200,
    torch 2.11).
    """
    size = fan_in_blocks(labels, fan_in, documents)
    held = 2 * features * documents * 4 + 2 * 4 * (labels + 1)
    chunk = min(labels, chunk_labels(documents, group, fan_in if by_input else 0))
    if by_input:
        held += 4 * chunk * fan_in + 12 * -(-chunk // group) * fan_in
    if group < ENOUGH_LABELS:
        return held + 16 * -(-labels // size.labels) + (4 * documents * chunk if by_input else 0)
    programs = -(-labels // group) * -(-group // group_blocks(fan_in, documents, group).labels)
    return held + 16 * programs + 4 * documents * chunk


def dense_blocks(features: int, narrow: bool) -> Blocks:
    """A tile of weights, 32 documents at a time. Measured on an H200: AdamW in float32 takes 0.7–0.9 of the time of a
    64 × 64 tile with 32 × 128; in bfloat16 64 × 64 is as good as any. A bias is one feature: products want 16."""
    if features < 16:
        return Blocks(64, 16, 32, 4)
    return Blocks(64, 64, 32, 4) if narrow else Blocks(32, 128, 32, 4)


#: Feature gradient by input: 16 connections × up to 128 documents.
BY_INPUT = Blocks(1, 16, 128, 4)
