"""The killable child process, in which untrusted builds are loaded, launched and timed.

`sandbox` is the parent's side and `process` one process; `forking` and `fork_server` start it, `messages` are what both
sides exchange, `main` is the child's own loop. Imports the stages of evaluation, kernel and system.
"""
