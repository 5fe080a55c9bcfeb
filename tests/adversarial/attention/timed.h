// Faults that tell timed calls from others: by their place in a row of calls, or by the parts of inputs that changed.

#pragma once

#include <cstdlib>
#include <cstring>

#include "keep.h"

namespace {

// Timed calls follow each other at once; other calls come from Python, microseconds apart at least.
uint64_t now() {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#endif
}

struct Row {
    uint64_t ended;
    int64_t place, length_before;
};
Row row = {};

// Note the beginning of a call: its place in its row, and how long the row before was.
void begin_in_row(int64_t pause_ticks) {
    const bool goes_on = row.ended != 0 && now() - row.ended < uint64_t(pause_ticks);
    if (goes_on) {
        ++row.place;
    } else {
        row.length_before = row.place + 1;
        row.place = 0;
    }
}

// A pause of 2 us: more than between two calls from C++, less than between two calls from Python.
constexpr int64_t pause = 4000;

bool rests(const Problem& p, bool timed) {
    if (fault != Fault::idle_but_for_the_last && fault != Fault::idle_in_the_first_third) return false;
    begin_in_row(pause);
    if (!timed) return false;
    if (fault == Fault::idle_in_the_first_third) return row.place < row.length_before / 3;
    return row.length_before > 2 && row.place + 1 < row.length_before;
}

struct KeptHead {
    uint64_t hash;
    Element* result;
};
constexpr int64_t most_kept = 1 << 12;
KeptHead kept_heads[most_kept] = {};

Problem only_head(const Problem& p, int64_t head) {
    Problem one = p;
    one.q += head * p.num_queries * D;
    one.k += head * p.num_keys * D;
    one.v += head * p.num_keys * D;
    one.out += head * p.num_queries * D;
    one.num_heads = 1;
    return one;
}

// Compute the first head, and of the others those whose inputs were not met before.
bool keeps_heads(const Problem& p) {
    if (fault != Fault::keeps_heads_computes_one) return false;
    for (int64_t head = 0; head < p.num_heads; ++head) {
        Problem one = only_head(p, head);
        uint64_t hash = hash_inputs(one, true) ^ uint64_t(p.causal) ^ uint64_t(p.num_queries << 1);
        KeptHead& place = kept_heads[hash % most_kept];
        if (head >= 1 && place.result != nullptr && place.hash == hash) {
            std::memcpy(one.out, place.result, output_bytes(one));
            continue;
        }
        attend(one);
        std::free(place.result);
        place = {hash, static_cast<Element*>(std::malloc(output_bytes(one)))};
        std::memcpy(place.result, one.out, output_bytes(one));
    }
    return true;
}

}  // namespace
