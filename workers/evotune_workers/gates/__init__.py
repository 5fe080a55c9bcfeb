"""The gates that need a running build, one file each; `running` has them in the order in which they are applied.

A gate has two halves. `measure` runs in the killable child, beside untrusted code, and only returns figures; `judge`
runs in the measuring actor and decides. A figure that is missing, or NaN, fails: every comparison is written
`value <= limit`.

Nothing is imported here: who compiles or books needs a gate's results, not torch, which gates measure with.
"""
