"""The timing protocol: interleaved blocks, and what their samples say."""
