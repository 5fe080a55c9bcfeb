"""A whole search on a simulated cluster: rounds, loop, sampler and database are real."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar, cast
from unittest import mock

from rich.console import Console

from evotune.display.progress import LineReporter
from evotune.planning.plan import Plan, enumerate_valid, make_plan
from evotune.planning.request import SearchRequest
from evotune.planning.search_record import search_record
from evotune.search.context import SearchContext
from evotune.search.dispatch import dispatcher as dispatcher_module
from evotune.search.interrupt import Interrupt
from evotune.search.lease import SearchLease
from evotune.search.rounds import Rounds
from evotune.space import ValidSet
from evotune_db import Database
from evotune_db.records import SearchState
from evotune_workers.cluster.cluster import Cluster
from evotune_workers.cluster.worker_pool import WorkerPool
from evotune_workers.kernel.device import Device
from tests.support.paths import ROOT
from tests.support.simulated.cluster import SimulatedCluster

SPACE = ROOT / "benchmarks" / "data" / "attention_h200_record.yaml"

C = TypeVar("C", bound=SimulatedCluster)


@dataclass(frozen=True)
class SimulatedSearch(Generic[C]):
    """A search that has ended, and the lines that it printed."""

    cluster: C
    database: Database
    search_id: int
    state: SearchState
    printed: str


@cache
def prepared() -> tuple[SearchRequest, Plan, Device, ValidSet]:
    """Plan a search once for all tests: that takes longer than some of them."""
    # A search that only builds needs no device here; the simulated workers then measure as well.
    request = SearchRequest(db="", kernel="attention_fwd", target="sm_90", space=str(SPACE), build_only=True)
    plan = make_plan(request)
    assert plan.device is not None
    valid = enumerate_valid(plan, plan.device)
    return request, replace(plan, sampler="random", build_only=False), plan.device, valid


@contextmanager
def simulated_search(file: Path, budget: int, make_cluster: Callable[[Device], C]) -> Iterator[SimulatedSearch[C]]:
    """Run a search of the attention kernel for an H200 from its first trial to its last."""
    request, plan, device, valid = prepared()
    plan = replace(plan, budget=budget)
    cluster, printed = make_cluster(device), io.StringIO()
    with (
        Database.open(str(file)) as database,
        SearchLease(database, print) as lease,
        Interrupt(None) as interrupt,
        mock.patch.object(dispatcher_module, "ray", cluster),
    ):
        search_id = lease.start(search_record(plan, valid, request))
        reporter = LineReporter(Console(file=printed, width=200))
        as_cluster, as_pool = cast("Cluster", cluster), cast("WorkerPool", cluster)
        context = SearchContext(plan, as_cluster, as_pool, valid, (), database, search_id, reporter, interrupt)
        state = Rounds(context).run(())
        database.finish_search(search_id, state)
        yield SimulatedSearch(cluster, database, search_id, state, printed.getvalue())
