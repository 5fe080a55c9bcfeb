"""Workers that only take time, for virtual_workers.py: a clock, and a cluster in the place of Ray's.

durations.json holds what two searches recorded, trial by trial: seconds of the build, seconds of the measurement, the
gate that it failed at, the speed-up, and whether its timing was stopped early.
"""
