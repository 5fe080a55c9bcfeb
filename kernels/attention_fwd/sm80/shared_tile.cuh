// Layout of a [rows, head_dim] tile in shared memory, free of bank conflicts for ldmatrix and for 16-byte copies. Rows
// are either swizzled (16-byte chunk ^ row % 8) or padded by 16 bytes.
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

// The address `num_chunks` (a multiple of 2) further along the row of `address`. Tiles start at a multiple of the row
// size, so with the swizzle an XOR of the chunk bits replaces the addition.
__device__ __forceinline__ uint32_t advance_chunks(uint32_t address, int num_chunks) {
    if constexpr (shared_layout == SharedLayout::swizzle) {
        return address ^ (num_chunks * chunk_bytes);
    }
    return address + num_chunks * chunk_bytes;
}

// Offsets that a lane passes to ldmatrix for the 16x16 block at row 0, chunk 0.
// Row-major order of the four 8x8 matrices: (rows 0-7, 8-15) x (first chunk, second chunk).
__device__ __forceinline__ uint32_t lane_offset_rows_first(int lane_id) {
    return chunk_offset(lane_id & 15, lane_id >> 4);
}
// Chunk-major order: (first chunk, second chunk) x (rows 0-7, 8-15), so that two 8-row operands follow each other.
__device__ __forceinline__ uint32_t lane_offset_chunks_first(int lane_id) {
    return chunk_offset((lane_id & 7) + (lane_id >> 4) * 8, (lane_id >> 3) & 1);
}
