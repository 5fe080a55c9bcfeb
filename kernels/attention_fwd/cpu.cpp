// Fused attention forward for CPUs: out = softmax(scale * Q K^T) V, online over tiles of keys, FP32 accumulation.
//
// A task is TILE_M queries of one head. For each tile of TILE_N keys it multiplies its queries with packed, transposed
// keys in register blocks of BLOCK_ROWS queries x BLOCK_COLS keys. It exponentiates the scores in place, and adds their
// product with V in register blocks of BLOCK_ROWS queries x OUTPUT_COLS features. The arithmetic of a task does not
// depend on its thread, so the same input always gives the same bits. README.md describes the parameters.

#include <omp.h>

#include "cpu_task.h"

#define TEXT_OF(value) #value
#define TEXT(macro) TEXT_OF(macro)
#define RECORD(macro) #macro "=" TEXT(macro) ";"

extern "C" {
extern const char evotune_configuration[1024];
const char evotune_configuration[1024] = "evotune-configuration:"  //
    RECORD(TILE_M) RECORD(TILE_N) RECORD(BLOCK_ROWS) RECORD(BLOCK_COLS) RECORD(OUTPUT_COLS) RECORD(THREADS)
    RECORD(KEY_PACKING) RECORD(VALUE_PACKING) RECORD(LOOP_ORDER) RECORD(PREFETCH_DISTANCE) RECORD(PERSISTENT)
    RECORD(UNROLL) RECORD(EXP_UNROLL) RECORD(FUSED_MAX) RECORD(HEAD_DIM) RECORD(ELEMENT_BITS);
}

namespace {

int64_t floats_per_thread(const Problem& problem) {
    Arena counting{nullptr};
    ThreadBuffers counted(counting, problem);
    return counting.used;
}

int64_t workspace_floats(const Problem& problem) {
    Arena counting{nullptr};
    SharedBuffers counted(counting, problem);
    return counting.used + THREADS * floats_per_thread(problem);
}

void run_tasks(const Problem& problem, const Exponential& exponential, float* workspace) {
    Arena arena{workspace};
    const SharedBuffers shared(arena, problem);
    const int64_t num_tasks = problem.num_heads * problem.query_tiles(), floats = floats_per_thread(problem);
    int64_t next_task = 0;
#pragma omp parallel num_threads(THREADS)
    {
        const int64_t thread_id = omp_get_thread_num();
        Arena thread_arena{workspace + arena.used + thread_id * floats};
        ThreadBuffers buffers(thread_arena, problem);
        if constexpr (key_packing == Packing::shared || value_packing == Packing::shared) pack_shared(problem, shared);
        if constexpr (PERSISTENT) {
            for (int64_t i; (i = __atomic_fetch_add(&next_task, 1, __ATOMIC_RELAXED)) < num_tasks;) {
                Task(problem, shared, buffers, exponential, i).run();
            }
        } else {
            const int64_t num_threads = omp_get_num_threads();
            for (int64_t i = num_tasks * thread_id / num_threads; i < num_tasks * (thread_id + 1) / num_threads; ++i) {
                Task(problem, shared, buffers, exponential, i).run();
            }
        }
    }
}

}  // namespace

// Return the bytes of workspace that a call with these sizes needs, for any alignment of the workspace.
extern "C" int64_t attention_fwd_workspace_bytes(int64_t batch_heads, int64_t num_queries, int64_t num_keys) {
    const Problem problem{nullptr, nullptr, nullptr, nullptr, batch_heads, num_queries, num_keys, false};
    return (workspace_floats(problem) + widest_lanes) * int64_t(sizeof(float));
}

// q, out: [batch_heads][num_queries][HEAD_DIM]; k, v: [batch_heads][num_keys][HEAD_DIM]; contiguous; num_keys >= 1.
// With `causal`, query i sees keys 0 to i. Returns 0, or 1 for sizes that it does not support.
extern "C" int attention_fwd(const void* q, const void* k, const void* v, void* out, void* workspace,
                             int64_t batch_heads, int64_t num_queries, int64_t num_keys, float scale, int32_t causal) {
    if (batch_heads < 0 || num_queries < 0 || num_keys < 1 || num_keys > INT32_MAX / 2) return 1;
    const Problem problem{static_cast<const Element*>(q), static_cast<const Element*>(k),
                          static_cast<const Element*>(v), static_cast<Element*>(out),
                          batch_heads, num_queries, num_keys, causal != 0};
    constexpr uintptr_t alignment = widest_lanes * sizeof(float);
    const uintptr_t address = (reinterpret_cast<uintptr_t>(workspace) + alignment - 1) / alignment * alignment;
    run_tasks(problem, Exponential(scale), reinterpret_cast<float*>(address));
    return 0;
}
