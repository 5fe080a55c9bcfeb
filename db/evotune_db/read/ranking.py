"""Read the leaderboard, ranked in SQL."""

from __future__ import annotations

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    Connection,
    ScalarSelect,
    Subquery,
    func,
    or_,
    select,
    true,
    tuple_,
)

from evotune_db.records import LeaderboardEntry, LeaderboardFilter
from evotune_db.schema.finding_tables import profile
from evotune_db.schema.tables import device, leaderboard, timing, trial

GROUP = tuple(leaderboard.c[name] for name in ("kernel", "target", "device", "workload"))
# Confirmed figures come from a fresh process; they rank before faster figures that were measured only once.
ORDER = (leaderboard.c.confirmed.desc(), leaderboard.c.speedup.desc(), leaderboard.c.trial_id)
_RANK = func.row_number().over(partition_by=GROUP, order_by=ORDER).label("rank")
SHOWN = (
    *(timing.c[name] for name in ("median_us", "speedup", "speedup_low", "speedup_high", "baseline", "baseline_us")),
    *(leaderboard.c[name] for name in ("kernel", "target", "device", "workload", "confirmed", "certified")),
    *(profile.c[name] for name in ("tensor_active_pct", "achieved_occupancy_pct")),
)


def ranked(connection: Connection, wanted: LeaderboardFilter) -> list[LeaderboardEntry]:
    """Return entries by kernel, target, device, workload and rank; `top` counts within each such group.

    A filter by trial keeps its rank among all entries; every other filter ranks only the entries that fit it.
    """
    ranks = _ranks(connection, wanted)
    query = (
        select(ranks.c.rank, trial.c.id.label("trial"), trial.c.configuration, *SHOWN)
        .join_from(ranks, leaderboard, _same_entry(ranks.c.trial_id, ranks.c.workload))
        .join(trial, leaderboard.c.trial_id == trial.c.id)
        .join(timing, leaderboard.c.timing_id == timing.c.id)
        .outerjoin(profile, profile.c.id == _latest_profile())
        .order_by(*GROUP, ranks.c.rank)
    )
    if wanted.trial is not None:
        query = query.where(ranks.c.trial_id == wanted.trial)
    elif wanted.top is not None:
        query = query.where(ranks.c.rank <= wanted.top)
    return [LeaderboardEntry(**row._mapping) for row in connection.execute(query)]


def _ranks(connection: Connection, wanted: LeaderboardFilter) -> Subquery:
    """Select the keys and ranks of the entries that fit, or of more than that."""
    # A search's entries are few, and an entry's rank depends on all others.
    few = wanted.top is None or wanted.search is not None or wanted.trial is not None
    if connection.dialect.name == "postgresql" and not few:
        return _first_of_each_group(wanted)
    # Only columns of the ranking's index: 100,000 rows are then ranked without reading the table.
    return select(leaderboard.c.trial_id, leaderboard.c.workload, _RANK).where(*_conditions(wanted)).subquery()


def _first_of_each_group(wanted: LeaderboardFilter) -> Subquery:
    """Read only the wanted part of the ranking's index: step from group to group, and into each."""
    groups = _groups()
    of_group = [column == groups.c[column.name] for column in GROUP]
    first = select(leaderboard).where(*of_group, *_conditions(wanted)).order_by(*ORDER).limit(wanted.top).lateral()
    number = func.row_number().over(
        partition_by=[first.c[column.name] for column in GROUP],
        order_by=[first.c.confirmed.desc(), first.c.speedup.desc(), first.c.trial_id],
    )
    exact = {"kernel": wanted.kernel, "target": wanted.target, "workload": wanted.workload}
    asked = [groups.c[name] == value for name, value in exact.items() if value is not None]
    if wanted.device is not None:
        asked.append(groups.c.device.in_(select(device.c.name).where(_device_fits(wanted.device))))
    ranked_first = select(first.c.trial_id, first.c.workload, number.label("rank"))
    return ranked_first.select_from(groups.join(first, true())).where(*asked).subquery()


def _groups() -> CTE:
    """Select every group once, each as the index's first after the last (PostgreSQL wiki, "Loose indexscan")."""
    ordered = select(*GROUP).order_by(*GROUP).limit(1)
    groups = select(ordered.subquery()).cte("groups", recursive=True)
    after = tuple_(*GROUP) > tuple_(*(groups.c[column.name] for column in GROUP))
    following = ordered.where(after).lateral()
    return groups.union_all(select(following).select_from(groups.join(following, true())))


def _conditions(wanted: LeaderboardFilter) -> list[ColumnElement[bool]]:
    exact = {"kernel": wanted.kernel, "target": wanted.target, "workload": wanted.workload}
    conditions = [leaderboard.c[name] == value for name, value in exact.items() if value is not None]
    if wanted.search is not None:
        conditions.append(leaderboard.c.trial_id.in_(_listed_for(wanted.search)))
    if wanted.device is not None:
        conditions.append(leaderboard.c.device_id.in_(select(device.c.id).where(_device_fits(wanted.device))))
    return conditions


def _listed_for(search: int) -> CompoundSelect[tuple[int]]:
    """Select the trials of a search and those it reused. A union reads an index for each; an OR reads every entry."""
    entry = leaderboard.alias()
    own = select(entry.c.trial_id).where(entry.c.search_id == search)
    return own.union_all(
        select(trial.c.reused_from).where(trial.c.search_id == search, trial.c.reused_from.is_not(None))
    )


def _device_fits(part: str) -> ColumnElement[bool]:
    return or_(*(column.icontains(part, autoescape=True) for column in (device.c.name, device.c.uuid)))


def _latest_profile() -> ScalarSelect[int]:
    """Select the id of the latest profile of the entry's build at the entry's workload."""
    made = profile.alias()
    same = (made.c[name] == leaderboard.c[name] for name in ("trial_id", "build_id", "workload"))
    return select(func.max(made.c.id)).where(*same).correlate(leaderboard).scalar_subquery()


def _same_entry(trial_id: ColumnElement[int], workload: ColumnElement[str]) -> ColumnElement[bool]:
    return (leaderboard.c.trial_id == trial_id) & (leaderboard.c.workload == workload)
