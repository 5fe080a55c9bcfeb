"""A search whose cluster, builds and measurements are simulated in this process."""
