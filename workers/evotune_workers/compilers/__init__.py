"""From sources, configuration and target to a binary with its resource report.

`builder` compiles a configuration, `cpp` and `nvcc` are the compilers, `cache` stores their builds. Imports `kernel`
and `system`. The stages stand above each other in this order: compilers, timing, runtimes, gates, diagnosis; certify
uses compilers and runtimes. Each imports only those before it.
"""
