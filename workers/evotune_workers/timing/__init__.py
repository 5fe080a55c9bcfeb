"""The timing protocol: interleaved blocks, and the statistics of their samples.

`stopwatch` is the interface that runtimes implement, `protocol` decides how long to measure, `summary` makes the
timing that is stored. Imports kernel.
"""
