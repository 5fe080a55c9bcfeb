"""The commands, a file for each: they parse options, make one call and print."""
