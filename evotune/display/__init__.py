"""All text that a person sees: progress, tables, summaries."""
