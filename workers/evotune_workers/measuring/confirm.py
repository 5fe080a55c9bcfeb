"""Confirming finalists: a fresh process, new seeds, and a full timing interleaved with each other and the baselines."""

from __future__ import annotations

from dataclasses import replace

from evotune_workers.compilers.candidate import Candidate, WorkloadBuild
from evotune_workers.gates.gate import GateResult
from evotune_workers.gates.running import RUNNING_GATES
from evotune_workers.measuring.child_session import CANDIDATE, GateFailed, Session
from evotune_workers.measuring.jobs import ConfirmJob, Measurement
from evotune_workers.measuring.timing_session import NoResult, TimingSession
from evotune_workers.timing.summary import Timing, most_cautious

# The gates that a finalist passes again, on new seeds.
CONFIRM_GATES = tuple(gate for gate in RUNNING_GATES if gate.name in ("identity", "launch", "numerics"))
# Finalists are timed this often, seconds apart; see `most_cautious`.
CONFIRM_RUNS = 3
# A finalist whose speed-up on other inputs seems to be below this part of the usual one is timed on them, too.
SLOWER_ELSEWHERE = 0.8


def confirm(session: Session, job: ConfirmJob) -> tuple[Measurement, ...]:
    """Check and time the finalists again, and return a measurement of each, in their order.

    A finalist that could not be timed, because the machine was busy, has neither a failed gate nor timings.
    """
    session.renew()
    checked = {candidate.number: _check_again(session, candidate, job) for candidate in job.candidates}
    correct = [candidate for candidate in job.candidates if checked[candidate.number].failed_gate is None]
    timed = _time_finalists(session, correct, checked, job) if correct else {}
    return tuple(timed.get(number, measurement) for number, measurement in checked.items())


def _check_again(session: Session, candidate: Candidate, job: ConfirmJob) -> Measurement:
    results: list[GateResult] = []
    try:
        for built in candidate.builds:
            with session.loaded({CANDIDATE: (candidate, built)}, job.variant, job.seeds):
                for gate in CONFIRM_GATES:
                    results += session.run_gate(gate, CANDIDATE, built)
    except GateFailed as failure:
        session.renew()
        return _unconfirmed(candidate, (*results, *failure.results), failure)
    return Measurement(candidate.number, tuple(results), (), None, None, seconds=0.0)


def _time_finalists(
    session: Session, candidates: list[Candidate], checked: dict[int, Measurement], job: ConfirmJob
) -> dict[int, Measurement]:
    """Time all together; should one fail there, time each by itself, so that only that one is marked failed."""
    try:
        return _time_together(session, candidates, checked, job)
    except NoResult as busy:
        return {each.number: replace(checked[each.number], reason=str(busy)) for each in candidates}
    except GateFailed as failure:
        session.renew()
        if len(candidates) > 1:
            separate = [_time_finalists(session, [candidate], checked, job) for candidate in candidates]
            return {number: measurement for each in separate for number, measurement in each.items()}
        [candidate] = candidates
        results = (*checked[candidate.number].gates, *failure.results)
        return {candidate.number: _unconfirmed(candidate, results, failure)}


def _time_together(
    session: Session, candidates: list[Candidate], checked: dict[int, Measurement], job: ConfirmJob
) -> dict[int, Measurement]:
    timings: dict[int, tuple[Timing, ...]] = {candidate.number: () for candidate in candidates}
    names = {f"{CANDIDATE} {candidate.number}": candidate for candidate in candidates}
    for place in range(len(candidates[0].builds)):
        sides = {name: (candidate, candidate.builds[place]) for name, candidate in names.items()}
        with session.loaded(sides, job.variant, job.seeds):
            builds = {name: built for name, (_, built) in sides.items()}
            for name, timed in _on_hardest_inputs(session, builds).items():
                timings[names[name].number] += timed
    return {number: replace(checked[number], timings=timed) for number, timed in timings.items()}


def _on_hardest_inputs(session: Session, builds: dict[str, WorkloadBuild]) -> dict[str, tuple[Timing, ...]]:
    """Return each finalist's timings on the distribution of inputs on which it gains least.

    All are timed on the first distribution. A glance at the others shows who is slower there: the values of inputs
    make most kernels neither faster nor slower.
    """
    usual = TimingSession(session, builds, finalists=True)
    timed = dict(most_cautious([usual.cold_and_warm(None) for _ in range(CONFIRM_RUNS)]))
    for distribution in session.kernel.distributions[1:]:
        glance = TimingSession(session, builds, finalists=True, distribution=distribution).glance()
        slower = {side for side, ratio in glance.items() if ratio < SLOWER_ELSEWHERE * timed[side][0].speedup}
        for side in slower:
            alone = TimingSession(session, {side: builds[side]}, finalists=True, distribution=distribution)
            timed[side] = min(timed[side], *alone.cold_and_warm(None).values(), key=lambda each: each[0].speedup)
    return timed


def _unconfirmed(candidate: Candidate, results: tuple[GateResult, ...], failure: GateFailed) -> Measurement:
    return Measurement(candidate.number, results, (), "confirm", str(failure), seconds=0.0)
