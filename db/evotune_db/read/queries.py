"""Reads: a search as resume needs it, the list of searches, everything of one trial."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, Subquery, and_, exists, func, select, union_all

from evotune_db.holder import Holder
from evotune_db.read.findings import certifications_of, diagnoses_of, profiles_of
from evotune_db.read.ranking import ranked
from evotune_db.records import (
    FINISHED,
    BuildRecord,
    DeviceRecord,
    LeaderboardFilter,
    OutcomeRecord,
    OwnBinary,
    SearchState,
    SearchSummary,
    ShownState,
    StoredSearch,
    TrialDetails,
)
from evotune_db.rows import (
    BUILD_FIELDS,
    GATE_FIELDS,
    TIMING_FIELDS,
    TRIAL_FIELDS,
    build_record,
    device_record,
    gate_record,
    search_record,
    stored_trial,
    timing_record,
)
from evotune_db.schema.lease_table import lease
from evotune_db.schema.tables import build, device, gate_result, leaderboard, search, space, timing, trial, trial_build
from evotune_db.write.health_checks import suspects_of
from evotune_db.write.lease import HOLDER, is_held, time_of
from evotune_db.write.statements import only

# Of evidence that does not count any more.
SUSPECT = "suspect"
# A trial that shares another's binary shares its timing.
CENSORED = exists().where(
    timing.c.trial_id == func.coalesce(trial.c.same_binary_as, trial.c.id), timing.c.censored, timing.c.phase != SUSPECT
)
STORED_TRIAL = select(*(trial.c[name] for name in TRIAL_FIELDS), CENSORED.label("censored"))
SEARCH = select(search, space.c.text).join(
    space, and_(search.c.space == space.c.name, search.c.space_hash == space.c.hash)
)
OF_LEASE = lease.c.search_id == search.c.id


def load_search(connection: Connection, search_id: int, asking: Holder) -> StoredSearch:
    """A search with its trials in the order of their numbers."""
    with_holder = SEARCH.add_columns(*HOLDER).join(lease, OF_LEASE, isouter=True)
    row = only(connection, with_holder.where(search.c.id == search_id), "search", search_id)
    trials = connection.execute(STORED_TRIAL.where(trial.c.search_id == search_id).order_by(trial.c.number))
    state = _state(row, asking, time_of(connection))
    return StoredSearch(row.id, search_record(row), state, tuple(map(stored_trial, trials)))


def measured_on(connection: Connection, search_id: int) -> DeviceRecord | None:
    """The device of a search's first trial that was measured, or taken over."""
    of_search = (trial.c.search_id == search_id) & trial.c.device_id.is_not(None)
    query = select(device).join(trial, trial.c.device_id == device.c.id).where(of_search).order_by(trial.c.number)
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else device_record(row)


def own_binaries(connection: Connection, search_id: int) -> tuple[OwnBinary, ...]:
    """What trials that have the same binaries as an earlier one share with it."""
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


def searches(connection: Connection, asking: Holder) -> list[SearchSummary]:
    """All searches, the oldest first."""
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
    plain = ("id", "kernel", "target", "workloads", "sampler", "seed", "budget", "state", "started", "finished")
    query = (
        select(
            *(search.c[name] for name in plain),
            *(func.coalesce(counts.c[name], 0).label(name) for name in ("built", "passed", "failed")),
            best.c.trial_id.label("best_trial"),
            best.c.speedup.label("best_speedup"),
            counts.c.best_objective,
            *HOLDER,
        )
        .join_from(search, counts, search.c.id == counts.c.search_id, isouter=True)
        .join(best, and_(search.c.id == best.c.search_id, best.c.place == 1), isouter=True)
        .join(lease, OF_LEASE, isouter=True)
        .order_by(search.c.id)
    )
    moment = time_of(connection)
    return [_summary(row, _state(row, asking, moment)) for row in connection.execute(query)]


def trial_details(connection: Connection, trial_id: int) -> TrialDetails:
    """Everything recorded of one trial that counts, in the order in which it was recorded; and what it gave up."""
    facts = (trial.c.search_id, trial.c.device_id, trial.c.same_binary_as, trial.c.proposed, trial.c.finished)
    row = only(connection, STORED_TRIAL.add_columns(*facts).where(trial.c.id == trial_id), "trial", trial_id)
    found_on = connection.execute(select(device).where(device.c.id == row.device_id)).one_or_none()
    return TrialDetails(
        trial=stored_trial(row),
        search=row.search_id,
        record=search_record(connection.execute(SEARCH.where(search.c.id == row.search_id)).one()),
        device=None if found_on is None else device_record(found_on),
        same_binary_as=row.same_binary_as,
        proposed=row.proposed,
        finished=row.finished,
        builds=tuple(map(build_record, connection.execute(_builds_of(trial_id)))),
        gates=tuple(map(gate_record, connection.execute(_gates_of(trial_id)))),
        timings=tuple(map(timing_record, connection.execute(_timings_of(trial_id)))),
        leaderboard=tuple(ranked(connection, LeaderboardFilter(trial=trial_id))),
        certifications=certifications_of(connection, trial_id),
        profiles=profiles_of(connection, trial_id),
        diagnoses=diagnoses_of(connection, trial_id),
        suspects=suspects_of(connection, trial_id),
    )


def builds(connection: Connection, search_id: int) -> dict[int, tuple[BuildRecord, ...]]:
    """The builds of all trials of a search that have any, by the trial's id."""
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


def _summary(row: Row[*tuple[Any, ...]], state: ShownState) -> SearchSummary:
    known = {each.name: getattr(row, each.name) for each in fields(SearchSummary)}
    return SearchSummary(**{**known, "workloads": tuple(row.workloads), "state": state})


def _state(row: Row[*tuple[Any, ...]], asking: Holder, moment: datetime) -> ShownState:
    """By a row with the search's state and its lease's holder, of one statement: both change when a search ends."""
    recorded: SearchState = row.state
    return "abandoned" if recorded == "running" and not is_held(row, asking, moment) else recorded


def _listed_by_search() -> Subquery:
    """Entries with the searches that they are the results of: of the trial's own, and of those that reused it."""
    shown = [leaderboard.c[name] for name in ("trial_id", "confirmed", "speedup")]
    own = select(leaderboard.c.search_id, *shown)
    of_another = trial.c.reused_from == leaderboard.c.trial_id
    reused = select(trial.c.search_id, *shown).join_from(trial, leaderboard, of_another)
    return union_all(own, reused).subquery()


def _hashes_of(connection: Connection, search_id: int) -> dict[int, list[str]]:
    """The hashes of a search's binaries by trial, in the order of its builds."""
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


def _builds_of(trial_id: int) -> Select[*tuple[object, ...]]:
    columns = [build.c[name] for name in BUILD_FIELDS]
    return select(*columns).join(trial_build).where(trial_build.c.trial_id == trial_id).order_by(trial_build.c.position)


def _gates_of(trial_id: int) -> Select[*tuple[object, ...]]:
    columns = [gate_result.c[name] for name in GATE_FIELDS]
    counts = (gate_result.c.trial_id == trial_id) & (gate_result.c.phase != SUSPECT)
    return select(*columns).where(counts).order_by(gate_result.c.id)


def _timings_of(trial_id: int) -> Select[*tuple[object, ...]]:
    columns = [timing.c[name] for name in TIMING_FIELDS]
    counts = (timing.c.trial_id == trial_id) & (timing.c.phase != SUSPECT)
    return select(*columns, build.c.key).join(build).where(counts).order_by(timing.c.id)
