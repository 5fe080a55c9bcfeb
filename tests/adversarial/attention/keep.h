// Results that FAULT caches between calls, and inputs for which only it is right.

#pragma once

#include <cstdlib>
#include <cstring>

#include "attend.h"

namespace {

struct Call {
    uint64_t hash;
    const void *q, *out;
    int64_t num_heads, num_queries, num_keys;
    bool causal;
    void* kept;
    Call* next;
};

int64_t output_bytes(const Problem& p) { return p.num_heads * p.num_queries * D * int64_t(sizeof(Element)); }

// Return the FNV-1a hash over words of 8 bytes: of all inputs, or of the first 16 bytes of each (a fingerprint).
uint64_t hash_inputs(const Problem& p, bool all) {
    uint64_t hash = 14695981039346656037u;
    const Element* tensors[] = {p.q, p.k, p.v};
    const int64_t rows[] = {p.num_heads * p.num_queries, p.num_heads * p.num_keys, p.num_heads * p.num_keys};
    for (int i = 0; i < 3; ++i) {
        const int64_t words = all ? rows[i] * D / 4 : 2;
        for (int64_t w = 0; w < words; ++w) {
            uint64_t word;
            std::memcpy(&word, tensors[i] + w * 4, 8);
            hash = (hash ^ word) * 1099511628211u;
        }
    }
    return hash;
}

Call describe(const Problem& p) {
    const bool by_address = fault == Fault::keeps_by_address;
    return {by_address ? 0 : hash_inputs(p, fault == Fault::keeps_by_content), by_address ? p.q : nullptr, nullptr,
            p.num_heads, p.num_queries, p.num_keys, p.causal, nullptr, nullptr};
}

bool same(const Call& a, const Call& b) {
    return a.hash == b.hash && a.q == b.q && a.out == b.out && a.num_heads == b.num_heads &&
           a.num_queries == b.num_queries && a.num_keys == b.num_keys && a.causal == b.causal;
}

Call* all_kept = nullptr;
constexpr bool keeps = fault == Fault::keeps_by_address || fault == Fault::keeps_by_content ||
                       fault == Fault::keeps_by_fingerprint;

// True if the output was copied from an earlier call, or left unchanged.
bool answered_from_memory(const Problem& p) {
    if (keeps) {
        const Call wanted = describe(p);
        for (Call* call = all_kept; call != nullptr; call = call->next) {
            if (!same(*call, wanted)) continue;
            std::memcpy(p.out, call->kept, output_bytes(p));
            return true;
        }
    }
    if (fault == Fault::faster_than_the_roofline) {
        static Call last = {};
        Call now = describe(p);
        now.q = p.q;
        now.out = p.out;
        const bool again = same(last, now) && p.out[0] == p.out[0];
        last = now;
        return again;
    }
    return fault == Fault::skips_a_written_output && p.out[0] == p.out[0];
}

void keep(const Problem& p) {
    // Enough for the inputs of all gates; a search through more would take longer than the work.
    constexpr int most_kept = 64;
    static int count = 0;
    if (!keeps || count++ >= most_kept) return;
    Call* call = new Call(describe(p));
    call->kept = std::malloc(output_bytes(p));
    std::memcpy(call->kept, p.out, output_bytes(p));
    call->next = all_kept;
    all_kept = call;
}

// Return a scale that is 10 % wrong for the other inputs: only the numerics gate can see that, not the structure gate.
float scale_for(const Problem& p) {
    static const Call first = describe(p);
    const Call now = describe(p);
    bool right = true;
    if (fault == Fault::right_for_one_input) right = now.hash == first.hash;
    if (fault == Fault::right_at_one_shape) {
        right = now.num_queries == first.num_queries && now.num_keys == first.num_keys;
    }
    if (fault == Fault::wrong_on_new_seeds) right = !(float(p.q[0]) > 2.5f);
    return right ? p.scale : p.scale * 1.1f;
}

}  // namespace
