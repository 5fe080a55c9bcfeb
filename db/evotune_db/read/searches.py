"""Read searches: one search as resume needs it, its builds and binaries, and the list of all."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields
from datetime import datetime

from sqlalchemy import Connection, Subquery, and_, exists, func, select, union_all

from evotune_db.lease_status import OWNER, is_leased
from evotune_db.lookups import database_time, one_row
from evotune_db.process_identity import ProcessIdentity
from evotune_db.records import (
    FINISHED,
    BuildRecord,
    DeviceRecord,
    OutcomeRecord,
    OwnBinary,
    SearchState,
    SearchSummary,
    ShownState,
    StoredSearch,
)
from evotune_db.rows import (
    BUILD_FIELDS,
    TRIAL_FIELDS,
    AnyRow,
    build_record,
    device_record,
    search_record,
    stored_trial,
)
from evotune_db.schema.lease_table import lease
from evotune_db.schema.tables import build, device, leaderboard, search, space, timing, trial, trial_build

# The phase of evidence that does not count any more, since its trial lost the outcome.
UNRELIABLE = "suspect"
# A trial that shares another's binary shares its timing.
CENSORED = exists().where(
    timing.c.trial_id == func.coalesce(trial.c.same_binary_as, trial.c.id),
    timing.c.censored,
    timing.c.phase != UNRELIABLE,
)
STORED_TRIAL = select(*(trial.c[name] for name in TRIAL_FIELDS), CENSORED.label("censored"))
SEARCH = select(search, space.c.text).join(
    space, and_(search.c.space == space.c.name, search.c.space_hash == space.c.hash)
)
HAS_LEASE = lease.c.search_id == search.c.id


def load_search(connection: Connection, search_id: int, asking: ProcessIdentity) -> StoredSearch:
    """Return a search with its trials in the order of their numbers."""
    with_owner = SEARCH.add_columns(*OWNER).join(lease, HAS_LEASE, isouter=True)
    row = one_row(connection, with_owner.where(search.c.id == search_id), "search", search_id)
    trials = connection.execute(STORED_TRIAL.where(trial.c.search_id == search_id).order_by(trial.c.number))
    state = _state(row, asking, database_time(connection))
    return StoredSearch(row.id, search_record(row), state, tuple(map(stored_trial, trials)))


def measured_on(connection: Connection, search_id: int) -> DeviceRecord | None:
    """Return the device of a search's first trial that was measured or reused; None without one."""
    of_search = (trial.c.search_id == search_id) & trial.c.device_id.is_not(None)
    query = select(device).join(trial, trial.c.device_id == device.c.id).where(of_search).order_by(trial.c.number)
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else device_record(row)


def own_binaries(connection: Connection, search_id: int) -> tuple[OwnBinary, ...]:
    """Return the trials of a search whose outcomes may be shared by later trials with the same binaries."""
    beyond_builds = trial.c.failed_gate.is_(None) | trial.c.failed_gate.not_in(("build", "resources"))
    measured_anew = trial.c.own_binary | trial.c.reused_from.is_not(None)
    query = (
        STORED_TRIAL.add_columns(trial.c.device_id)
        .where(trial.c.search_id == search_id, trial.c.state.in_(FINISHED), measured_anew, beyond_builds)
        .order_by(trial.c.number)
    )
    hashes = _hashes_of(connection, search_id)
    devices: dict[int | None, DeviceRecord] = {row.id: device_record(row) for row in connection.execute(select(device))}
    return tuple(
        OwnBinary(
            trial=row.reused_from or row.id,
            number=row.number,
            configuration=row.configuration,
            hashes=tuple(hashes[row.id]),
            censored=bool(row.censored),
            outcome=OutcomeRecord(
                row.state, row.failed_gate, row.reason, row.objective, device=devices.get(row.device_id)
            ),
        )
        for row in connection.execute(query)
    )


def searches(connection: Connection, asking: ProcessIdentity) -> list[SearchSummary]:
    """Return all searches, the oldest first."""
    state = trial.c.state
    counts = (
        select(
            trial.c.search_id,
            func.count().filter(state.in_(FINISHED)).label("built"),
            func.count().filter(state == "passed").label("passed"),
            func.count().filter(state == "failed").label("failed"),
            func.min(trial.c.objective).label("best_objective"),
        )
        .group_by(trial.c.search_id)
        .subquery()
    )
    listed = _listed_by_search()
    order = (listed.c.confirmed.desc(), listed.c.speedup.desc(), listed.c.trial_id)
    place = func.row_number().over(partition_by=listed.c.search_id, order_by=order).label("place")
    best = select(listed.c.search_id, listed.c.trial_id, listed.c.speedup, place).subquery()
    columns = ("id", "kernel", "target", "workloads", "sampler", "seed", "budget", "state", "started", "finished")
    query = (
        select(
            *(search.c[name] for name in columns),
            *(func.coalesce(counts.c[name], 0).label(name) for name in ("built", "passed", "failed")),
            best.c.trial_id.label("best_trial"),
            best.c.speedup.label("best_speedup"),
            counts.c.best_objective,
            *OWNER,
        )
        .join_from(search, counts, search.c.id == counts.c.search_id, isouter=True)
        .join(best, and_(search.c.id == best.c.search_id, best.c.place == 1), isouter=True)
        .join(lease, HAS_LEASE, isouter=True)
        .order_by(search.c.id)
    )
    moment = database_time(connection)
    return [_summary(row, _state(row, asking, moment)) for row in connection.execute(query)]


def builds(connection: Connection, search_id: int) -> dict[int, tuple[BuildRecord, ...]]:
    """Return the builds of all trials of a search that have any, by the trial's id."""
    query = (
        select(trial_build.c.trial_id, *(build.c[name] for name in BUILD_FIELDS))
        .join_from(trial_build, build)
        .join(trial, trial.c.id == trial_build.c.trial_id)
        .where(trial.c.search_id == search_id)
        .order_by(trial_build.c.trial_id, trial_build.c.position)
    )
    found: dict[int, list[BuildRecord]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.trial_id].append(build_record(row))
    return {trial_id: tuple(records) for trial_id, records in found.items()}


def _summary(row: AnyRow, state: ShownState) -> SearchSummary:
    known = {each.name: getattr(row, each.name) for each in fields(SearchSummary)}
    return SearchSummary(**{**known, "workloads": tuple(row.workloads), "state": state})


def _state(row: AnyRow, asking: ProcessIdentity, moment: datetime) -> ShownState:
    """Return the state to show; the row has the stored state and the lease of one statement, since both may change."""
    recorded: SearchState = row.state
    return "abandoned" if recorded == "running" and not is_leased(row, asking, moment) else recorded


def _listed_by_search() -> Subquery:
    """Select entries by search: those of the search's own trials, and those of the trials that it reused."""
    shown = [leaderboard.c[name] for name in ("trial_id", "confirmed", "speedup")]
    own = select(leaderboard.c.search_id, *shown)
    reused_trial = trial.c.reused_from == leaderboard.c.trial_id
    reused = select(trial.c.search_id, *shown).join_from(trial, leaderboard, reused_trial)
    return union_all(own, reused).subquery()


def _hashes_of(connection: Connection, search_id: int) -> dict[int, list[str]]:
    """Return the hashes of a search's binaries by trial, in the order of its builds."""
    query = (
        select(trial_build.c.trial_id, build.c.binary_hash)
        .join_from(trial_build, build)
        .join(trial, trial.c.id == trial_build.c.trial_id)
        .where(trial.c.search_id == search_id)
        .order_by(trial_build.c.trial_id, trial_build.c.position)
    )
    hashes: dict[int, list[str]] = defaultdict(list)
    for trial_id, binary_hash in connection.execute(query):
        hashes[trial_id].append(binary_hash)
    return hashes
