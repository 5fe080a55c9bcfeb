// Work that FAULT delegates. A cubin is compiled alone: it cannot launch kernels, or call functions that it lacks. Only
// sm80.cu includes this file.

#pragma once

#define CHOSEN_more_kernels 1
#define CHOSEN_calls_the_baseline 2
#define JOIN(one, other) one##other
#define CHOSEN(name) JOIN(CHOSEN_, name)

#if CHOSEN(FAULT) == 1

__global__ void second_kernel(half* out) { out[threadIdx.x] = half(0.0f); }
__device__ void delegate(const Problem& p) { second_kernel<<<1, D>>>(p.out); }

#elif CHOSEN(FAULT) == 2

extern "C" __device__ void flash_attention(const half* q, const half* k, const half* v, half* out);
__device__ void delegate(const Problem& p) { flash_attention(p.q, p.k, p.v, p.out); }

#else

__device__ void delegate(const Problem&) {}

#endif
