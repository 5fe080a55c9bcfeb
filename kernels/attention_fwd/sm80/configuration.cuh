// Compile-time configuration: each parameter arrives as a macro, is checked here once, and is recorded in the binary.
// No parameter has a default.
#pragma once

#if !defined(TILE_M) || !defined(TILE_N) || !defined(COMPUTE_WARPS) || !defined(KV_WARPS) ||                          \
    !defined(PREFETCH_WARPS) || !defined(STAGES) || !defined(STEP_N) || !defined(OVERLAP_SCORES) ||                   \
    !defined(PERSISTENT) || !defined(SPLIT_KV) || !defined(SPLIT_MERGE) || !defined(Q_IN_REGISTERS) ||                \
    !defined(SHARED_LAYOUT) || !defined(MIN_BLOCKS) || !defined(L2_POLICY) || !defined(KEY_ORDER) ||                  \
    !defined(RESCALE) || !defined(ROW_SUM) || !defined(POLYNOMIAL_EXP) || !defined(MERGE_MEMORY) ||                   \
    !defined(HEAD_DIM) || !defined(ELEMENT) || !defined(STRIDED)
#error "every parameter must be defined: TILE_M TILE_N COMPUTE_WARPS KV_WARPS PREFETCH_WARPS STAGES STEP_N \
OVERLAP_SCORES PERSISTENT SPLIT_KV SPLIT_MERGE Q_IN_REGISTERS SHARED_LAYOUT MIN_BLOCKS L2_POLICY KEY_ORDER RESCALE \
ROW_SUM POLYNOMIAL_EXP MERGE_MEMORY HEAD_DIM ELEMENT STRIDED"
#endif

enum class Element { float16, bfloat16 };
enum class SplitMerge { workspace, cluster };
enum class MergeMemory { tiles, apart };
enum class SharedLayout { swizzle, padding };
enum class L2Policy { none, evict_last };
enum class KeyOrder { forward, reverse };
enum class Rescale { always, on_growth };
enum class RowSum { scalar, tensor };

constexpr Element element = Element::ELEMENT;
constexpr SplitMerge split_merge = SplitMerge::SPLIT_MERGE;
constexpr MergeMemory merge_memory = MergeMemory::MERGE_MEMORY;
constexpr SharedLayout shared_layout = SharedLayout::SHARED_LAYOUT;
constexpr L2Policy l2_policy = L2Policy::L2_POLICY;
constexpr KeyOrder key_order = KeyOrder::KEY_ORDER;
constexpr Rescale rescale = Rescale::RESCALE;
constexpr RowSum row_sum = RowSum::ROW_SUM;

constexpr int tile_m = TILE_M;
constexpr int tile_n = TILE_N;
constexpr int compute_warps = COMPUTE_WARPS;
constexpr int kv_warps = KV_WARPS;
constexpr int prefetch_warps = PREFETCH_WARPS;
constexpr int num_stages = STAGES;
constexpr int step_n = STEP_N;
constexpr bool overlap_scores = OVERLAP_SCORES;
constexpr bool persistent = PERSISTENT;
constexpr int split_kv = SPLIT_KV;
constexpr bool q_in_registers = Q_IN_REGISTERS;
constexpr int min_ctas = MIN_BLOCKS;
constexpr int polynomial_exp = POLYNOMIAL_EXP;  // how many of 4 exponentials run on the FMA unit
constexpr int head_dim = HEAD_DIM;
constexpr bool strided = STRIDED;  // the strides of q, k, v and out are arguments of the call

// The compute warps form kv_warps KV groups of row_warps warps. A group multiplies its own keys of each KV tile; its
// warps divide the rows of the query tile.
constexpr int row_warps = compute_warps / kv_warps;
constexpr int row_fragments = tile_m / (16 * row_warps);  // 16-row fragments per warp
constexpr int keys_per_warp = tile_n / kv_warps;          // keys of a KV tile that one warp multiplies
constexpr int steps_per_tile = keys_per_warp / step_n;    // online-softmax steps of a warp in one KV tile
constexpr int key_fragments = step_n / 8;                 // 8-key columns of a warp's scores
constexpr int depth_steps = head_dim / 16;                // mma steps along the head dimension
constexpr int value_fragments = head_dim / 8;             // 8-feature columns of a warp's output
constexpr int compute_threads = 32 * compute_warps;
constexpr int num_threads = 32 * (compute_warps + prefetch_warps);
constexpr bool cluster_merge = split_kv > 1 && split_merge == SplitMerge::cluster;
constexpr bool workspace_merge = split_kv > 1 && split_merge == SplitMerge::workspace;

static_assert(head_dim == 64 || head_dim == 128, "HEAD_DIM must be 64 or 128");
static_assert(compute_warps % kv_warps == 0, "COMPUTE_WARPS must be a multiple of KV_WARPS");
static_assert(tile_m % (16 * row_warps) == 0, "TILE_M must be a multiple of 16 * COMPUTE_WARPS / KV_WARPS");
static_assert(tile_n % (16 * kv_warps) == 0, "TILE_N must be a multiple of 16 * KV_WARPS");
static_assert(step_n % 16 == 0 && keys_per_warp % step_n == 0,
              "STEP_N must be a multiple of 16 that divides TILE_N / KV_WARPS");
static_assert(kv_warps <= 8, "KV_WARPS must be at most 8: each KV group has a named barrier");
static_assert(num_threads <= 1024, "32 * (COMPUTE_WARPS + PREFETCH_WARPS) must be at most 1024");
static_assert(num_stages >= 2 || (steps_per_tile == 1 && !overlap_scores),
              "STAGES must be at least 2 with OVERLAP_SCORES or with STEP_N < TILE_N / KV_WARPS");
static_assert(merge_memory == MergeMemory::tiles || kv_warps > 1 || cluster_merge,
              "MERGE_MEMORY must be tiles where nothing is merged on chip");
static_assert(polynomial_exp >= 0 && polynomial_exp <= 4, "POLYNOMIAL_EXP must be 0 to 4");
static_assert(split_kv > 1 || split_merge == SplitMerge::workspace,
              "SPLIT_MERGE must be workspace where SPLIT_KV is 1");
static_assert(!cluster_merge || !persistent || prefetch_warps == 0,
              "SPLIT_MERGE=cluster with PREFETCH_WARPS needs PERSISTENT=0: the cluster barrier counts producers that "
              "have not exited");

#define EVOTUNE_TEXT_(value) #value
#define EVOTUNE_VALUE(name) EVOTUNE_TEXT_(name)

// The identity gate reads this text back. It is made from the macros that the code above uses.
extern "C" __device__ const char evotune_configuration[1024] =
    "evotune-configuration:"
    "TILE_M=" EVOTUNE_VALUE(TILE_M) ";TILE_N=" EVOTUNE_VALUE(TILE_N) ";COMPUTE_WARPS=" EVOTUNE_VALUE(COMPUTE_WARPS)
    ";KV_WARPS=" EVOTUNE_VALUE(KV_WARPS) ";PREFETCH_WARPS=" EVOTUNE_VALUE(PREFETCH_WARPS)
    ";STAGES=" EVOTUNE_VALUE(STAGES) ";STEP_N=" EVOTUNE_VALUE(STEP_N) ";OVERLAP_SCORES=" EVOTUNE_VALUE(OVERLAP_SCORES)
    ";PERSISTENT=" EVOTUNE_VALUE(PERSISTENT) ";SPLIT_KV=" EVOTUNE_VALUE(SPLIT_KV)
    ";SPLIT_MERGE=" EVOTUNE_VALUE(SPLIT_MERGE) ";Q_IN_REGISTERS=" EVOTUNE_VALUE(Q_IN_REGISTERS)
    ";SHARED_LAYOUT=" EVOTUNE_VALUE(SHARED_LAYOUT) ";MIN_BLOCKS=" EVOTUNE_VALUE(MIN_BLOCKS)
    ";L2_POLICY=" EVOTUNE_VALUE(L2_POLICY) ";KEY_ORDER=" EVOTUNE_VALUE(KEY_ORDER) ";RESCALE=" EVOTUNE_VALUE(RESCALE)
    ";ROW_SUM=" EVOTUNE_VALUE(ROW_SUM) ";POLYNOMIAL_EXP=" EVOTUNE_VALUE(POLYNOMIAL_EXP)
    ";MERGE_MEMORY=" EVOTUNE_VALUE(MERGE_MEMORY)
    ";HEAD_DIM=" EVOTUNE_VALUE(HEAD_DIM) ";ELEMENT=" EVOTUNE_VALUE(ELEMENT) ";STRIDED=" EVOTUNE_VALUE(STRIDED) ";";
