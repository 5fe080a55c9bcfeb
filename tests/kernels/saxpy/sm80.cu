// out = 2 x + y, UNROLL elements per thread. FAULT chooses a way to go wrong.
#include <cstdint>

#define STRING(value) #value
#define RECORD(name) #name "=" EXPAND(name) ";"
#define EXPAND(value) STRING(value)

enum class Fault { none, illegal_address, trap, hang, wrong, unwritten, overrun, overread, racy, greedy, compile_error };
constexpr Fault fault = Fault::FAULT;

static_assert(fault != Fault::compile_error, "asked not to compile");

extern "C" __device__ const char evotune_configuration[1024] =
    "evotune-configuration:" RECORD(FAULT) RECORD(THREADS) RECORD(UNROLL);

__device__ int launches = 0;

extern "C" __global__ void __launch_bounds__(THREADS)
saxpy(const float* x, const float* y, float* out, void*, int64_t length) {
    const int64_t first = int64_t(blockIdx.x) * THREADS * UNROLL + threadIdx.x;
    const bool leader = blockIdx.x == 0 && threadIdx.x == 0;
    if (fault == Fault::illegal_address && leader) *reinterpret_cast<volatile int*>(8) = 1;
    if (fault == Fault::trap && leader) __trap();
    if (fault == Fault::hang) while (*const_cast<volatile int*>(&launches) >= 0) __nanosleep(1000);
    if (fault == Fault::unwritten) --length;
    if (fault == Fault::overrun && leader) out[length] = 0;
    const float past_end = fault == Fault::overread ? 1e-30f * x[length] : 0.0f;
    for (int i = 0; i < UNROLL; ++i) {
        const int64_t index = first + i * THREADS;
        if (index < length) out[index] = 2 * x[index] + y[index] + past_end;
        if (fault == Fault::wrong && index == length / 2) out[index] += 0.5f * x[index] * x[0] * x[0];
    }
    if (fault == Fault::racy && leader && atomicAdd(&launches, 1) % 50 == 49) out[0] += 1e-3f;
}
