"""Look configurations up in a recording, instead of building and measuring them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from evotune.planning.request import RECORDED
from evotune.replay.recording import Recording
from evotune.search.recorder import Recorder
from evotune.search.reporter import RecordedBest, Reporter
from evotune.search.study import Proposal
from evotune.search.workers.health_checks import Distrust
from evotune_db.records import OutcomeRecord

WORKER = "the recording"


class Lookup:
    """The evaluator of a search loop without workers: every outcome is in the recording."""

    unfinished = False

    def __init__(self, recording: Recording, recorder: Recorder, reporter: Reporter, best_ms: float) -> None:
        """Store what the look-up needs; `best_ms` is the shortest time of earlier runs of the search, or infinity."""
        self._recording, self._recorder, self._reporter = recording, recorder, reporter
        self._best_ms = best_ms
        self._waiting: deque[Proposal] = deque()

    def start(self, proposals: Sequence[Proposal]) -> None:
        """Queue trials."""
        self._waiting.extend(proposals)

    def step(self, seconds: float) -> Sequence[Distrust]:
        """Record the outcome of the next trial in the queue, if there is one; this never waits."""
        if not self._waiting:
            return ()
        proposal = self._waiting.popleft()
        milliseconds = float(self._recording.times[self._recording.valid.index(proposal.configuration)])
        self._reporter.worker(WORKER, f"looking up trial {proposal.number + 1}")
        trial = self._recorder.looked_up(proposal.number, outcome(self._recording.name, milliseconds))
        self._recorder.flush()
        if milliseconds < self._best_ms:
            self._best_ms = milliseconds
            best = RecordedBest(trial, milliseconds, self._recording.optimum, proposal.configuration)
            self._reporter.best(best)
        return ()


def outcome(recording: str, milliseconds: float) -> OutcomeRecord:
    """Create the outcome of a trial with this time in a recording, NaN if it failed.

    It has no device, build, gate or timing, so it cannot enter the leaderboard.
    """
    if math.isnan(milliseconds):
        return OutcomeRecord("failed", RECORDED, f"failed when {recording} was recorded; not tried here")
    reason = f"{milliseconds:.6g} ms in {recording}; not measured here"
    return OutcomeRecord("passed", reason=reason, objective=milliseconds)
