"""Loading and launching builds, and stopwatches that time them, for each kind of device.

`select` picks the runtime and the stopwatch for a target. Imports kernel, system, compilers and timing.
"""
