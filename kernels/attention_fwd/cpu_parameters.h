// Compile-time configuration: the macros, the constants that follow from them, and the combinations that are valid.
//
// Only cpu.cpp includes the cpu_*.h headers. Their namespace has no name, so that the library exports only its C
// functions and the compiler may inline everything else.

#pragma once

#if !defined(TILE_M) || !defined(TILE_N) || !defined(BLOCK_ROWS) || !defined(BLOCK_COLS) || !defined(OUTPUT_COLS) || \
    !defined(THREADS) || !defined(KEY_PACKING) || !defined(VALUE_PACKING) || !defined(LOOP_ORDER) ||                \
    !defined(PREFETCH_DISTANCE) || !defined(PERSISTENT) || !defined(UNROLL) || !defined(EXP_UNROLL) ||              \
    !defined(FUSED_MAX) || !defined(HEAD_DIM) || !defined(ELEMENT_BITS)
#error "every parameter of the kernel, HEAD_DIM and ELEMENT_BITS must be given with -D"
#endif

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__) && defined(__F16C__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

namespace {

// When K is transposed and V is converted to FP32: never (V only), at each tile of each task, once for each head that a
// thread works on, or for all heads in a parallel pass before the first task.
enum class Packing { direct, tile, head, shared };
// The outer loop within a tile: blocks of rows, each of which goes through all stages at once, or panels of BLOCK_COLS
// keys, each of which is multiplied with all rows before the next panel.
enum class LoopOrder { rows, panels };

constexpr Packing key_packing = Packing::KEY_PACKING;
constexpr Packing value_packing = Packing::VALUE_PACKING;
constexpr LoopOrder loop_order = LoopOrder::LOOP_ORDER;

// Floats in a vector of this machine, and in the widest vector of any machine. The workspace is laid out for the
// widest, so that its size does not depend on the machine.
constexpr int lanes = VECTOR_BYTES / 4;
constexpr int widest_lanes = 16;
// Widths of the register blocks, in vectors.
constexpr int score_vectors = BLOCK_COLS / lanes;
constexpr int output_vectors = OUTPUT_COLS / lanes;
// Not a power of two, so that the rows of a block do not compete for the same sets of the L1 cache.
constexpr int score_stride = TILE_N + widest_lanes;
// Rows of scores that are alive at once.
constexpr int score_rows = loop_order == LoopOrder::rows ? BLOCK_ROWS : TILE_M;
// Longest chains of FP32 additions: features summed into a score, keys summed into an output. The rounding error of a
// chain grows with its length. For a whole head or tile it stays well below the rounding of FP16. In FP32 it would be
// larger than the error of SDPA, which sets the limits and whose matrix products also add in several chains.
constexpr int score_chain_features = ELEMENT_BITS == 32 ? 16 : HEAD_DIM;
constexpr int output_chain_keys = ELEMENT_BITS == 32 ? 64 : TILE_N;

static_assert(TILE_M % BLOCK_ROWS == 0, "tile_m must be a multiple of block_rows");
static_assert(TILE_N % BLOCK_COLS == 0, "tile_n must be a multiple of block_cols");
static_assert(BLOCK_COLS % (lanes * EXP_UNROLL) == 0, "block_cols must be a multiple of exp_unroll vectors");
static_assert(TILE_N % widest_lanes == 0, "tile_n must be a multiple of 16");
static_assert(HEAD_DIM % OUTPUT_COLS == 0 && OUTPUT_COLS % widest_lanes == 0, "output_cols must divide the head size");
static_assert(HEAD_DIM == 64 || HEAD_DIM == 128, "HEAD_DIM must be 64 or 128");
static_assert(ELEMENT_BITS == 16 || ELEMENT_BITS == 32, "ELEMENT_BITS must be 16 or 32");
static_assert(key_packing != Packing::direct, "key_packing must be tile, head or shared");

}  // namespace
