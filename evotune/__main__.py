"""`python -m evotune`, the same as `evotune`."""

from evotune.cli import main

main()
