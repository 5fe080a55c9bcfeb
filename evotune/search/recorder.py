"""Recorder of a search: writes each trial as it ends, and tells the sampler in the order of the trials' numbers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evotune.search.build_only import built_outcome
from evotune.search.incumbent import Incumbent
from evotune.search.outcome_buffer import BufferedOutcome, OpenTrial, OutcomeBuffer
from evotune.search.outcomes import diagnosis_records, measured_outcome, refused_build
from evotune.search.reporter import Reporter, TrialLine
from evotune.search.reuse import Reuse, is_enough, is_lasting
from evotune.search.shared_binaries import RecordedTrial, SharedBinaries, shared_outcome, sharing_reason
from evotune.search.study import Proposal, Study
from evotune.search.workers.health_checks import Verdict, health_check_record
from evotune.space import configuration_key
from evotune_db import Database
from evotune_db.records import FINISHED, NewTrial, OutcomeRecord, StoredTrial
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.diagnosis.finding import Diagnosis
from evotune_workers.kernel.device import Device
from evotune_workers.measuring.jobs import Measurement

# A GPU has one more job waiting while it measures, which takes longer than this.
PROPOSING_SECONDS = 0.05


@dataclass(frozen=True)
class Value:
    """Value of a trial for the sampler: None when it failed; `censored` when its timing stopped early."""

    objective: float | None
    censored: bool


class Recorder:
    """Writes outcomes to the database and the study, and follows the incumbent.

    Builds and measurements are collected as they come, and written by `flush`.
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
        """Begin empty; `restore` fills it on resume. `limits` are those that the space sets on resources.

        Without `reuse` nothing is shared with other searches.
        """
        self._limits, self._reuse = limits, reuse
        self._database, self._search_id = database, search_id
        self._study, self._reporter = study, reporter
        self._started = time.monotonic()
        self.lines: dict[int, TrialLine] = {}
        self._trials: dict[int, int] = {}
        self._open: dict[int, OpenTrial] = {}
        self._buffer = OutcomeBuffer(database)
        self._untold: dict[int, Value] = {}
        self._binaries = SharedBinaries()
        self._recorded: dict[int, RecordedTrial] = {}
        self.incumbent = Incumbent(reporter)
        self.told = 0

    def restore(self, trials: Sequence[StoredTrial]) -> list[Proposal]:
        """Take over the trials of an earlier run; return those without an outcome, which are built again."""
        for owner in self._database.own_binaries(self._search_id) if trials else ():
            self._binaries.own(owner.hashes, owner.number)
            self._recorded[owner.number] = RecordedTrial(
                owner.trial, owner.configuration, owner.outcome, owner.censored
            )
        unfinished = []
        for trial in trials:
            self._study.restore(trial)
            self._trials[trial.number] = trial.id
            if trial.state in FINISHED:
                self._untold[trial.number] = Value(trial.objective, trial.censored)
                continue
            proposal = Proposal(trial.number, dict(trial.configuration), seconds=0.0)
            self._open[trial.number] = OpenTrial(trial.id, proposal)
            unfinished.append(proposal)
        self.incumbent.restore(trials, self._database)
        return unfinished

    def propose(self, most: int) -> list[Proposal]:
        """Ask the sampler for at most so many proposals, and record them together.

        Stops after a moment: meanwhile nobody gets a job, and a sampler may take long for each.
        """
        until = time.monotonic() + PROPOSING_SECONDS
        proposals = [self._study.ask()]
        while len(proposals) < most and time.monotonic() < until:
            proposals.append(self._study.ask())
        new = [NewTrial(each.number, each.configuration, configuration_key(each.configuration)) for each in proposals]
        for proposal, trial in zip(proposals, self._database.add_trials(self._search_id, new, "building"), strict=True):
            self._open[proposal.number] = OpenTrial(trial, proposal)
            self._trials[proposal.number] = trial
        return proposals

    def settle(self, until: int) -> None:
        """Tell the study outcomes in the order of their numbers, until so many are told or one is missing."""
        while self.told < until and self.told in self._untold:
            value = self._untold.pop(self.told)
            self._study.tell(self.told, value.objective, value.censored)
            self.told += 1

    def trial(self, number: int) -> int:
        """Return the id of a trial by its number in the search."""
        return self._trials[number]

    def take_over(self, proposals: Sequence[Proposal]) -> list[Proposal]:
        """Record proposals that other searches have measured; return those without a sufficient outcome."""
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
        """Record built candidates that other searches have measured meanwhile; return their numbers."""
        proposals = [self._open[candidate.number].proposal for candidate in candidates]
        left = {each.number for each in self.take_over(proposals)} if proposals else set()
        return {each.number for each in proposals} - left

    def built(self, candidate: Candidate) -> bool:
        """Record a build; return True if the candidate goes on from there.

        It does not when its build failed or uses too much. Nor does it when another trial of the search has the same
        binary: it shares that trial's outcome.
        """
        refused = refused_build(candidate, self._limits)
        if refused is not None:
            self._add(candidate.number, self._with_reuse_key(candidate.number, refused, None), censored=False)
            return False
        return self._binaries.claim(candidate)

    def built_only(self, candidate: Candidate) -> None:
        """Record a candidate that is not to be measured."""
        self._add(candidate.number, built_outcome(candidate, self._limits), censored=False)

    def measuring(self, candidates: Sequence[Candidate]) -> None:
        """Record that workers measure these candidates now."""
        self._buffer.add_measuring([self._open[each.number].id for each in candidates])

    def measured(self, candidate: Candidate, measurement: Measurement, device: Device) -> None:
        """Record a measurement."""
        outcome = measured_outcome(candidate, measurement, device, self._limits)
        if is_lasting(measurement):
            outcome = self._with_reuse_key(candidate.number, outcome, device)
        self._add(candidate.number, outcome, censored=any(timing.censored for timing in outcome.timings))

    def looked_up(self, number: int, outcome: OutcomeRecord) -> int:
        """Record the outcome of a trial in a recording; return the trial's id."""
        trial = self._open[number].id
        self._add(number, outcome, censored=False)
        return trial

    def diagnosed(self, candidate: Candidate, diagnosis: Diagnosis) -> None:
        """Record where a measured candidate goes wrong."""
        self._database.record_diagnosis(self._recorded[candidate.number].trial, diagnosis_records(diagnosis))

    def not_diagnosed(self, candidate: Candidate, reason: str) -> None:
        """Report that nobody knows where a measured candidate goes wrong."""
        self._reporter.note(f"trial {self._recorded[candidate.number].trial} could not be diagnosed: {reason}")

    def health_checked(self, number: int, verdict: Verdict, measurement: Measurement | None) -> int:
        """Record a verdict on a worker, by its own measurement or by another's; return the row's id."""
        record = health_check_record(self._trials[number], verdict, measurement)
        return self._database.record_health_check(self._search_id, record)

    def flush(self) -> None:
        """Write everything collected since the last flush, and the outcomes that follow from it.

        Until then no outcome is told to the sampler, shared or shown.
        """
        self._share()
        while self._buffer:
            for written in self._buffer.write():
                self._written(written.trial, written.trial.id, written.outcome, written.censored)
            self._share()

    def _takes_over(self, proposal: Proposal, keys: Sequence[str]) -> bool:
        found = self._database.reusable(keys)
        if found is None or not is_enough(found, self.incumbent.speedups):
            return False
        trial = self._open[proposal.number]
        source = f"measured as trial {found.trial}"
        reason = f"{found.outcome.reason} ({source})" if found.outcome.reason else source
        if not self._database.reuse(trial.id, found.trial, reason):
            return False
        del self._open[proposal.number]
        self._binaries.own(found.hashes, proposal.number)
        self._written(trial, found.trial, replace(found.outcome, reason=reason), found.censored)
        return True

    def _with_reuse_key(self, number: int, outcome: OutcomeRecord, device: Device | None) -> OutcomeRecord:
        """Return an outcome with the key by which other searches find it."""
        if self._reuse is None:
            return outcome
        configuration = self._open[number].proposal.configuration
        return replace(outcome, reuse_key=self._reuse.offered(configuration, outcome, device))

    def _add(self, number: int, outcome: OutcomeRecord, censored: bool) -> None:
        self._buffer.add(BufferedOutcome(self._open.pop(number), outcome, censored))

    def _written(self, trial: OpenTrial, measured_as: int, outcome: OutcomeRecord, censored: bool) -> None:
        """Update the in-memory state after the commit."""
        number, configuration = trial.proposal.number, trial.proposal.configuration
        self._untold[number] = Value(outcome.objective, censored)
        self._recorded[number] = RecordedTrial(measured_as, configuration, outcome, censored)
        self.incumbent.offer(trial.id, configuration, None if censored else outcome.objective, outcome.timings)
        self.lines[number] = self._line(trial, outcome, censored)
        self._reporter.trial_finished(self.lines[number])

    def _share(self) -> None:
        """Give the outcome of a binary that has been measured to the other trials that have it."""
        for number, candidate in self._binaries.take_ready(self._recorded):
            owner = self._recorded[number]
            self._reporter.note(f"trial {self._open[candidate.number].id}: {sharing_reason(candidate, owner)}")
            self._add(candidate.number, shared_outcome(candidate, owner), owner.censored)

    def _line(self, trial: OpenTrial, outcome: OutcomeRecord, censored: bool) -> TrialLine:
        return TrialLine(
            number=trial.proposal.number,
            trial=trial.id,
            state=outcome.state,
            failed_gate=outcome.failed_gate,
            reason=outcome.reason,
            speedup=1 / outcome.objective if outcome.objective and outcome.device else None,
            censored=censored,
            elapsed_seconds=time.monotonic() - self._started,
        )
