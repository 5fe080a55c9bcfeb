"""The killable child process, in which untrusted builds are loaded, launched and timed.

`sandbox` is the parent's side, `process` one process, `messages` what they exchange, `main` the child's own loop.
Imports the stages of evaluation, kernel and system.
"""
