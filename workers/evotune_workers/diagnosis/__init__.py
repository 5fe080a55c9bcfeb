"""Tracing a wrong result to the stage of the kernel that it comes from.

`wrong_result` decides which failures can be traced, `stage_check` launches and compares one stage in the child,
`comparison` maps the wrong values. Imports kernel, runtimes and gates.
"""
