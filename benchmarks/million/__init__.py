"""What million_trials.py needs: a database of that size, what is asked of it, and how the server answers."""
