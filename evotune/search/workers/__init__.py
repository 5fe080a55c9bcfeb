"""The workers of a search: waiting for them, their health, the queue of diagnoses."""
