"""From a request to a plan: target, space, kernel, resumed search, warm start."""
