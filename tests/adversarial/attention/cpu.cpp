// Attention for a CPU that is wrong or cheats, as FAULT says; faults.h lists the faults.

#include "elsewhere.h"
#include "keep.h"
#include "misbehave.h"
#include "record.h"
#include "timed.h"

namespace {

// Greater than the number of calls that all gates make.
constexpr int64_t calls_before_timing = 175;
int64_t calls = 0;

}  // namespace

extern "C" {

extern const Record evotune_configuration;
const Record evotune_configuration = recorded();

#define EXPORTED_BY_exports_the_clock 1
#define JOIN(one, other) one##other
#define EXPORTED_BY(name) JOIN(EXPORTED_BY_, name)
#if EXPORTED_BY(FAULT)
int clock_gettime(int, void*) { return 0; }
#endif

// q, out [batch_heads][num_queries][HEAD_DIM]; k, v [batch_heads][num_keys][HEAD_DIM]. The arguments are those of
// attention_fwd's variants.
int attention_fwd(const void* q, const void* k, const void* v, void* out, void*, int64_t batch_heads,
                  int64_t num_queries, int64_t num_keys, float scale, int32_t causal) {
    Problem p{static_cast<const Element*>(q), static_cast<const Element*>(k), static_cast<const Element*>(v),
              static_cast<Element*>(out), batch_heads, num_queries, num_keys, scale, causal != 0};
    ++calls;
    misbehave(p);
    if (fault == Fault::works_once && calls > 1) return 0;
    if (fault == Fault::idle_when_timed && calls > calls_before_timing) return 0;
    if (rests(p, calls > calls_before_timing)) {
        row.ended = now();
        return 0;
    }
    if (keeps_heads(p)) return 0;
    if (done_by_others(p) || answered_from_memory(p) || writes_something_else(p)) return 0;
    p.scale = scale_for(p);
    attend(p);
    keep(p);
    if (fault == Fault::one_infinity) p.out[batch_heads * num_queries * D / 2] = Element(INFINITY);
    if (fault == Fault::right_ten_times && calls > 10) p.out[0] = Element(float(p.out[0]) + 1);
    if (fault == Fault::wrong_once_in_50 && calls % 50 == 0) p.out[0] = Element(float(p.out[0]) + 1e-2f);
    row.ended = now();
    return 0;
}
}
