// out = 2 x + y, and NANOSECONDS more.
#include <cstdint>

#include <omp.h>

#define STRING(value) #value
#define EXPAND(value) STRING(value)

extern "C" const char evotune_configuration[1024] = "evotune-configuration:NANOSECONDS=" EXPAND(NANOSECONDS) ";";

extern "C" int spin(const float* x, const float* y, float* out, void*, int64_t length) {
    for (int64_t i = 0; i < length; ++i) out[i] = 2 * x[i] + y[i];
    const double begin = omp_get_wtime();
    while (omp_get_wtime() - begin < NANOSECONDS * 1e-9) {}
    return 0;
}
