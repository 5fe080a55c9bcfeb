// out = x, and returns SPIN_NS nanoseconds after it was called.
#include <algorithm>
#include <cstdint>
#include <cstring>

// The clock that a build may read.
#include <omp.h>

#define STRING(value) #value
#define RECORD(name) #name "=" EXPAND(name) ";"
#define EXPAND(value) STRING(value)

extern "C" const char evotune_configuration[1024] = "evotune-configuration:" RECORD(SPIN_NS);

// Seconds that it takes to read the clock: of several rounds the fastest.
static double reading_seconds() {
    constexpr int rounds = 20, readings = 1000;
    double fastest = 1;
    for (int round = 0; round < rounds; ++round) {
        const double begun = omp_get_wtime();
        for (int i = 1; i < readings; ++i) omp_get_wtime();
        fastest = std::min(fastest, (omp_get_wtime() - begun) / readings);
    }
    return fastest;
}

extern "C" int spin(const float* x, float* out, void*, int64_t length) {
    if (SPIN_NS == 0) {
        std::memcpy(out, x, length * sizeof(float));
        return 0;
    }
    // A time is that of a reading's middle: half of one has gone by at the first, another one follows the last.
    static const double reading = reading_seconds();
    const double end = omp_get_wtime() + SPIN_NS * 1e-9 - reading / 2;
    std::memcpy(out, x, length * sizeof(float));
    while (omp_get_wtime() + reading < end) {}
    return 0;
}
