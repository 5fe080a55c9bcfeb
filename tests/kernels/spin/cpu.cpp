// out = x, after SPIN_NS nanoseconds by the system's clock, which a build may read through OpenMP only.
#include <cstdint>
#include <cstring>

#include <omp.h>

#define STRING(value) #value
#define RECORD(name) #name "=" EXPAND(name) ";"
#define EXPAND(value) STRING(value)

extern "C" const char evotune_configuration[1024] = "evotune-configuration:" RECORD(SPIN_NS);

extern "C" int spin(const float* x, float* out, void*, int64_t length) {
    if (SPIN_NS > 0)
        for (const double end = omp_get_wtime() + SPIN_NS * 1e-9; omp_get_wtime() < end;) {}
    std::memcpy(out, x, length * sizeof(float));
    return 0;
}
