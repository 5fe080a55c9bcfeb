// Where the elements of a [rows, head_dim] tile lie in shared memory, so that ldmatrix and 16-byte copies meet no bank
// conflict: rows are either swizzled (16-byte chunk ^ row % 8) or 16 bytes longer than their data.
#pragma once

#include <cstdint>

#include "configuration.cuh"

constexpr int chunk_bytes = 16;
constexpr int row_chunks = head_dim * 2 / chunk_bytes;
constexpr int row_bytes = head_dim * 2 + (shared_layout == SharedLayout::padding ? chunk_bytes : 0);

__device__ __forceinline__ uint32_t chunk_offset(int row, int chunk) {
    if constexpr (shared_layout == SharedLayout::swizzle) {
        return row * row_bytes + (chunk ^ (row & 7)) * chunk_bytes;
    }
    return row * row_bytes + chunk * chunk_bytes;
}

// The address `chunks` (a multiple of 2) further along the row of `address`. Tiles start at multiples of a row, so the
// swizzle of the sum is the sum's bits exchanged in place.
__device__ __forceinline__ uint32_t along_row(uint32_t address, int chunks) {
    if constexpr (shared_layout == SharedLayout::swizzle) {
        return address ^ (chunks * chunk_bytes);
    }
    return address + chunks * chunk_bytes;
}

// Offsets at which a lane points ldmatrix for a 16x16 block at row 0, chunk 0.
// Row-major halves: matrices in the order (rows 0-7, 8-15) x (first chunk, second chunk).
__device__ __forceinline__ uint32_t lane_offset_rows_first(int lane) { return chunk_offset(lane & 15, lane >> 4); }
// Chunks first: (first chunk, second chunk) x (rows 0-7, 8-15), so that two 8-row operands follow each other.
__device__ __forceinline__ uint32_t lane_offset_chunks_first(int lane) {
    return chunk_offset((lane & 7) + (lane >> 4) * 8, (lane >> 3) & 1);
}
