"""Cases of kernels that tell timed calls from others."""

from __future__ import annotations

from .case import Absent, Case, Group, Refusal

IN_A_GRAPH = Absent("a graph's nodes run without the host, and all their outputs are compared")
OTHER_BITS = "other bits than the one checked"

TIMING = Group(
    "Tells timed calls from others",
    (
        Case(
            "idle_but_for_the_last",
            "computes only the last of the calls that follow each other at once",
            Refusal("timing", OTHER_BITS),
            IN_A_GRAPH,
        ),
        Case(
            "idle_in_the_first_third",
            "does nothing in the first third of the calls that follow each other at once",
            Refusal("timing", OTHER_BITS),
            IN_A_GRAPH,
        ),
        Case(
            "keeps_heads_computes_one",
            "computes one head, and of the others those whose inputs changed",
            Refusal("timing", "must take as long as others"),
            Absent("`keeps_by_content` is similar: it keeps the whole output"),
        ),
    ),
)
