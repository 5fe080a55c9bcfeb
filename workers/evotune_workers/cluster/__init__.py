"""Ray: the nodes of a cluster and the workers on them.

`cluster` is what a search holds: it builds by `build_task` and submits jobs to workers of the `worker_pool`, each a
`node_worker` actor with a device of its own. `local` runs the same jobs without Ray. Imports measuring and all below.
"""
