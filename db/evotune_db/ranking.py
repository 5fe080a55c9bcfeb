"""The leaderboard, ranked in SQL."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, ScalarSelect, func, or_, select

from evotune_db.finding_tables import profile
from evotune_db.records import LeaderboardEntry, LeaderboardFilter
from evotune_db.schema import device, leaderboard, timing, trial

GROUP = tuple(leaderboard.c[name] for name in ("kernel", "target", "device", "workload"))
# Confirmed figures come from a fresh process and count for more than faster ones that were measured once.
ORDER = (leaderboard.c.confirmed.desc(), leaderboard.c.speedup.desc(), leaderboard.c.trial_id)
SHOWN = (
    *(timing.c[name] for name in ("median_us", "speedup", "speedup_low", "speedup_high", "baseline", "baseline_us")),
    *(leaderboard.c[name] for name in ("kernel", "target", "device", "workload", "confirmed", "certified")),
    *(profile.c[name] for name in ("tensor_active_pct", "achieved_occupancy_pct")),
)


def ranked(connection: Connection, wanted: LeaderboardFilter) -> list[LeaderboardEntry]:
    """Entries by kernel, target, device, workload and rank; `top` counts within each such group.

    A filter by trial leaves the rank as it is among all others, every other filter ranks what it lets through.
    """
    # Only what the ranking's index holds: 100,000 rows are then ranked without touching the table.
    number = func.row_number().over(partition_by=GROUP, order_by=ORDER).label("rank")
    ranks = select(leaderboard.c.trial_id, leaderboard.c.workload, number).where(*_conditions(wanted)).subquery()
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


def _conditions(wanted: LeaderboardFilter) -> list[ColumnElement[bool]]:
    exact = {"kernel": wanted.kernel, "target": wanted.target, "workload": wanted.workload}
    conditions = [leaderboard.c[name] == value for name, value in exact.items() if value is not None]
    if wanted.search is not None:
        reused = select(trial.c.reused_from).where(trial.c.search_id == wanted.search, trial.c.reused_from.is_not(None))
        conditions.append(or_(leaderboard.c.search_id == wanted.search, leaderboard.c.trial_id.in_(reused)))
    if wanted.device is not None:
        fits = or_(*(column.icontains(wanted.device, autoescape=True) for column in (device.c.name, device.c.uuid)))
        conditions.append(leaderboard.c.device_id.in_(select(device.c.id).where(fits)))
    return conditions


def _latest_profile() -> ScalarSelect[int]:
    """The entry's build at the entry's workload, profiled last."""
    made = profile.alias()
    same = (made.c[name] == leaderboard.c[name] for name in ("trial_id", "build_id", "workload"))
    return select(func.max(made.c.id)).where(*same).correlate(leaderboard).scalar_subquery()


def _same_entry(trial_id: ColumnElement[int], workload: ColumnElement[str]) -> ColumnElement[bool]:
    return (leaderboard.c.trial_id == trial_id) & (leaderboard.c.workload == workload)
