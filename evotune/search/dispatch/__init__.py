"""Dispatch of jobs to the cluster: actions out, events back, and the evaluator that decides between them."""
