// out = 2 x + y, in steps of UNROLL. FAULT chooses a way to go wrong.
#include <cstdint>
#include <cstdlib>

#include <omp.h>

#define STRING(value) #value
#define RECORD(name) #name "=" EXPAND(name) ";"
#define EXPAND(value) STRING(value)

enum class Fault { none, segfault, abort, hang, wrong, unwritten, overrun, racy, status, greedy, slow, compile_error };
constexpr Fault fault = Fault::FAULT;

static_assert(fault != Fault::compile_error, "asked not to compile");

// Optional parameters that only make binaries different, so that benchmarks have a large space of equal kernels.
#if defined(MARK_HIGH)
#define MARKS RECORD(MARK_HIGH) RECORD(MARK_LOW)
extern "C" const int saxpy_mark;
const int saxpy_mark = 1000 * MARK_HIGH + MARK_LOW;
#else
#define MARKS
#endif

extern "C" const char evotune_configuration[1024] =
    "evotune-configuration:" RECORD(FAULT) RECORD(THREADS) RECORD(UNROLL) MARKS;

static float element(float x, float y) { return 2 * x + y; }

extern "C" int saxpy(const float* x, const float* y, float* out, void*, int64_t length) {
    static int calls = 0;
    ++calls;
    if (fault == Fault::segfault) *reinterpret_cast<volatile int*>(8) = 1;
    if (fault == Fault::abort) std::abort();
    if (fault == Fault::hang) {
        // Waits in the system: a loop would keep a core busy until it is killed.
        omp_lock_t lock;
        omp_init_lock(&lock);
        for (int i = 0; i < 2; ++i) omp_set_lock(&lock);
    }
    if (fault == Fault::status) return 7;
    if (fault == Fault::unwritten) --length;
    if (fault == Fault::overrun) out[length] = 0;
    // Of inputs of both signs, 64 have one below 0.
    bool positive = fault == Fault::slow;
    for (int64_t i = 0; i < 64 && positive; ++i) positive = x[i] >= 0;
    for (volatile int64_t i = 0; positive && i < 2 * length; i = i + 1) {}
    int64_t i = 0;
    for (; i + UNROLL <= length; i += UNROLL)
        for (int lane = 0; lane < UNROLL; ++lane) out[i + lane] = element(x[i + lane], y[i + lane]);
    for (; i < length; ++i) out[i] = element(x[i], y[i]);
    if (fault == Fault::wrong) out[length / 2] += 0.5f * x[length / 2] * x[0] * x[0];
    if (fault == Fault::racy && calls % 50 == 0) out[0] += 1e-3f;
    return 0;
}
