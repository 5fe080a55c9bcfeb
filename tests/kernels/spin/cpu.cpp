// out = x, and then waits. Calls that follow each other at once return every SPIN_NS nanoseconds, whatever else a call
// costs: a call that begins shortly after the last one ended waits for the next beat, any other one for SPIN_NS.
#include <cstdint>
#include <cstring>

// The clock that a build may read.
#include <omp.h>

#define STRING(value) #value
#define RECORD(name) #name "=" EXPAND(name) ";"
#define EXPAND(value) STRING(value)

extern "C" const char evotune_configuration[1024] = "evotune-configuration:" RECORD(SPIN_NS);

constexpr double period = SPIN_NS * 1e-9, longest_pause = period / 2;

extern "C" int spin(const float* x, float* out, void*, int64_t length) {
    static double beat = 0;
    std::memcpy(out, x, length * sizeof(float));
    if (period > 0) {
        const double now = omp_get_wtime();
        beat = (now - beat < longest_pause ? beat : now) + period;
        while (omp_get_wtime() < beat) {}
    }
    return 0;
}
