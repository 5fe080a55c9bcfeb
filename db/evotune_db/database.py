"""The record's front door."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar
from uuid import uuid4

from sqlalchemy import Connection

from evotune_db.engine import Engines, open_engines
from evotune_db.holder import this_process
from evotune_db.read import queries, ranking, warm_start
from evotune_db.records import (
    BuildRecord,
    CanaryRecord,
    CertificationRecord,
    DeviceRecord,
    DiagnosisRecord,
    GateRecord,
    LeaderboardEntry,
    LeaderboardFilter,
    NewTrial,
    OutcomeRecord,
    OwnBinary,
    Precedent,
    ProfileRecord,
    Reusable,
    SearchRecord,
    SearchState,
    SearchSummary,
    StoredSearch,
    TimingRecord,
    TrialDetails,
)
from evotune_db.write import examinations, health_checks, lease, outcomes, reuse, searches
from evotune_db.write.retry import Tell
from evotune_db.write.transactions import Holding, transact

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Database:
    """Searches, trials and the leaderboard, on SQLite or PostgreSQL; every method is one transaction.

    A method raises DatabaseError, with one line that says what to do, when the database fails or refuses, and its
    subclass NotFoundError for a search or a trial that is not there; nothing of what it was to write is kept then.
    An instance belongs to one thread, but for `renew`; any number of processes may each have one.
    """

    def __init__(self, engines: Engines) -> None:
        """Over an open database; see `open`."""
        self._engines = engines
        self._holding: Holding | None = None

    @classmethod
    def open(cls, url: str) -> Self:
        """Opens the SQLite file of that path or URL, or the PostgreSQL database of that URL.

        A new SQLite file is created; tables are created or migrated where that is due.
        """
        return cls(open_engines(url))

    def close(self) -> None:
        """Closes every connection."""
        self._engines.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes."""
        self.close()

    def hold(self, search_id: int, tell: Tell) -> None:
        """Makes this process the one that runs a search, until `release`; LeaseHeld when another one does.

        Meanwhile everything written here belongs to that search; LeaseLost when another has taken it over (see
        lease.py). When the server stops answering, each method tries again for RETRY_SECONDS (retry.py) and does what
        it is to do once, whatever had been done before; `tell` is told of it. ConnectionLost when that was not enough.
        """
        wanted = lease.Lease(search_id, uuid4().hex)
        self._at_once(lambda connection: lease.take(connection, wanted, this_process()))
        self._holding = Holding(self._engines, wanted, tell)

    def renew(self) -> None:
        """Says that the process that holds the search is alive; from any thread, and without trying again."""
        holding = self._holding
        if holding is not None:
            self._at_once(lambda connection: lease.renew(connection, holding.lease))

    def release(self) -> None:
        """Frees the search that is held, if one is."""
        holding, self._holding = self._holding, None
        if holding is not None:
            self._at_once(lambda connection: lease.release(connection, holding.lease))

    def start_search(self, record: SearchRecord) -> int:
        """Records a new running search; returns its id."""
        return self._write(searches.start_search, record)

    def resume_search(self, search_id: int, budget: int) -> None:
        """Sets a search running again, with this budget."""
        self._write(searches.resume_search, search_id, budget)

    def finish_search(self, search_id: int, state: SearchState) -> None:
        """Ends a search as finished or interrupted."""
        self._write(searches.finish_search, search_id, state)

    def add_trial(
        self,
        search_id: int,
        number: int,
        configuration: Mapping[str, Any],
        configuration_key: str,
        state: Literal["proposed", "building"] = "proposed",
    ) -> int:
        """Records a proposed trial; returns its id. A search takes each number and each configuration once."""
        return self.add_trials(search_id, (NewTrial(number, configuration, configuration_key),), state)[0]

    def add_trials(
        self, search_id: int, trials: Sequence[NewTrial], state: Literal["proposed", "building"] = "proposed"
    ) -> tuple[int, ...]:
        """Records proposed trials, all or none; returns their ids in the order given."""

        def add(connection: Connection) -> tuple[int, ...]:
            return searches.add_trials(connection, search_id, trials, state)

        def recall(connection: Connection) -> tuple[int, ...]:
            return searches.numbered(connection, search_id, [proposed.number for proposed in trials])

        return self._at_once(add) if self._holding is None else self._holding.write(add, recall)

    def record_outcome(self, trial_id: int, outcome: OutcomeRecord) -> None:
        """Records a trial's outcome: builds, gates, timings and, where it qualifies, its leaderboard entries.

        A passed trial is listed once for each workload with a cold timing that was not censored, unless it shares
        another trial's binary. Raises DatabaseError when the trial has its outcome already.
        """
        self.record_outcomes(((trial_id, outcome),))

    def record_outcomes(self, ended: Sequence[tuple[int, OutcomeRecord]], measuring: Sequence[int] = ()) -> None:
        """Records the outcomes of trials with these ids, as `record_outcome` would each of them; all or none.

        Before that, in the same transaction, trials with the ids `measuring` are marked as being measured.
        """
        self._write(outcomes.record_outcomes, ended, measuring)

    def known_keys(self, keys: Sequence[str]) -> frozenset[str]:
        """Which of these reuse keys some trial has."""
        return self._read(reuse.known, keys)

    def reusable(self, keys: Sequence[str]) -> Reusable | None:
        """A trial of any search with one of these reuse keys, one that was timed to the end before any other."""
        return self._read(reuse.find, keys)

    def reuse(self, trial_id: int, origin: int, reason: str) -> bool:
        """Gives a trial the outcome of `origin`, with its builds and without its other evidence; `reason` says so.

        False, and nothing is written, when the origin's outcome may not be taken over any more.
        """
        return self._write(reuse.take, trial_id, origin, reason) is not None

    def record_confirmation(
        self,
        trial_id: int,
        device: DeviceRecord,
        gates: Sequence[GateRecord],
        timings: Sequence[TimingRecord],
        passed: bool,
        reason: str | None,
        builds: Sequence[BuildRecord] = (),
    ) -> None:
        """Records a passed trial's confirmation. `builds`: those timed that the trial did not have before.

        When `passed`, its leaderboard entries take the confirming timings and count as confirmed. Otherwise it has
        failed at the gate `confirm`, with every trial that shares its binary, and its entries go. Raises NotPassed when
        it has failed meanwhile.
        """
        self._write(outcomes.record_confirmation, trial_id, device, gates, timings, passed, reason, builds)

    def record_certification(
        self, trial_id: int, certification: CertificationRecord, builds: Sequence[BuildRecord] = ()
    ) -> tuple[str, ...]:
        """Records a passed trial's certification, whether or not it passed; returns the workloads that it counts for.

        Those are the trial's leaderboard entries whose timing is of the very build that was checked. The latest
        certification of a build counts. `builds`: those checked that the database does not have yet.
        """
        return self._write(examinations.record_certification, trial_id, certification, builds)

    def record_profile(self, trial_id: int, profile: ProfileRecord, builds: Sequence[BuildRecord] = ()) -> None:
        """Records hardware counters of a trial's build. `builds`: as above."""
        self._write(examinations.record_profile, trial_id, profile, builds)

    def record_diagnosis(self, trial_id: int, stages: Sequence[DiagnosisRecord]) -> None:
        """Records where a trial goes wrong, in the place of an earlier diagnosis of the same workloads."""
        self._write(examinations.record_diagnosis, trial_id, stages)

    def record_canary(self, search_id: int, canary: CanaryRecord) -> int:
        """Records that a worker of a search has measured its canary again; returns the row's id."""
        return self._write(health_checks.record_canary, search_id, canary)

    def doubt(self, search_id: int, canary_id: int, numbers: Sequence[int]) -> None:
        """Takes back the outcomes of trials with these numbers, since that canary is odd: they are measured again.

        So it does for those that share their binaries. Their entries go; what they came to is kept as suspect.
        """
        self._write(health_checks.doubt, search_id, canary_id, numbers)

    def withdraw(self, trial_id: int, reason: str) -> None:
        """Fails a passed trial at the gate `certify`, with every trial that shares its binary; its entries go."""
        self._write(outcomes.withdraw, trial_id, reason)

    def leaderboard(self, wanted: LeaderboardFilter) -> list[LeaderboardEntry]:
        """Entries that fit, by kernel, target, device, workload and rank; `wanted.top` counts within each group.

        Devices of one name rank together. Confirmed entries come first, then the higher speed-up, then the older
        trial. A filter by trial leaves its rank as it is among all; every other filter ranks what it lets through.
        """
        return self._read(ranking.ranked, wanted)

    def precedents(self, kernel: str, top: int) -> list[Precedent]:
        """What a search of a kernel may begin with: the best `top` of each version, target, device and workload."""
        return self._read(warm_start.precedents, kernel, top)

    def load_search(self, search_id: int) -> StoredSearch:
        """A search with its trials in the order of their numbers."""
        return self._read(queries.load_search, search_id, this_process())

    def measured_on(self, search_id: int) -> DeviceRecord | None:
        """The device of a search's first trial with one; all are of one model. None where nothing was measured yet."""
        return self._read(queries.measured_on, search_id)

    def own_binaries(self, search_id: int) -> tuple[OwnBinary, ...]:
        """Of a search, the trials whose outcome others with the same binaries share, in the order of their numbers."""
        return self._read(queries.own_binaries, search_id)

    def builds(self, search_id: int) -> dict[int, tuple[BuildRecord, ...]]:
        """The builds of all trials of a search that have any, by the trial's id."""
        return self._read(queries.builds, search_id)

    def searches(self) -> list[SearchSummary]:
        """All searches, the oldest first."""
        return self._read(queries.searches, this_process())

    def trial(self, trial_id: int) -> TrialDetails:
        """Everything recorded of one trial."""
        return self._read(queries.trial_details, trial_id)

    def _read(
        self, query: Callable[Concatenate[Connection, Arguments], Result], *args: Arguments.args, **kw: Arguments.kwargs
    ) -> Result:
        if self._holding is not None:
            return self._holding.read(lambda connection: query(connection, *args, **kw))
        return transact(self._engines.read, self._engines.shown, lambda connection: query(connection, *args, **kw))

    def _write(
        self, work: Callable[Concatenate[Connection, Arguments], Result], *args: Arguments.args, **kw: Arguments.kwargs
    ) -> Result:
        if self._holding is not None:
            return self._holding.write(lambda connection: work(connection, *args, **kw))
        return self._at_once(lambda connection: work(connection, *args, **kw))

    def _at_once(self, work: Callable[[Connection], Result]) -> Result:
        return transact(self._engines.write, self._engines.shown, work)
