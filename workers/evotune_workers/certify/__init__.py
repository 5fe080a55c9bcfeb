"""Certifying a build by NVIDIA's own tools: sanitizers and hardware counters.

`certifier` runs them, `sanitizer` and `ncu` read their output, `target` is the program that they observe. Imports
kernel, system, compilers and runtimes.
"""
