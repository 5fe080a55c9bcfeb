"""Looking a configuration up in a recording, in the place of building and measuring it."""

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
    """Evaluator of a search loop whose outcomes are all in a recording."""

    unfinished = False

    def __init__(self, recording: Recording, recorder: Recorder, reporter: Reporter, best_ms: float) -> None:
        """`best_ms` is the shortest time of an earlier run of the search, infinite without one."""
        self._recording, self._recorder, self._reporter = recording, recorder, reporter
        self._best_ms = best_ms
        self._given: deque[Proposal] = deque()

    def start(self, proposals: Sequence[Proposal]) -> None:
        """Takes on trials."""
        self._given.extend(proposals)

    def step(self, seconds: float) -> Sequence[Distrust]:
        """Record the next outcome, if a trial waits for its own; there is nothing to wait for."""
        if not self._given:
            return ()
        proposal = self._given.popleft()
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
    """The outcome of a trial that a recording has at that time, NaN where it failed.

    It has no device, build, gate or timing, so that it cannot enter the leaderboard.
    """
    if math.isnan(milliseconds):
        return OutcomeRecord("failed", RECORDED, f"failed when {recording} was recorded; not tried here")
    reason = f"{milliseconds:.6g} ms as {recording} has it; not measured here"
    return OutcomeRecord("passed", reason=reason, objective=milliseconds)
