// Work that FAULT delegates to the baseline, to Python, to a thread or to a file. It never runs, because a build that
// uses such functions is refused before it is loaded.

#pragma once

#include "attend.h"

extern "C" {
int aoti_torch_cpu__scaled_dot_product_flash_attention_for_cpu(const void*, const void*, const void*, void*);
int PyRun_SimpleString(const char*);
void* dlsym(void*, const char*);
void* fopen(const char*, const char*);
int pthread_create(unsigned long*, const void*, void* (*)(void*), void*);
}

namespace {

// Stops the clock when the library is loaded.
struct AtLoading {
    AtLoading() {
        if constexpr (fault == Fault::calls_python) PyRun_SimpleString("import time; time.perf_counter_ns = lambda: 0");
    }
} at_loading;

Problem pending;

void* work_later(void*) {
    attend(pending);
    return nullptr;
}

bool done_by_others(const Problem& p) {
    if constexpr (fault == Fault::calls_the_baseline) {
        return aoti_torch_cpu__scaled_dot_product_flash_attention_for_cpu(p.q, p.k, p.v, p.out) == 0;
    }
    if constexpr (fault == Fault::looks_symbols_up) return dlsym(nullptr, "scaled_dot_product_attention") != nullptr;
    if constexpr (fault == Fault::result_of_an_earlier_trial) return fopen("/tmp/result", "rb") != nullptr;
    if constexpr (fault == Fault::leaves_a_thread) {
        pending = p;
        unsigned long thread;
        return pthread_create(&thread, nullptr, work_later, nullptr) == 0;
    }
    return false;
}

}  // namespace
