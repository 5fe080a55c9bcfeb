"""evotune finds the fastest correct configuration of a GPU kernel and keeps the evidence."""
