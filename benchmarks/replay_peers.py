"""The peers on the 13 public recordings, as they were measured on 2026-11-21: 20 seeds, 200 evaluations, one at a time.

Kernel Tuner 1.5.0 in simulation mode, Optuna 5.0.0; `helion_like` and `local search` are re-implementations.
"""

from __future__ import annotations

HEADER = ("% at 25", "% at 50", "% at 100", "% at 200", "to 5 %", "reached 5 %", "within 1 %", "score")
PEERS = {
    "Optuna TPE, categorical, snapped": ("83.3", "90.6", "95.6", "98.4", "68", "0.93", "0.70", "0.56"),
    "local search with restarts": ("82.9", "89.9", "94.5", "97.7", "78", "0.88", "0.72", "0.45"),
    "Helion-like pattern search (quick)": ("79.6", "88.3", "94.2", "97.6", "84", "0.88", "0.63", "0.41"),
    "Kernel Tuner adaptive_tabu_greywolf": ("78.9", "87.0", "93.7", "97.3", "86", "0.85", "0.67", "0.36"),
    "Kernel Tuner hybrid_vndx": ("78.5", "86.0", "91.4", "95.4", "104", "0.74", "0.48", "0.30"),
    "Kernel Tuner genetic_algorithm": ("77.8", "84.8", "91.7", "96.6", "103", "0.83", "0.62", "0.29"),
    "Optuna NSGA-II, population 20": ("76.6", "83.3", "91.5", "97.3", "101", "0.85", "0.65", "0.27"),
    "random (exact expectation)": ("78.4", "83.5", "87.8", "91.5", "146", "0.42", "0.17", "0.00"),
}
