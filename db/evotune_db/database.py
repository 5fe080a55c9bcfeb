"""The facade of the database: one class with every read and every write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar
from uuid import uuid4

from sqlalchemy import Connection

from evotune_db.engine import Engines, open_engines
from evotune_db.process_identity import this_process
from evotune_db.read import ranking, trial_details, warm_start
from evotune_db.read import reuse as reusable_outcomes
from evotune_db.read import searches as stored_searches
from evotune_db.records import (
    BuildRecord,
    CertificationRecord,
    DeviceRecord,
    DiagnosisRecord,
    GateLike,
    HealthCheckRecord,
    LeaderboardEntry,
    LeaderboardFilter,
    NewTrial,
    OutcomeRecord,
    OwnBinary,
    ProfileRecord,
    Reusable,
    SearchRecord,
    SearchState,
    SearchSummary,
    StartingPoint,
    StoredSearch,
    TimingLike,
    TrialDetails,
)
from evotune_db.retry import Notify
from evotune_db.transactions import LeasedTransactions, transact
from evotune_db.write import findings, health_checks, lease, outcomes, reuse, searches

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Database:
    """Searches, trials and the leaderboard, on SQLite or PostgreSQL; every method is one transaction.

    When the database fails or refuses, a method raises DatabaseError, with one line that says what to do. A missing
    search or trial raises its subclass NotFoundError. A method that raises has written nothing. An instance belongs to
    one thread, except for `renew_lease`; any number of processes may each have one.
    """

    def __init__(self, engines: Engines) -> None:
        """Use an open database; see `open`."""
        self._engines = engines
        self._leased: LeasedTransactions | None = None

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the SQLite file of that path or URL, or the PostgreSQL database of that URL.

        A new SQLite file is created; missing tables and migrations are applied.
        """
        return cls(open_engines(url))

    def close(self) -> None:
        """Close every connection."""
        self._engines.close()

    def __enter__(self) -> Self:
        """Return the database itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close every connection."""
        self.close()

    def acquire_lease(self, search_id: int, notify: Notify) -> None:
        """Acquire the lease of a search until `release_lease`; raises LeaseHeld when another process has it.

        Under the lease all writes belong to that search. A write raises LeaseLost when another process has taken the
        search over (write/lease.py). When the server stops answering, each method tries again for RETRY_SECONDS
        (retry.py); it does its work once, whatever an earlier attempt has committed. `notify` gets a line about that.
        When the time is over, the method raises ConnectionLost.
        """
        wanted = lease.Lease(search_id, uuid4().hex)
        self._transact(lambda connection: lease.acquire(connection, wanted, this_process()))
        self._leased = LeasedTransactions(self._engines, wanted, notify)

    def renew_lease(self) -> None:
        """Renew the lease, if there is one; any thread may call this, and it tries only once."""
        leased = self._leased
        if leased is not None:
            self._transact(lambda connection: lease.renew(connection, leased.lease))

    def release_lease(self) -> None:
        """Release the lease, if there is one."""
        leased, self._leased = self._leased, None
        if leased is not None:
            self._transact(lambda connection: lease.release(connection, leased.lease))

    def start_search(self, record: SearchRecord) -> int:
        """Record a new running search; return its id."""
        return self._write(searches.start_search, record)

    def resume_search(self, search_id: int, budget: int) -> None:
        """Set a search running again, with this budget."""
        self._write(searches.resume_search, search_id, budget)

    def finish_search(self, search_id: int, state: SearchState) -> None:
        """Set a search to the state finished or interrupted."""
        self._write(searches.finish_search, search_id, state)

    def add_trial(
        self,
        search_id: int,
        number: int,
        configuration: Mapping[str, Any],
        configuration_key: str,
        state: Literal["proposed", "building"] = "proposed",
    ) -> int:
        """Record a proposed trial; return its id. A search takes each number and each configuration once."""
        return self.add_trials(search_id, (NewTrial(number, configuration, configuration_key),), state)[0]

    def add_trials(
        self, search_id: int, trials: Sequence[NewTrial], state: Literal["proposed", "building"] = "proposed"
    ) -> tuple[int, ...]:
        """Record proposed trials, all or none; return their ids in the order of `trials`."""

        def add(connection: Connection) -> tuple[int, ...]:
            return searches.add_trials(connection, search_id, trials, state)

        def recall(connection: Connection) -> tuple[int, ...]:
            return searches.ids_by_number(connection, search_id, [proposed.number for proposed in trials])

        return self._transact(add) if self._leased is None else self._leased.write(add, recall)

    def record_outcome(self, trial_id: int, outcome: OutcomeRecord) -> None:
        """Record a trial's outcome: builds, gates, timings and, where it qualifies, its leaderboard entries.

        A passed trial is listed once for each workload with a cold timing that was not censored, unless it shares
        another trial's binary. Raises DatabaseError when the trial has its outcome already.
        """
        self.record_outcomes(((trial_id, outcome),))

    def record_outcomes(
        self, outcome_by_trial: Sequence[tuple[int, OutcomeRecord]], measuring: Sequence[int] = ()
    ) -> None:
        """Record the outcomes of trials by their ids, as `record_outcome` does for each; all or none.

        The same transaction first marks the trials `measuring` as being measured.
        """
        self._write(outcomes.record_outcomes, outcome_by_trial, measuring)

    def known_keys(self, keys: Sequence[str]) -> frozenset[str]:
        """Return the reuse keys that some trial has."""
        return self._read(reusable_outcomes.known_keys, keys)

    def reusable(self, keys: Sequence[str]) -> Reusable | None:
        """Return a trial of any search with one of these reuse keys, one that was timed to the end before others."""
        return self._read(reusable_outcomes.find, keys)

    def reuse(self, trial_id: int, origin: int, reason: str) -> bool:
        """Give a trial the outcome and the builds of `origin`, without its other evidence; `reason` says so.

        Returns False, and writes nothing, when the origin's outcome may not be reused any more.
        """
        return self._write(reuse.copy_outcome, trial_id, origin, reason) is not None

    def record_confirmation(
        self,
        trial_id: int,
        device: DeviceRecord,
        gates: Sequence[GateLike],
        timings: Sequence[TimingLike],
        passed: bool,
        reason: str | None,
        builds: Sequence[BuildRecord] = (),
    ) -> None:
        """Record a passed trial's confirmation; `builds` are those that were timed and not recorded before.

        When `passed`, its leaderboard entries get the confirming timings and count as confirmed. Otherwise it fails at
        the gate `confirm`, with every trial that shares its binary, and its entries are deleted. Raises NotPassed when
        it has failed meanwhile.
        """
        self._write(outcomes.record_confirmation, trial_id, device, gates, timings, passed, reason, builds)

    def record_certification(
        self, trial_id: int, certification: CertificationRecord, builds: Sequence[BuildRecord] = ()
    ) -> tuple[str, ...]:
        """Record a passed trial's certification, passed or not; return the workloads of the entries that it covers.

        It covers the trial's leaderboard entries whose timing used the build that was checked. The latest
        certification of a build counts. `builds` are those that were checked and not recorded before.
        """
        return self._write(findings.record_certification, trial_id, certification, builds)

    def record_profile(self, trial_id: int, profile: ProfileRecord, builds: Sequence[BuildRecord] = ()) -> None:
        """Record hardware counters of a trial's build; `builds` as for `record_certification`."""
        self._write(findings.record_profile, trial_id, profile, builds)

    def record_diagnosis(self, trial_id: int, stages: Sequence[DiagnosisRecord]) -> None:
        """Record the stages at which a trial goes wrong; this replaces a diagnosis of the same workloads."""
        self._write(findings.record_diagnosis, trial_id, stages)

    def record_health_check(self, search_id: int, check: HealthCheckRecord) -> int:
        """Record a health check of a search's worker; return its id."""
        return self._write(health_checks.record_health_check, search_id, check)

    def reopen_trials(self, search_id: int, health_check_id: int, numbers: Sequence[int]) -> None:
        """Reopen the trials with these numbers, whose worker failed that health check, to be measured again.

        Trials that share their binaries are reopened too. Their leaderboard entries are deleted; the outcomes that they
        lose are kept as unreliable.
        """
        self._write(health_checks.reopen_trials, search_id, health_check_id, numbers)

    def withdraw(self, trial_id: int, reason: str) -> None:
        """Fail a passed trial at the gate `certify`, with every trial that shares its binary; delete its entries."""
        self._write(outcomes.withdraw, trial_id, reason)

    def leaderboard(self, wanted: LeaderboardFilter) -> list[LeaderboardEntry]:
        """Return the entries that fit, by kernel, target, device, workload and rank; `top` counts within each group.

        Devices of one name rank together. Confirmed entries come first, then the higher speed-up, then the older
        trial. A filter by trial keeps its rank among all entries; every other filter ranks only the entries that fit.
        """
        return self._read(ranking.ranked, wanted)

    def starting_points(self, kernel: str, top: int) -> list[StartingPoint]:
        """Return entries from which a search may start: the best `top` of each version, target, device and workload."""
        return self._read(warm_start.starting_points, kernel, top)

    def load_search(self, search_id: int) -> StoredSearch:
        """Return a search with its trials in the order of their numbers."""
        return self._read(stored_searches.load_search, search_id, this_process())

    def measured_on(self, search_id: int) -> DeviceRecord | None:
        """Return the device of a search's first measured trial, None before that; all devices are of one model."""
        return self._read(stored_searches.measured_on, search_id)

    def own_binaries(self, search_id: int) -> tuple[OwnBinary, ...]:
        """Return a search's trials whose outcome others with the same binaries share, in the order of their numbers."""
        return self._read(stored_searches.own_binaries, search_id)

    def builds(self, search_id: int) -> dict[int, tuple[BuildRecord, ...]]:
        """Return the builds of all trials of a search that have any, by the trial's id."""
        return self._read(stored_searches.builds, search_id)

    def searches(self) -> list[SearchSummary]:
        """Return all searches, the oldest first."""
        return self._read(stored_searches.searches, this_process())

    def trial(self, trial_id: int) -> TrialDetails:
        """Return everything that is recorded about one trial."""
        return self._read(trial_details.trial_details, trial_id)

    def _read(
        self, query: Callable[Concatenate[Connection, Arguments], Result], *args: Arguments.args, **kw: Arguments.kwargs
    ) -> Result:
        if self._leased is not None:
            return self._leased.read(lambda connection: query(connection, *args, **kw))
        return transact(self._engines.read, self._engines.shown, lambda connection: query(connection, *args, **kw))

    def _write(
        self, work: Callable[Concatenate[Connection, Arguments], Result], *args: Arguments.args, **kw: Arguments.kwargs
    ) -> Result:
        if self._leased is not None:
            return self._leased.write(lambda connection: work(connection, *args, **kw))
        return self._transact(lambda connection: work(connection, *args, **kw))

    def _transact(self, work: Callable[[Connection], Result]) -> Result:
        return transact(self._engines.write, self._engines.shown, work)
