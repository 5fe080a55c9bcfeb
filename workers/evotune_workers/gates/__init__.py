"""The gates that a build must pass, one file each; `running` lists those that launch it, in their order.

A gate has two halves. `measure` runs in the killable child, beside untrusted code, and only returns figures. `judge`
runs in the measuring actor and decides. A figure that is missing, or NaN, fails: every comparison is written
`value <= limit`.

Imports kernel, compilers and runtimes. This file itself imports nothing: builders and the recorder need gate results,
but not torch, with which gates measure.
"""
