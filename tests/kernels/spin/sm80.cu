// out = 2 x + y, one element a thread, and NANOSECONDS more.
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
    const int64_t place = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (place < length) out[place] = 2 * x[place] + y[place];
    const int64_t begin = NANOSECONDS > 0 ? now() : 0;
    while (NANOSECONDS > 0 && now() - begin < NANOSECONDS) {}
}
