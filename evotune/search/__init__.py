"""One run of a search: propose, build, measure, record, tell."""
