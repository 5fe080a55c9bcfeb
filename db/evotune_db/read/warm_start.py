"""Read the best entries of earlier searches of a kernel, from which a new search may start."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from evotune_db.read.ranking import GROUP, ORDER
from evotune_db.records import StartingPoint
from evotune_db.schema.tables import device, leaderboard, search, trial


def starting_points(connection: Connection, kernel: str, top: int) -> list[StartingPoint]:
    """Return the best `top` entries of each version, target, device and workload of a kernel, older searches first."""
    source = (search.c.kernel_hash, *GROUP)
    place = func.row_number().over(partition_by=source, order_by=ORDER).label("place")
    own = (leaderboard.c[name] for name in ("search_id", "trial_id", "device_id", "target", "device", "workload"))
    placed = (
        select(*own, search.c.kernel_hash, place)
        .join_from(leaderboard, search, leaderboard.c.search_id == search.c.id)
        .where(leaderboard.c.kernel == kernel)
        .subquery()
    )
    query = (
        select(
            placed.c.trial_id.label("trial"),
            placed.c.search_id.label("search"),
            *(placed.c[name] for name in ("kernel_hash", "target", "device", "workload", "place")),
            device.c.kind.label("device_kind"),
            trial.c.configuration,
        )
        .join_from(placed, trial, placed.c.trial_id == trial.c.id)
        .join(device, placed.c.device_id == device.c.id)
        .where(placed.c.place <= top)
        .order_by(placed.c.search_id, placed.c.workload, placed.c.place)
    )
    return [StartingPoint(**row._mapping) for row in connection.execute(query)]
