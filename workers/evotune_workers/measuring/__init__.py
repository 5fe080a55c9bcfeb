"""One job on one device, from start to end.

`measurer` is the entry: it waits for the device by `device_policy` and runs a job of `jobs` in `trial`, `confirm`,
`diagnose` or `compare`. These drive the child by `child_session` and `timing_session`. Imports child and the stages.
"""
