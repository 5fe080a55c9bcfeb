// Fused attention forward for CPUs: out = softmax(scale * Q K^T) V, online over tiles of keys, FP32 accumulation.
//
// A task is TILE_M queries of one head. For each tile of TILE_N keys it computes scores from packed transposed keys
// with a register block of BLOCK_ROWS queries x BLOCK_COLS keys, exponentiates them in place, and adds their product
// with V with a register block of BLOCK_ROWS queries x OUTPUT_COLS features. Which thread runs a task changes nothing
// in its arithmetic, so the same input always gives the same bits. README.md beside this file explains the parameters.

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
    return (floats_of_all(problem) + widest_lanes) * int64_t(sizeof(float));
}

// q, out [batch_heads][queries][HEAD_DIM], k, v [batch_heads][keys][HEAD_DIM], contiguous; keys >= 1. With `causal`,
// query i sees keys 0 to i. Returns 0, or 1 for sizes that it does not take.
extern "C" int attention_fwd(const void* q, const void* k, const void* v, void* out, void* workspace,
                             int64_t batch_heads, int64_t queries, int64_t keys, float scale, int32_t causal) {
    if (batch_heads < 0 || queries < 0 || keys < 1 || keys > INT32_MAX / 2) return 1;
    const Problem problem{static_cast<const Element*>(q), static_cast<const Element*>(k),
                          static_cast<const Element*>(v), static_cast<Element*>(out),
                          batch_heads, queries, keys, causal != 0};
    constexpr uintptr_t alignment = widest_lanes * sizeof(float);
    const uintptr_t address = (reinterpret_cast<uintptr_t>(workspace) + alignment - 1) / alignment * alignment;
    run_tasks(problem, Exponent(scale), reinterpret_cast<float*>(address));
    return 0;
}
