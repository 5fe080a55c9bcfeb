"""Ray: nodes, the worker pool, GPU sharing, one worker for each device."""
