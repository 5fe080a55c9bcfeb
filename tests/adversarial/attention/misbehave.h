// Effects of FAULT on the process, on memory and on other libraries.

#pragma once

#include <omp.h>

#include <cstring>
#include <new>

#include "attend.h"

namespace {

[[maybe_unused]] void deadlock() {
    // Producer and consumer wait for each other.
    omp_lock_t full, empty;
    omp_init_lock(&full);
    omp_init_lock(&empty);
    omp_set_lock(&full);
    omp_set_lock(&empty);
#pragma omp parallel sections num_threads(2)
    {
#pragma omp section
        {
            omp_set_lock(&empty);
            omp_unset_lock(&full);
        }
#pragma omp section
        {
            omp_set_lock(&full);
            omp_unset_lock(&empty);
        }
    }
}

// A system call, because a build that uses the C library's exit is refused before it is loaded.
[[maybe_unused]] void exit_with_success() {
#if defined(__x86_64__)
    asm volatile("syscall" : : "a"(231), "D"(0) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long number asm("x8") = 94;
    register long status asm("x0") = 0;
    asm volatile("svc 0" : : "r"(number), "r"(status) : "memory");
#endif
}

void* volatile allocated = nullptr;

void misbehave(const Problem& p) {
    volatile int sink = 0;
    if (fault == Fault::deadlock) deadlock();
    if (fault == Fault::endless_loop) while (sink == 0) {}
    if (fault == Fault::crash) *reinterpret_cast<volatile int*>(8) = 1;
    if (fault == Fault::allocates_an_exabyte) allocated = ::operator new(size_t(1) << 60);
    if (fault == Fault::exits) exit_with_success();
    const int64_t outputs = p.num_heads * p.num_queries * D, keys = p.num_heads * p.num_keys * D;
    if (fault == Fault::writes_past_the_output) std::memset(p.out + outputs, 0, 16);
    if (fault == Fault::reads_past_k) sink = reinterpret_cast<const volatile char*>(p.k + keys)[15];
    if (fault == Fault::overwrites_q) std::memset(const_cast<Element*>(p.q), 0, 16);
}

// True if an output was written that is not attention.
bool writes_something_else(const Problem& p) {
    const int64_t size = p.num_heads * p.num_queries * D;
    const Element nan = Element(NAN);
    if (fault == Fault::writes_nan) for (int64_t i = 0; i < size; ++i) p.out[i] = nan;
    if (fault == Fault::constant) for (int64_t i = 0; i < size; ++i) p.out[i] = Element(0.5f);
    for (int64_t i = 0; i < size; ++i) {
        const int64_t head = i / (p.num_queries * D), query = i / D % p.num_queries, d = i % D;
        const Element* v = p.v + head * p.num_keys * D + d;
        if (fault == Fault::copies_v) p.out[i] = v[query % p.num_keys * D];
        if (fault == Fault::mean_of_v) {
            float sum = 0;
            for (int64_t key = 0; key < p.num_keys; ++key) sum += float(v[key * D]);
            p.out[i] = Element(sum / p.num_keys);
        }
    }
    return fault == Fault::writes_nothing || fault == Fault::writes_nan || fault == Fault::constant ||
           fault == Fault::copies_v || fault == Fault::mean_of_v;
}

}  // namespace
