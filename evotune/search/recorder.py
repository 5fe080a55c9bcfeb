"""The books of a search: every trial recorded as it ends, told to the sampler in the order of its number."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evotune.search.build_only import built_outcome
from evotune.search.incumbent import Best
from evotune.search.outcomes import build_records, diagnosis_records, measured, refused_build
from evotune.search.reporter import Reporter, TrialLine
from evotune.search.reuse import Reuse, is_enough, lasts
from evotune.search.study import Proposal, Study
from evotune.search.workers.health_checks import Verdict, health_check_record
from evotune.space import configuration_key
from evotune_db import Database, DatabaseError
from evotune_db.errors import ConnectionLost, LeaseLost
from evotune_db.records import FINISHED, NewTrial, OutcomeRecord, StoredTrial
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.diagnosis.finding import Diagnosis
from evotune_workers.kernel.contract import Configuration
from evotune_workers.kernel.device import Device
from evotune_workers.measuring.jobs import Measurement

# A GPU has one more job waiting while it measures, which takes longer than this.
PROPOSING_SECONDS = 0.05

Binary = tuple[str | None, ...]


@dataclass(frozen=True)
class Entry:
    """A trial that has not been told yet: its id in the database and how it was proposed."""

    trial: int
    proposal: Proposal


@dataclass(frozen=True)
class Value:
    """What the sampler is told of a trial: None when it failed; `censored` when its timing stopped early."""

    objective: float | None
    censored: bool


@dataclass(frozen=True)
class Booked:
    """An outcome that is yet to be written."""

    entry: Entry
    outcome: OutcomeRecord
    censored: bool


class Recorder:
    """Writes outcomes to the database and the study, and knows the best so far.

    Builds and measurements are booked as they come, and written by `flush`.
    """

    def __init__(
        self,
        database: Database,
        search_id: int,
        study: Study,
        reporter: Reporter,
        limits: Mapping[str, int],
        reuse: Reuse | None = None,
    ) -> None:
        """Empty; `restore` fills it on resume. `limits` are those that the space sets on resources.

        Without `reuse` nothing is shared with other searches.
        """
        self._limits, self._reuse = limits, reuse
        self._database, self._search_id = database, search_id
        self._study, self._reporter = study, reporter
        self._started = time.monotonic()
        self.lines: dict[int, TrialLine] = {}
        self._trials: dict[int, int] = {}
        self._open: dict[int, Entry] = {}
        self._booked: list[Booked] = []
        self._taken: list[int] = []
        self._untold: dict[int, Value] = {}
        self._owners: dict[Binary, int] = {}
        self._waiting: dict[int, tuple[int, Candidate]] = {}
        self._recorded: dict[int, tuple[int, Configuration, OutcomeRecord, bool]] = {}
        self.best = Best(reporter)
        self.told = 0

    def propose(self, most: int) -> list[Proposal]:
        """Asks the sampler for at most so many proposals, which are built at once; records them together.

        For a moment only: meanwhile nobody gets a job, and a sampler may take long for each.
        """
        until = time.monotonic() + PROPOSING_SECONDS
        proposals = [self._study.ask()]
        while len(proposals) < most and time.monotonic() < until:
            proposals.append(self._study.ask())
        new = [NewTrial(each.number, each.configuration, configuration_key(each.configuration)) for each in proposals]
        for proposal, trial in zip(proposals, self._database.add_trials(self._search_id, new, "building"), strict=True):
            self._open[proposal.number] = Entry(trial, proposal)
            self._trials[proposal.number] = trial
        return proposals

    def take_over(self, proposals: Sequence[Proposal]) -> list[Proposal]:
        """Books proposals by what other searches have measured; returns those of which nothing says enough."""
        if self._reuse is None:
            return list(proposals)
        wanted = {each.number: self._reuse.wanted(each.configuration) for each in proposals}
        known = self._database.known_keys([key for keys in wanted.values() for key in keys])
        left = []
        for each in proposals:
            keys = wanted[each.number]
            if known.isdisjoint(keys) or not self._takes_over(each, keys):
                left.append(each)
        return left

    def measured_elsewhere(self, candidates: Sequence[Candidate]) -> set[int]:
        """Books built candidates that other searches have measured meanwhile; returns their numbers."""
        proposals = [self._open[candidate.number].proposal for candidate in candidates]
        left = {each.number for each in self.take_over(proposals)} if proposals else set()
        return {each.number for each in proposals} - left

    def _takes_over(self, proposal: Proposal, keys: Sequence[str]) -> bool:
        found = self._database.reusable(keys)
        if found is None or not is_enough(found, self.best.incumbents):
            return False
        entry = self._open[proposal.number]
        told = f"measured as trial {found.trial}"
        reason = f"{found.outcome.reason} ({told})" if found.outcome.reason else told
        if not self._database.reuse(entry.trial, found.trial, reason):
            return False
        del self._open[proposal.number]
        self._owners.setdefault(found.hashes, proposal.number)
        self._book(entry, found.trial, replace(found.outcome, reason=reason), found.censored)
        return True

    def built(self, candidate: Candidate) -> bool:
        """Books a build; True when the candidate goes on from there.

        Not when a build failed or uses too much, and not when another trial of the search has the same binary: its
        outcome is shared.
        """
        number = candidate.number
        refused = refused_build(candidate, self._limits)
        if refused is not None:
            self._record(number, self._offered(number, refused, None), censored=False)
            return False
        owner = self._owners.setdefault(_binary(candidate), number)
        if owner != number:
            self._waiting[number] = (owner, candidate)
            return False
        return True

    def left_at_that(self, candidate: Candidate) -> None:
        """Books a candidate that is not to be measured."""
        self._record(candidate.number, built_outcome(candidate, self._limits), censored=False)

    def measuring(self, candidates: Sequence[Candidate]) -> None:
        """Books that workers have taken these candidates."""
        self._taken += (self._open[each.number].trial for each in candidates)

    def measured(self, candidate: Candidate, measurement: Measurement, device: Device) -> None:
        """Books a measurement."""
        outcome = measured(candidate, measurement, device, self._limits)
        if lasts(measurement):
            outcome = self._offered(candidate.number, outcome, device)
        self._record(candidate.number, outcome, censored=any(timing.censored for timing in outcome.timings))

    def looked_up(self, number: int, outcome: OutcomeRecord) -> int:
        """Books what a recording says of a trial; returns the trial's id."""
        trial = self._open[number].trial
        self._record(number, outcome, censored=False)
        return trial

    def diagnosed(self, candidate: Candidate, diagnosis: Diagnosis) -> None:
        """Books where a measured candidate goes wrong."""
        trial, *_ = self._recorded[candidate.number]
        self._database.record_diagnosis(trial, diagnosis_records(diagnosis))

    def trial(self, number: int) -> int:
        """The id of a trial, by its number in the search."""
        return self._trials[number]

    def canary(self, number: int, verdict: Verdict, measurement: Measurement | None) -> int:
        """Books what a worker's canary says of it, by its own measurement or by another's; returns the row's id."""
        record = health_check_record(self._trials[number], verdict, measurement)
        return self._database.record_health_check(self._search_id, record)

    def not_diagnosed(self, candidate: Candidate, reason: str) -> None:
        """Tells that it is not known where a measured candidate goes wrong."""
        trial, *_ = self._recorded[candidate.number]
        self._reporter.note(f"trial {trial} could not be diagnosed: {reason}")

    def settle(self, until: int) -> None:
        """Tells the study outcomes in the order of their numbers, until that many have been told or one is missing."""
        while self.told < until and self.told in self._untold:
            value = self._untold.pop(self.told)
            self._study.tell(self.told, value.objective, value.censored)
            self.told += 1

    def restore(self, trials: Sequence[StoredTrial]) -> list[Proposal]:
        """Takes over the trials of an earlier run; returns those that have no outcome yet, to be built again."""
        for owner in self._database.own_binaries(self._search_id) if trials else ():
            self._owners[owner.hashes] = owner.number
            self._recorded[owner.number] = (owner.trial, owner.configuration, owner.outcome, owner.censored)
        unfinished = []
        for trial in trials:
            self._study.restore(trial)
            self._trials[trial.number] = trial.id
            if trial.state in FINISHED:
                self._untold[trial.number] = Value(trial.objective, trial.censored)
                continue
            proposal = Proposal(trial.number, dict(trial.configuration), seconds=0.0)
            self._open[trial.number] = Entry(trial.id, proposal)
            unfinished.append(proposal)
        self.best.restore(trials, self._database)
        return unfinished

    def _offered(self, number: int, outcome: OutcomeRecord, device: Device | None) -> OutcomeRecord:
        """With the key by which other searches find it."""
        if self._reuse is None:
            return outcome
        configuration = self._open[number].proposal.configuration
        return replace(outcome, reuse_key=self._reuse.offered(configuration, outcome, device))

    def flush(self) -> None:
        """Writes what has been booked since the last time, and whatever waited for it: together, for that is cheaper.

        Until then no outcome is told, shared or shown.
        """
        self._share()
        while self._booked or self._taken:
            booked, self._booked = self._booked, []
            taken, self._taken = self._taken, []
            try:
                self._write(booked, taken)
            except (ConnectionLost, LeaseLost):
                raise
            except DatabaseError:
                self._write_one_by_one(booked, taken)
            self._share()

    def _write_one_by_one(self, booked: Sequence[Booked], taken: Sequence[int]) -> None:
        """One that is refused costs no other its place in the record; the first refusal is raised at the end."""
        refusals = []
        for outcomes, measuring in (*(((each,), ()) for each in booked), *(((), (trial,)) for trial in taken)):
            try:
                self._write(outcomes, measuring)
            except (ConnectionLost, LeaseLost):
                raise
            except DatabaseError as refusal:
                refusals.append(refusal)
        if refusals:
            raise refusals[0]

    def _write(self, booked: Sequence[Booked], taken: Sequence[int]) -> None:
        self._database.record_outcomes([(each.entry.trial, each.outcome) for each in booked], measuring=taken)
        for each in booked:
            self._book(each.entry, each.entry.trial, each.outcome, each.censored)

    def _record(self, number: int, outcome: OutcomeRecord, censored: bool) -> None:
        self._booked.append(Booked(self._open.pop(number), outcome, censored))

    def _book(self, entry: Entry, measured_as: int, outcome: OutcomeRecord, censored: bool) -> None:
        """Of what the database has: what the sampler is to be told, and what twins share."""
        number = entry.proposal.number
        self._untold[number] = Value(outcome.objective, censored)
        self._recorded[number] = (measured_as, entry.proposal.configuration, outcome, censored)
        objective = None if censored else outcome.objective
        self.best.meet(entry.trial, entry.proposal.configuration, objective, outcome.timings)
        self.lines[number] = self._line(entry, outcome, censored)
        self._reporter.trial_finished(self.lines[number])

    def _share(self) -> None:
        """Gives trials of a binary that has been measured the outcome of the one that was."""
        for number, (owner, candidate) in list(self._waiting.items()):
            if owner not in self._recorded:
                continue
            del self._waiting[number]
            trial, configuration, outcome, censored = self._recorded[owner]
            idle = [name for name, value in candidate.configuration.items() if configuration[name] != value]
            same = f"same binary as trial {trial}: {', '.join(idle)} changed nothing"
            self._reporter.note(f"trial {self._open[number].trial}: {same}")
            self._record(number, _shared(candidate, trial, outcome, same), censored)

    def _line(self, entry: Entry, outcome: OutcomeRecord, censored: bool) -> TrialLine:
        return TrialLine(
            number=entry.proposal.number,
            trial=entry.trial,
            state=outcome.state,
            failed_gate=outcome.failed_gate,
            reason=outcome.reason,
            speedup=1 / outcome.objective if outcome.objective and outcome.device else None,
            censored=censored,
            elapsed_seconds=time.monotonic() - self._started,
        )


def _binary(candidate: Candidate) -> Binary:
    """Of the distinct builds, as they are recorded."""
    builds = {built.build.key: built.build for built in candidate.builds}
    return tuple(build.binary_hash for build in builds.values())


def _shared(candidate: Candidate, trial: int, outcome: OutcomeRecord, same: str) -> OutcomeRecord:
    """The outcome of a trial with the same binary, without its evidence: that is kept once, with the other trial."""
    reason = f"{outcome.reason} ({same})" if outcome.reason else same
    shared = replace(outcome, reason=reason, same_binary_as=trial, reuse_key=None)
    return replace(shared, builds=build_records(candidate), gates=(), timings=())
