// Fused attention forward for CPUs: out = softmax(scale * Q K^T) V, online over tiles of keys, FP32 accumulation.
//
// A task is TILE_M queries of one head. For each tile of TILE_N keys it computes scores from packed transposed keys
// with a register block of BLOCK_ROWS queries x BLOCK_COLS keys, exponentiates them in place, and adds their product
// with V with a register block of BLOCK_ROWS queries x OUTPUT_COLS features. Which thread runs a task changes nothing
// in its arithmetic, so the same input always gives the same bits. README.md beside this file explains the parameters.

#include <omp.h>

#include <cstdint>
#include <utility>

#if !defined(TILE_M) || !defined(TILE_N) || !defined(BLOCK_ROWS) || !defined(BLOCK_COLS) || !defined(OUTPUT_COLS) || \
    !defined(THREADS) || !defined(KEY_PACKING) || !defined(VALUE_PACKING) || !defined(LOOP_ORDER) ||                \
    !defined(PREFETCH_DISTANCE) || !defined(PERSISTENT) || !defined(UNROLL) || !defined(EXP_UNROLL) ||              \
    !defined(FUSED_MAX) || !defined(HEAD_DIM) || !defined(ELEMENT_BITS)
#error "every parameter of the kernel, HEAD_DIM and ELEMENT_BITS must be given with -D"
#endif

#define TEXT_OF(value) #value
#define TEXT(macro) TEXT_OF(macro)
#define RECORD(macro) #macro "=" TEXT(macro) ";"
#define PRAGMA(text) _Pragma(#text)
#define UNROLLED(count) PRAGMA(GCC unroll count)
#define INLINE inline __attribute__((always_inline))

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__) && defined(__F16C__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

extern "C" {
extern const char evotune_configuration[1024];
const char evotune_configuration[1024] = "evotune-configuration:"  //
    RECORD(TILE_M) RECORD(TILE_N) RECORD(BLOCK_ROWS) RECORD(BLOCK_COLS) RECORD(OUTPUT_COLS) RECORD(THREADS)
    RECORD(KEY_PACKING) RECORD(VALUE_PACKING) RECORD(LOOP_ORDER) RECORD(PREFETCH_DISTANCE) RECORD(PERSISTENT)
    RECORD(UNROLL) RECORD(EXP_UNROLL) RECORD(FUSED_MAX) RECORD(HEAD_DIM) RECORD(ELEMENT_BITS);
}

namespace {

// When K is transposed and V is converted to FP32: never (V only), at each tile of each task, once for each head that a
// thread meets, or for all heads in a parallel pass before the first task.
enum class Packing { direct, tile, head, shared };
// What is outermost within a tile: blocks of rows, which go through all stages at once, or panels of BLOCK_COLS keys,
// which meet all rows before the next panel.
enum class Order { rows, panels };

constexpr Packing key_packing = Packing::KEY_PACKING;
constexpr Packing value_packing = Packing::VALUE_PACKING;
constexpr Order loop_order = Order::LOOP_ORDER;

constexpr int lanes = VECTOR_BYTES / 4;
constexpr int block_vectors = BLOCK_COLS / lanes;
constexpr int output_vectors = OUTPUT_COLS / lanes;
// The workspace is laid out for the widest vectors everywhere, so that its size does not depend on the machine.
constexpr int widest = 16;
// Off a power of two, so that the rows of a block do not compete for the same sets of the L1 cache.
constexpr int score_stride = TILE_N + widest;
constexpr int score_rows = loop_order == Order::rows ? BLOCK_ROWS : TILE_M;
constexpr float infinity = __builtin_inff();
// Longest chains of FP32 additions, in features for a score and in keys for an output. The error of one long chain is
// well below FP16's rounding, but would show in FP32 beside SDPA, whose matrix products add in several chains.
constexpr int score_chain = ELEMENT_BITS == 32 ? 16 : HEAD_DIM;
constexpr int output_chain = ELEMENT_BITS == 32 ? 64 : TILE_N;

static_assert(TILE_M % BLOCK_ROWS == 0, "tile_m must be a multiple of block_rows");
static_assert(TILE_N % BLOCK_COLS == 0, "tile_n must be a multiple of block_cols");
static_assert(BLOCK_COLS % (lanes * EXP_UNROLL) == 0, "block_cols must be a multiple of exp_unroll vectors");
static_assert(TILE_N % widest == 0, "tile_n must be a multiple of 16");
static_assert(HEAD_DIM % OUTPUT_COLS == 0 && OUTPUT_COLS % widest == 0, "output_cols must divide the head size");
static_assert(HEAD_DIM == 64 || HEAD_DIM == 128, "HEAD_DIM must be 64 or 128");
static_assert(ELEMENT_BITS == 16 || ELEMENT_BITS == 32, "ELEMENT_BITS must be 16 or 32");
static_assert(key_packing != Packing::direct, "key_packing must be tile, head or shared");

#if ELEMENT_BITS == 32
typedef float Element;
#elif defined(__aarch64__)
typedef __fp16 Element;
#else
typedef _Float16 Element;
#endif

typedef float Vector __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef int32_t IntVector __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef Element ElementVector
    __attribute__((vector_size(lanes * sizeof(Element)), may_alias, aligned(sizeof(Element))));

// ---------------------------------------------------------------------------------------------------- vectors

INLINE Vector load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
INLINE void store(float* to, Vector values) { *reinterpret_cast<Vector*>(to) = values; }
INLINE Vector splat(float value) { return value - Vector{}; }

// Conversions and maximum are spelt as instructions: <immintrin.h> alone takes 0.4 s to compile, and GCC 12 converts
// vectors of _Float16 element by element.
INLINE Vector load_elements(const Element* from) {
    const auto& elements = *reinterpret_cast<const ElementVector*>(from);
#if ELEMENT_BITS == 16 && VECTOR_BYTES > 16
    Vector values;
    __asm__("vcvtph2ps\t%1, %0" : "=v"(values) : "m"(elements));
    return values;
#else
    return __builtin_convertvector(elements, Vector);
#endif
}

INLINE void store_elements(Element* to, Vector values) {
    auto& elements = *reinterpret_cast<ElementVector*>(to);
#if ELEMENT_BITS == 16 && VECTOR_BYTES > 16
    __asm__("vcvtps2ph\t$0, %1, %0" : "=m"(elements) : "v"(values));  // $0: to nearest, ties to even
#else
    elements = __builtin_convertvector(values, ElementVector);
#endif
}

INLINE Vector maximum(Vector a, Vector b) {
#if VECTOR_BYTES > 16
    __asm__("vmaxps\t%1, %0, %0" : "+v"(a) : "v"(b));
    return a;
#else
    return a > b ? a : b;
#endif
}

template <int Shift, int... I>
INLINE Vector rotated(Vector v, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(v, v, ((I + Shift) % lanes)...);
}

template <int Shift = lanes / 2>
INLINE float largest(Vector v) {
    if constexpr (Shift == 0) {
        return v[0];
    } else {
        return largest<Shift / 2>(maximum(v, rotated<Shift>(v, std::make_integer_sequence<int, lanes>())));
    }
}

template <int Shift = lanes / 2>
INLINE float sum(Vector v) {
    if constexpr (Shift == 0) {
        return v[0];
    } else {
        return sum<Shift / 2>(v + rotated<Shift>(v, std::make_integer_sequence<int, lanes>()));
    }
}

template <int... I>
INLINE void interleave(Vector a, Vector b, Vector& low, Vector& high, std::integer_sequence<int, I...>) {
    low = __builtin_shufflevector(a, b, (I / 2 + I % 2 * lanes)...);
    high = __builtin_shufflevector(a, b, (lanes / 2 + I / 2 + I % 2 * lanes)...);
}

// Transposes lanes x lanes values: each round interleaves the first half of the rows with the second (a perfect shuffle
// of the index bits), and log2(lanes) rounds exchange the row bits with the column bits.
INLINE void transpose(Vector (&rows)[lanes]) {
    UNROLLED(4)
    for (int round = 1; round < lanes; round *= 2) {
        Vector shuffled[lanes];
        UNROLLED(16)
        for (int i = 0; i < lanes / 2; ++i) {
            interleave(rows[i], rows[i + lanes / 2], shuffled[2 * i], shuffled[2 * i + 1],
                       std::make_integer_sequence<int, lanes>());
        }
        UNROLLED(16)
        for (int i = 0; i < lanes; ++i) rows[i] = shuffled[i];
    }
}

// ---------------------------------------------------------------------------------------------------- exponential

// softmax(scale * s) = 2^(factor * (s - max)) with factor = scale * log2(e). With 16-bit elements the factor is
// multiplied into Q; with 32-bit ones that rounding would show, so it is applied to the difference in two parts.
struct Exponent {
    float query_factor, high, low;

    explicit Exponent(float scale) {
        const double factor = scale * 1.4426950408889634;
        query_factor = ELEMENT_BITS == 16 ? float(factor) : __builtin_copysignf(1.0f, scale);
        high = float(__builtin_fabs(factor));
        low = float(__builtin_fabs(factor) - high);
    }

    // 2^(factor * difference) for differences <= 0 or NaN; exactly 1 at 0, exactly 0 below 2^-126. The exponent is
    // split into a whole n and a fraction in [-1/2, 1/2] by adding 1.5 * 2^23, whose low bits then hold n. The
    // polynomials are minimax fits of 2^fraction with constant term 1, relative error 2.9e-6 (FP16 output) and 8e-8
    // (FP32 output).
    INLINE Vector operator()(Vector difference) const {
        const Vector magic = splat(12582912.0f);
#if ELEMENT_BITS == 16
        const Vector exponent = difference;
        const Vector shifted = exponent + magic;
        const Vector f = exponent - (shifted - magic);
        const Vector power =
            (((0.009582851082f * f + 0.05590642989f) * f + 0.2402409911f) * f + 0.6931241751f) * f + 1.0f;
#else
        const Vector exponent = difference * high;
        const Vector shifted = difference * high + magic;
        const Vector f = (difference * high - (shifted - magic)) + difference * low;
        const Vector power =
            (((((0.00015353360504f * f + 0.0013398875017f) * f + 0.0096184368777f) * f + 0.055503323674f) * f +
              0.24022647738f) * f + 0.69314718246f) * f + 1.0f;
#endif
        const Vector scaled = (Vector)((IntVector)power + ((IntVector)shifted << 23));
        return exponent < -126.0f ? Vector{} : scaled;
    }
};

// ---------------------------------------------------------------------------------------------------- packing

// Keys first..first + count of a head as panels [HEAD_DIM][BLOCK_COLS]; columns past the last key are zero.
void pack_keys(float* panels, const Element* keys, int count) {
    for (int column = 0; column < count; column += lanes) {
        float* panel = panels + int64_t(column / BLOCK_COLS) * BLOCK_COLS * HEAD_DIM + column % BLOCK_COLS;
        for (int d = 0; d < HEAD_DIM; d += lanes) {
            Vector block[lanes];
            UNROLLED(16)
            for (int i = 0; i < lanes; ++i) {
                block[i] = column + i < count ? load_elements(keys + int64_t(column + i) * HEAD_DIM + d) : Vector{};
            }
            transpose(block);
            UNROLLED(16)
            for (int i = 0; i < lanes; ++i) store(panel + (d + i) * BLOCK_COLS, block[i]);
        }
    }
    for (int column = (count + lanes - 1) / lanes * lanes; column % BLOCK_COLS != 0; column += lanes) {
        float* panel = panels + int64_t(column / BLOCK_COLS) * BLOCK_COLS * HEAD_DIM + column % BLOCK_COLS;
        for (int d = 0; d < HEAD_DIM; ++d) store(panel + d * BLOCK_COLS, Vector{});
    }
}

void convert(float* to, const Element* from, int64_t count) {
    for (int64_t i = 0; i < count; i += lanes) store(to + i, load_elements(from + i));
}

// ---------------------------------------------------------------------------------------------------- workspace

struct Problem {
    const Element *q, *k, *v;
    Element* out;
    int64_t heads, queries, keys;
    bool causal;

    int64_t tiles() const { return (queries + TILE_M - 1) / TILE_M; }
    int64_t padded_keys() const { return (keys + BLOCK_COLS - 1) / BLOCK_COLS * BLOCK_COLS; }
};

constexpr int64_t rounded(int64_t floats) { return (floats + widest - 1) / widest * widest; }

int64_t packed_floats(Packing packing, int64_t keys, int64_t heads, bool of_thread) {
    if (packing == Packing::tile && of_thread) return int64_t(TILE_N) * HEAD_DIM;
    if (packing == Packing::head && of_thread) return keys * HEAD_DIM;
    if (packing == Packing::shared && !of_thread) return heads * keys * HEAD_DIM;
    return 0;
}

// Takes aligned arrays of floats one after the other from a piece of memory, or only counts them.
struct Arena {
    float* base;
    int64_t used = 0;

    float* take(int64_t floats) {
        float* taken = base == nullptr ? nullptr : base + used;
        used += rounded(floats);
        return taken;
    }
};

// Packed tensors that all threads share: K [heads][padded keys / BLOCK_COLS][HEAD_DIM][BLOCK_COLS] and V
// [heads][keys][HEAD_DIM].
struct Shared {
    float *keys, *values;

    Shared(Arena& arena, const Problem& problem)
        : keys(arena.take(packed_floats(key_packing, problem.padded_keys(), problem.heads, false))),
          values(arena.take(packed_floats(value_packing, problem.keys, problem.heads, false))) {}
};

// What one thread works in. Per query of a tile: `query` and `output` [TILE_M][HEAD_DIM], `peak` the running maximum of
// its scores, `alpha` what its sum and output shrink by at this tile, `peak_lanes` and `sum_lanes` the parts of maximum
// and sum that each vector lane has seen.
struct Local {
    float *query, *output, *scores, *peak_lanes, *sum_lanes, *peak, *alpha, *keys, *values;
    int64_t key_head = -1, value_head = -1;

    Local(Arena& arena, const Problem& problem)
        : query(arena.take(TILE_M * HEAD_DIM)),
          output(arena.take(TILE_M * HEAD_DIM)),
          scores(arena.take(score_rows * score_stride)),
          peak_lanes(arena.take(TILE_M * widest)),
          sum_lanes(arena.take(TILE_M * widest)),
          peak(arena.take(TILE_M + widest)),
          alpha(arena.take(TILE_M + widest)),
          keys(arena.take(packed_floats(key_packing, problem.padded_keys(), 1, true))),
          values(arena.take(packed_floats(value_packing, problem.keys, 1, true))) {}
};

// ---------------------------------------------------------------------------------------------------- one task

class Task {
  public:
    Task(const Problem& problem, const Shared& shared, Local& local, const Exponent& exponent, int64_t index)
        : problem(problem), shared(shared), local(local), exponent(exponent) {
        const int64_t tiles = problem.tiles(), tile = index % tiles;
        head = index / tiles;
        // With a causal mask later queries see more keys: long tasks first, so that threads end together.
        first_query = (problem.causal ? tiles - 1 - tile : tile) * TILE_M;
        rows = int(problem.queries - first_query < TILE_M ? problem.queries - first_query : TILE_M);
        padded_rows = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS * BLOCK_ROWS;
    }

    void run() {
        begin();
        const int64_t past = first_query + rows;
        const int64_t last = problem.causal && past < problem.keys ? past : problem.keys;
        for (first_key = 0; first_key < last; first_key += TILE_N) {
            count = int(last - first_key < TILE_N ? last - first_key : TILE_N);
            const float* panels = packed_keys();
            if constexpr (value_packing == Packing::direct) {
                tile(panels, problem.v + (head * problem.keys + first_key) * HEAD_DIM);
            } else {
                tile(panels, converted_values());
            }
        }
        finish();
    }

  private:
    const Problem& problem;
    const Shared& shared;
    Local& local;
    const Exponent& exponent;
    int64_t head, first_query, first_key;
    int rows, padded_rows, count;

    void begin() {
        const Element* q = problem.q + (head * problem.queries + first_query) * HEAD_DIM;
        for (int i = 0; i < padded_rows * HEAD_DIM; i += lanes) {
            const Vector query = i < rows * HEAD_DIM ? load_elements(q + i) : Vector{};
            store(local.query + i, query * exponent.query_factor);
            store(local.output + i, Vector{});
        }
        for (int row = 0; row < padded_rows; ++row) {
            local.peak[row] = -infinity;
            store(local.peak_lanes + row * lanes, splat(-infinity));
            store(local.sum_lanes + row * lanes, Vector{});
        }
    }

    const float* packed_keys() {
        const Element* k = problem.k + head * problem.keys * HEAD_DIM;
        if constexpr (key_packing == Packing::shared) {
            return shared.keys + (head * problem.padded_keys() + first_key) * HEAD_DIM;
        } else if constexpr (key_packing == Packing::head) {
            if (local.key_head != head) pack_keys(local.keys, k, int(problem.keys));
            local.key_head = head;
            return local.keys + first_key * HEAD_DIM;
        } else {
            pack_keys(local.keys, k + first_key * HEAD_DIM, count);
            return local.keys;
        }
    }

    const float* converted_values() {
        const Element* v = problem.v + head * problem.keys * HEAD_DIM;
        if constexpr (value_packing == Packing::shared) {
            return shared.values + (head * problem.keys + first_key) * HEAD_DIM;
        } else if constexpr (value_packing == Packing::head) {
            if (local.value_head != head) convert(local.values, v, problem.keys * HEAD_DIM);
            local.value_head = head;
            return local.values + first_key * HEAD_DIM;
        } else {
            convert(local.values, v + first_key * HEAD_DIM, count * HEAD_DIM);
            return local.values;
        }
    }

    template <typename Value>
    void tile(const float* panels, const Value* values) {
        if constexpr (loop_order == Order::rows) {
            for (int row = 0; row < padded_rows; row += BLOCK_ROWS) {
                const int visible = visible_keys(row + BLOCK_ROWS - 1);
                for (int column = 0; column < visible; column += BLOCK_COLS) {
                    score_block(panels + column * HEAD_DIM, row, column, local.scores);
                }
                if (visible > 0) weigh_block(row, visible, local.scores, values);
            }
        } else {
            for (int column = 0; column < count; column += BLOCK_COLS) {
                for (int row = 0; row < padded_rows; row += BLOCK_ROWS) {
                    if (column >= visible_keys(row + BLOCK_ROWS - 1)) continue;
                    score_block(panels + column * HEAD_DIM, row, column, local.scores + row * score_stride);
                }
            }
            for (int row = 0; row < padded_rows; row += BLOCK_ROWS) {
                const int visible = visible_keys(row + BLOCK_ROWS - 1);
                if (visible > 0) weigh_block(row, visible, local.scores + row * score_stride, values);
            }
        }
    }

    // How many keys of the tile a row sees; not positive when it sees none.
    INLINE int visible_keys(int row) const {
        const int64_t diagonal = first_query + row + 1 - first_key;
        return problem.causal && diagonal < count ? int(diagonal) : count;
    }

    // scores[BLOCK_ROWS][column...] = query[row...] x panel, -infinity where a row does not see the key.
    void score_block(const float* panel, int row, int column, float* scores) {
        scores += column;
        for (int first = 0; first < HEAD_DIM; first += score_chain) {
            Vector block[BLOCK_ROWS][block_vectors] = {};
            multiply_keys(block, panel, row, first);
            if (first > 0) add_scores(block, scores);
            if (first + score_chain >= HEAD_DIM) {
                if (visible_keys(row) < column + BLOCK_COLS) hide_keys(block, row, column);
                if constexpr (FUSED_MAX) raise_peaks(block, row);
            }
            store_scores(scores, block);
        }
    }

    using ScoreBlock = Vector[BLOCK_ROWS][block_vectors];

    INLINE void multiply_keys(ScoreBlock& block, const float* panel, int row, int first) const {
        const float* query = local.query + row * HEAD_DIM;
        UNROLLED(UNROLL)
        for (int d = first; d < first + score_chain; ++d) {
            const float* keys = panel + d * BLOCK_COLS;
            prefetch(keys + PREFETCH_DISTANCE * BLOCK_COLS, BLOCK_COLS);
            Vector key[block_vectors];
            UNROLLED(16)
            for (int c = 0; c < block_vectors; ++c) key[c] = load(keys + c * lanes);
            UNROLLED(32)
            for (int r = 0; r < BLOCK_ROWS; ++r) {
                UNROLLED(16)
                for (int c = 0; c < block_vectors; ++c) block[r][c] += query[r * HEAD_DIM + d] * key[c];
            }
        }
    }

    static INLINE void add_scores(ScoreBlock& block, const float* scores) {
        UNROLLED(32)
        for (int r = 0; r < BLOCK_ROWS; ++r) {
            UNROLLED(16)
            for (int c = 0; c < block_vectors; ++c) block[r][c] += load(scores + r * score_stride + c * lanes);
        }
    }

    static INLINE void store_scores(float* scores, const ScoreBlock& block) {
        UNROLLED(32)
        for (int r = 0; r < BLOCK_ROWS; ++r) {
            UNROLLED(16)
            for (int c = 0; c < block_vectors; ++c) store(scores + r * score_stride + c * lanes, block[r][c]);
        }
    }

    INLINE void raise_peaks(const ScoreBlock& block, int row) {
        UNROLLED(32)
        for (int r = 0; r < BLOCK_ROWS; ++r) {
            Vector peak = load(local.peak_lanes + (row + r) * lanes);
            UNROLLED(16)
            for (int c = 0; c < block_vectors; ++c) peak = maximum(peak, block[r][c]);
            store(local.peak_lanes + (row + r) * lanes, peak);
        }
    }

    INLINE void hide_keys(ScoreBlock& block, int row, int column) const {
        IntVector lane;
        UNROLLED(16)
        for (int i = 0; i < lanes; ++i) lane[i] = i;
        UNROLLED(32)
        for (int r = 0; r < BLOCK_ROWS; ++r) {
            const int visible = visible_keys(row + r) - column;
            UNROLLED(16)
            for (int c = 0; c < block_vectors; ++c) {
                block[r][c] = lane + c * lanes < visible ? block[r][c] : splat(-infinity);
            }
        }
    }

    template <typename Value>
    INLINE void weigh_block(int row, int visible, float* scores, const Value* values) {
        exponentiate_block(row, (visible + BLOCK_COLS - 1) / BLOCK_COLS * BLOCK_COLS, scores);
        for (int key = 0; key < visible; key += output_chain) {
            const int count = visible - key < output_chain ? visible - key : output_chain;
            for (int feature = 0; feature < HEAD_DIM; feature += OUTPUT_COLS) {
                output_block(row, feature, count, scores + key, values + key * HEAD_DIM + feature);
            }
            for (int r = 0; r < BLOCK_ROWS; ++r) local.alpha[r] = 1.0f;  // it has shrunk now
        }
    }

    // scores = 2^(factor * (scores - running maximum)); updates maximum, alpha and sum of BLOCK_ROWS rows.
    void exponentiate_block(int row, int columns, float* scores) {
        for (int r = 0; r < BLOCK_ROWS; ++r) {
            Vector peaks = load(local.peak_lanes + (row + r) * lanes);
            if constexpr (!FUSED_MAX) {
                UNROLLED(EXP_UNROLL)
                for (int c = 0; c < columns; c += lanes) peaks = maximum(peaks, load(scores + r * score_stride + c));
                store(local.peak_lanes + (row + r) * lanes, peaks);
            }
            const float peak = largest(peaks);
            local.alpha[r] = local.peak[row + r] - peak;
            local.peak[row + r] = peak;
        }
        for (int r = 0; r < BLOCK_ROWS; r += lanes) store(local.alpha + r, exponent(load(local.alpha + r)));
        for (int r = 0; r < BLOCK_ROWS; ++r) {
            float* of_row = scores + r * score_stride;
            const Vector peak = splat(local.peak[row + r]);
            Vector total = load(local.sum_lanes + (row + r) * lanes) * local.alpha[r];
            UNROLLED(EXP_UNROLL)
            for (int c = 0; c < columns; c += lanes) {
                const Vector weight = exponent(load(of_row + c) - peak);
                store(of_row + c, weight);
                total += weight;
            }
            store(local.sum_lanes + (row + r) * lanes, total);
        }
    }

    // output[row...][feature...] = alpha * output + weights[BLOCK_ROWS][count] x values[count][OUTPUT_COLS]
    template <typename Value>
    void output_block(int row, int feature, int count, const float* weights, const Value* values) {
        Vector block[BLOCK_ROWS][output_vectors] = {};
        UNROLLED(UNROLL)
        for (int key = 0; key < count; ++key) {
            prefetch(values + (key + PREFETCH_DISTANCE) * HEAD_DIM, OUTPUT_COLS);
            Vector value[output_vectors];
            UNROLLED(16)
            for (int c = 0; c < output_vectors; ++c) value[c] = load_value(values + key * HEAD_DIM + c * lanes);
            UNROLLED(32)
            for (int r = 0; r < BLOCK_ROWS; ++r) {
                UNROLLED(16)
                for (int c = 0; c < output_vectors; ++c) block[r][c] += weights[r * score_stride + key] * value[c];
            }
        }
        UNROLLED(32)
        for (int r = 0; r < BLOCK_ROWS; ++r) {
            float* output = local.output + (row + r) * HEAD_DIM + feature;
            UNROLLED(16)
            for (int c = 0; c < output_vectors; ++c) {
                store(output + c * lanes, load(output + c * lanes) * local.alpha[r] + block[r][c]);
            }
        }
    }

    template <typename Value>
    static INLINE Vector load_value(const Value* from) {
        if constexpr (value_packing == Packing::direct) {
            return load_elements(from);
        } else {
            return load(from);
        }
    }

    template <typename Value>
    static INLINE void prefetch(const Value* from, int count) {
        if constexpr (PREFETCH_DISTANCE > 0) {
            UNROLLED(16)
            for (int i = 0; i < count; i += 64 / int(sizeof(Value))) __builtin_prefetch(from + i);
        }
    }

    void finish() {
        Element* out = problem.out + (head * problem.queries + first_query) * HEAD_DIM;
        for (int row = 0; row < rows; ++row) {
            const float total = sum(load(local.sum_lanes + row * lanes));
            for (int d = 0; d < HEAD_DIM; d += lanes) {
                store_elements(out + row * HEAD_DIM + d, load(local.output + row * HEAD_DIM + d) / total);
            }
        }
    }
};

// ---------------------------------------------------------------------------------------------------- all tasks

// Called by every thread of the team; ends with a barrier.
void pack_shared(const Problem& problem, const Shared& shared) {
    const int64_t panels = problem.padded_keys() / BLOCK_COLS;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < problem.heads * panels; ++i) {
        const int64_t head = i / panels, key = i % panels * BLOCK_COLS;
        const int count = int(problem.keys - key < BLOCK_COLS ? problem.keys - key : BLOCK_COLS);
        const int64_t start = (head * problem.keys + key) * HEAD_DIM;
        if constexpr (key_packing == Packing::shared) {
            pack_keys(shared.keys + (head * problem.padded_keys() + key) * HEAD_DIM, problem.k + start, count);
        }
        if constexpr (value_packing == Packing::shared) {
            convert(shared.values + start, problem.v + start, count * HEAD_DIM);
        }
    }
}

int64_t floats_of_thread(const Problem& problem) {
    Arena counting{nullptr};
    Local counted(counting, problem);
    return counting.used;
}

int64_t floats_of_all(const Problem& problem) {
    Arena counting{nullptr};
    Shared counted(counting, problem);
    return counting.used + THREADS * floats_of_thread(problem);
}

void run_tasks(const Problem& problem, const Exponent& exponent, float* workspace) {
    Arena arena{workspace};
    const Shared shared(arena, problem);
    const int64_t tasks = problem.heads * problem.tiles(), floats = floats_of_thread(problem);
    int64_t next = 0;
#pragma omp parallel num_threads(THREADS)
    {
        const int64_t thread = omp_get_thread_num();
        Arena own{workspace + arena.used + thread * floats};
        Local local(own, problem);
        if constexpr (key_packing == Packing::shared || value_packing == Packing::shared) pack_shared(problem, shared);
        if constexpr (PERSISTENT) {
            for (int64_t i; (i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < tasks;) {
                Task(problem, shared, local, exponent, i).run();
            }
        } else {
            const int64_t team = omp_get_num_threads();
            for (int64_t i = tasks * thread / team; i < tasks * (thread + 1) / team; ++i) {
                Task(problem, shared, local, exponent, i).run();
            }
        }
    }
}

}  // namespace

// Bytes of workspace that a call with these sizes needs, wherever the workspace begins.
extern "C" int64_t attention_fwd_workspace_bytes(int64_t batch_heads, int64_t queries, int64_t keys) {
    const Problem problem{nullptr, nullptr, nullptr, nullptr, batch_heads, queries, keys, false};
    return (floats_of_all(problem) + widest) * int64_t(sizeof(float));
}

// q, out [batch_heads][queries][HEAD_DIM], k, v [batch_heads][keys][HEAD_DIM], contiguous; keys >= 1. With `causal`,
// query i sees keys 0 to i. Returns 0, or 1 for sizes that it does not take.
extern "C" int attention_fwd(const void* q, const void* k, const void* v, void* out, void* workspace,
                             int64_t batch_heads, int64_t queries, int64_t keys, float scale, int32_t causal) {
    if (batch_heads < 0 || queries < 0 || keys < 1 || keys > INT32_MAX / 2) return 1;
    const Problem problem{static_cast<const Element*>(q), static_cast<const Element*>(k),
                          static_cast<const Element*>(v), static_cast<Element*>(out),
                          batch_heads, queries, keys, causal != 0};
    const uintptr_t address = (reinterpret_cast<uintptr_t>(workspace) + 63) / 64 * 64;
    run_tasks(problem, Exponent(scale), reinterpret_cast<float*>(address));
    return 0;
}
