// out = x. A call returns SPIN_NS nanoseconds after it started.
#include <algorithm>
#include <cstdint>
#include <cstring>

// Declares the only clock that a build may read.
#include <omp.h>

#define STRING(value) #value
#define RECORD(name) #name "=" EXPAND(name) ";"
#define EXPAND(value) STRING(value)

extern "C" const char evotune_configuration[1024] = "evotune-configuration:" RECORD(SPIN_NS);

// Return the seconds that a clock reading takes: the fastest of several rounds.
static double reading_seconds() {
    constexpr int rounds = 20, readings = 1000;
    double fastest = 1;
    for (int round = 0; round < rounds; ++round) {
        const double start = omp_get_wtime();
        for (int i = 1; i < readings; ++i) omp_get_wtime();
        fastest = std::min(fastest, (omp_get_wtime() - start) / readings);
    }
    return fastest;
}

extern "C" int spin(const float* x, float* out, void*, int64_t length) {
    if (SPIN_NS == 0) {
        std::memcpy(out, x, length * sizeof(float));
        return 0;
    }
    // A reading returns the time at its middle. Half a reading has passed at the first, and one more follows the last.
    static const double reading = reading_seconds();
    const double end = omp_get_wtime() + SPIN_NS * 1e-9 - reading / 2;
    std::memcpy(out, x, length * sizeof(float));
    while (omp_get_wtime() + reading < end) {}
    return 0;
}
