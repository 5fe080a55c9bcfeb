// out = 2 x + y, one element a thread, at an end NANOSECONDS after the beginning.
#include <cstdint>

#define STRING(value) #value
#define EXPAND(value) STRING(value)

extern "C" __device__ const char evotune_configuration[1024] = "evotune-configuration:NANOSECONDS=" EXPAND(NANOSECONDS) ";";

static __device__ int64_t now() {
    int64_t time;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time) :: "memory");
    return time;
}

extern "C" __global__ void spin(const float* x, const float* y, float* out, void*, int64_t length) {
    const int64_t begin = NANOSECONDS > 0 ? now() : 0;
    if (threadIdx.x < length) out[threadIdx.x] = 2 * x[threadIdx.x] + y[threadIdx.x];
    while (NANOSECONDS > 0 && now() - begin < NANOSECONDS) {}
}
