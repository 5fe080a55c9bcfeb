"""From (sources, configuration, target) to a binary with its resource report; a file a compiler, one the cache."""
