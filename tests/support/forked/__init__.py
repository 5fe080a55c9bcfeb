"""Commands in processes that are forked from one which has imported torch, Ray and Optuna: that takes five seconds."""
