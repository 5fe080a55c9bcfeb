"""`--warm-start`: a search begins with the best of earlier ones, at the nearest workloads and devices.

These starting points are proposals like any other: built, checked and timed. Sources are ordered by device (the same
model, the same target, any of the same kind), then by workload (see WorkloadDistance), then by version of the kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from evotune.planning.distance import WorkloadDistance, device_distance, workload_distance
from evotune_db.records import StartingPoint

if TYPE_CHECKING:
    from evotune.planning.plan import Plan
    from evotune.planning.request import SearchRequest
    from evotune.space import ValidSet
    from evotune_db import Database
    from evotune_db.records import SearchRecord, StoredSearch, TrialDetails
    from evotune_workers.kernel.device import Device

# Key of a search's options in the record, for its starting points.
OPTION = "warm_start"
# A twentieth of the default budget, and a tenth of any: no more is lost when starting points teach nothing.
MOST, BUDGET_FOR_ONE = 10, 10
# Taken from each source in turn: only a measurement shows which of the near sources is most alike.
IN_TURN = 3
# Parameters that may take another value in a starting point that is not valid here.
MOST_CHANGED = 2
# Searches for a nearest valid configuration: each walks through the valid set, a second where that has millions.
MOST_LOOKED_FOR = 20
# Entries read from each source, a quarter of the default budget: under tighter limits the first are not valid.
DEPTH = 50


def starting_points_of(
    request: SearchRequest,
    stored: StoredSearch | None,
    database: Database,
    plan: Plan,
    device: Device,
    valid: ValidSet,
) -> tuple[StartingPoint, ...]:
    """Return the starting points of a search, trial by trial; empty without a warm start, and where nothing fits.

    A resumed search keeps those that it began with, whatever the leaderboard has by now.
    """
    if stored is not None:
        return recorded_starting_points(stored.record)
    if not request.warm_start:
        return ()
    return choose_starting_points(database.starting_points(plan.kernel.name, DEPTH), plan, device, valid)


def choose_starting_points(
    found: Sequence[StartingPoint], plan: Plan, device: Device, valid: ValidSet
) -> tuple[StartingPoint, ...]:
    """Return the nearest and best starting points: distinct, at most 10, and a tenth of the budget rounded up.

    An invalid configuration is replaced by the nearest valid one, if few parameters change: where a head is twice as
    large, the best tile has half the keys.
    """
    most = min(MOST, math.ceil(plan.budget / BUDGET_FOR_ONE))
    chosen: dict[int, StartingPoint] = {}
    looked = 0
    for starting_point in _by_distance(found, plan, device):
        number = valid.index_or_none(starting_point.configuration)
        if number is None and looked < MOST_LOOKED_FOR:
            looked += 1
            number = valid.nearest(starting_point.configuration)
        if number is None:
            continue
        configuration = valid.configuration(number)
        changed = sum(configuration[name] != value for name, value in starting_point.configuration.items())
        if changed <= MOST_CHANGED:
            chosen.setdefault(number, replace(starting_point, configuration=configuration, changed=changed))
        if len(chosen) == most:
            break
    return tuple(chosen.values())


def as_option(starting_points: Sequence[StartingPoint]) -> list[dict[str, Any]]:
    """Return starting points as an option of the search's record."""
    return [asdict(starting_point) for starting_point in starting_points]


def recorded_starting_points(record: SearchRecord) -> tuple[StartingPoint, ...]:
    """Return the starting points of a stored search, trial by trial; empty for one without a warm start."""
    return tuple(StartingPoint(**each) for each in record.options.get(OPTION) or ())


def origin(details: TrialDetails) -> StartingPoint | None:
    """Return the starting point of a trial; None for a trial that a sampler proposed."""
    starting_points, number = recorded_starting_points(details.record), details.trial.number
    return starting_points[number] if number < len(starting_points) else None


def in_words(starting_points: Sequence[StartingPoint]) -> str:
    """Describe starting points and their sources in a line."""
    if not starting_points:
        return "nothing on the leaderboard fits, the search begins as any other"
    searches = len({starting_point.search for starting_point in starting_points})
    places = dict.fromkeys(
        f"{starting_point.workload} on {starting_point.device}" for starting_point in starting_points
    )
    counted = f"{_count(len(starting_points), 'configuration')} from {_count(searches, 'search', 'es')}"
    return f"{counted} ({'; '.join(places)})"


def _by_distance(found: Sequence[StartingPoint], plan: Plan, device: Device) -> list[StartingPoint]:
    """Return those of the same kind of device, at workloads that the kernel still has, nearest first."""
    distances = _workload_distances(plan)
    near = [each for each in found if each.device_kind == device.kind and each.workload in distances]
    return sorted(near, key=lambda each: _rank(each, plan, device, distances[each.workload]))


def _rank(starting_point: StartingPoint, plan: Plan, device: Device, distance: WorkloadDistance) -> tuple[Any, ...]:
    turn = (starting_point.place - 1) // IN_TURN
    apart = device_distance(device, starting_point.device, starting_point.target)
    other_version = starting_point.kernel_hash != plan.package.source_hash
    return turn, apart, distance, other_version, starting_point.place, starting_point.trial


def _workload_distances(plan: Plan) -> dict[str, WorkloadDistance]:
    """Return the distance of each of the kernel's workloads from the nearest one that is searched for."""
    variant = plan.variant
    supported = {each.name: each for each in plan.kernel.workloads if variant.supports(each)}
    wanted = [supported[name] for name in plan.workloads]
    return {
        name: min(workload_distance(variant, each, workload) for workload in wanted) for name, each in supported.items()
    }


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number} {what}{plural if number != 1 else ''}"
