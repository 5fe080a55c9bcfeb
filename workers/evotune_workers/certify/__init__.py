"""Certifying a build: sanitizers and hardware counters, by NVIDIA's own tools."""
