"""`--warm-start`: a search begins with the best that earlier ones found, at the nearest workloads and devices.

They are proposals like any other: built, checked and timed. Sources are ordered by device (the same model, the same
target, any of the same kind), then by workload (see WorkloadDistance), then by whether the kernel is the same version.
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

# The key of a search's options under which the record keeps what it began with.
OPTION = "warm_start"
# A twentieth of the default budget, and a tenth of any: no more is lost where the neighbours have nothing to teach.
MOST, BUDGET_FOR_ONE = 10, 10
# So many of each source in turn: which of the near ones is most alike shows only when they are measured.
IN_TURN = 3
# Of a configuration that is not valid here, so many parameters may take another value.
MOST_CHANGED = 2
# Each walks through the valid set: a second where that has millions.
MOST_LOOKED_FOR = 20
# Of each source, a quarter of the default budget: where limits are tighter than there, the first are not valid.
DEPTH = 50


def starting_points_of(
    request: SearchRequest,
    stored: StoredSearch | None,
    database: Database,
    plan: Plan,
    device: Device,
    valid: ValidSet,
) -> tuple[StartingPoint, ...]:
    """What a search begins with, trial by trial; empty without a warm start, and where nothing fits.

    A search that goes on has what it began with, whatever has come to the leaderboard since.
    """
    if stored is not None:
        return recorded_starting_points(stored.record)
    if not request.warm_start:
        return ()
    return choose_starting_points(database.starting_points(plan.kernel.name, DEPTH), plan, device, valid)


def choose_starting_points(
    found: Sequence[StartingPoint], plan: Plan, device: Device, valid: ValidSet
) -> tuple[StartingPoint, ...]:
    """The nearest and best of these: distinct, at most 10, and a tenth of the budget rounded up.

    One that is not valid here gives way to the valid one most like it, if that is very like it: where a head is twice
    as large, the best tile has half the keys.
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
    """As the record keeps them."""
    return [asdict(starting_point) for starting_point in starting_points]


def recorded_starting_points(record: SearchRecord) -> tuple[StartingPoint, ...]:
    """What a stored search began with, trial by trial; empty for one without a warm start."""
    return tuple(StartingPoint(**each) for each in record.options.get(OPTION) or ())


def origin(details: TrialDetails) -> StartingPoint | None:
    """What a trial's configuration was taken from; None for one that a sampler proposed."""
    starting_points, number = recorded_starting_points(details.record), details.trial.number
    return starting_points[number] if number < len(starting_points) else None


def in_words(starting_points: Sequence[StartingPoint]) -> str:
    """What a search was given, and where from."""
    if not starting_points:
        return "nothing on the leaderboard fits, the search begins as any other"
    searches = len({starting_point.search for starting_point in starting_points})
    places = dict.fromkeys(
        f"{starting_point.workload} on {starting_point.device}" for starting_point in starting_points
    )
    counted = f"{_count(len(starting_points), 'configuration')} from {_count(searches, 'search', 'es')}"
    return f"{counted} ({'; '.join(places)})"


def _by_distance(found: Sequence[StartingPoint], plan: Plan, device: Device) -> list[StartingPoint]:
    """Those of the same kind of device, at workloads that the kernel still has."""
    distances = _workload_distances(plan)
    near = [each for each in found if each.device_kind == device.kind and each.workload in distances]
    return sorted(near, key=lambda each: _rank(each, plan, device, distances[each.workload]))


def _rank(starting_point: StartingPoint, plan: Plan, device: Device, distance: WorkloadDistance) -> tuple[Any, ...]:
    turn = (starting_point.place - 1) // IN_TURN
    apart = device_distance(device, starting_point.device, starting_point.target)
    other_version = starting_point.kernel_hash != plan.package.source_hash
    return turn, apart, distance, other_version, starting_point.place, starting_point.trial


def _workload_distances(plan: Plan) -> dict[str, WorkloadDistance]:
    """Of each of the kernel's workloads, to the nearest one that is searched for."""
    variant = plan.variant
    supported = {each.name: each for each in plan.kernel.workloads if variant.supports(each)}
    wanted = [supported[name] for name in plan.workloads]
    return {
        name: min(workload_distance(variant, each, workload) for workload in wanted) for name, each in supported.items()
    }


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number} {what}{plural if number != 1 else ''}"
