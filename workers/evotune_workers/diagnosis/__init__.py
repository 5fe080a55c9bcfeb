"""Tracing a wrong result to the stage of the kernel that it comes from."""
