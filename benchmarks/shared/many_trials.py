"""Fill a database with very many trials, by statements of the database, under all keys and checks of the schema.

A trial has as many checks as one of attention_fwd on a GPU. 90 % of the trials passed. Half of these are on the
leaderboard, with a cold timing, a warm one and a profile. The timing of the others was stopped early.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Integer,
    Table,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    select,
    text,
)

from evotune_db.lookups import now
from evotune_db.schema import tables
from evotune_db.schema.finding_tables import profile

TRIALS_PER_SEARCH = 2_000
# Trials per transaction.
CHUNK = 100_000
# Three seeds of five distributions, and a row for each other check.
GATES = 35
KERNELS = ("attention_fwd", "layer_norm", "gemm", "softmax")
TARGETS = ("sm_80", "sm_89", "sm_90")
WORKLOADS = ("mission", "causal", "long", "wide")
GROUPS = tuple(product(KERNELS, TARGETS, WORKLOADS))
BASELINE_US = 10.0
SAMPLES = {side: [[10.0 + block, 10.1 + block] for block in range(12)] for side in ("candidate", "sdpa_cudnn")}


def fill(engine: Engine, trials: int, per_search: int = TRIALS_PER_SEARCH) -> Iterator[int]:
    """Fill an empty database with whole searches; yield the number of trials after each transaction."""
    searches = -(-trials // per_search)
    with engine.begin() as connection:
        _add_searches(connection, searches, per_search)
    whole = searches * per_search
    for first in range(1, whole + 1, CHUNK):
        last = min(first + CHUNK - 1, whole)
        with engine.begin() as connection:
            _add_trials(connection, first, last, per_search)
            _add_timings(connection, first, last, whole)
        yield last
    _settle(engine)


def _add_searches(connection: Connection, searches: int, per_search: int) -> None:
    """Spread the searches over the groups in turn."""
    kernels = [{"name": name, "source_hash": "0" * 64} for name in KERNELS]
    connection.execute(tables.kernel.insert(), kernels)
    connection.execute(tables.space.insert(), {"name": "gpu", "hash": "1" * 64, "text": "parameters: {}"})
    devices = [
        {"id": n, "hash": target, "uuid": f"GPU-{n}", "name": f"Device of {target}", "kind": "cuda", "facts": {}}
        for n, target in enumerate(TARGETS, start=1)
    ]
    connection.execute(tables.device.insert(), devices)
    common = {
        "kernel_hash": "0" * 64,
        "space": "gpu",
        "space_hash": "1" * 64,
        "valid_configurations": 400_000,
        "sampler": "evolution",
        "budget": per_search,
        "options": {},
        "versions": {"evotune": "0.1.0"},
        "state": "finished",
        "started": now(),
        "finished": now(),
    }
    rows = []
    for number in range(1, searches + 1):
        kernel, target, workload = GROUPS[number % len(GROUPS)]
        own = {"id": number, "seed": number, "kernel": kernel, "target": target, "workloads": [workload]}
        rows.append({**common, **own})
    connection.execute(tables.search.insert(), rows)


def _add_trials(connection: Connection, first: int, last: int, per_search: int) -> None:
    """Add builds, trials and checks; every tenth trial failed, and objectives of nearby trials differ."""
    numbers = _numbers("numbers", first, last)
    t = numbers.c.t
    failed = t % 10 == 0
    key = cast(t, Text)
    build = {
        "target": "sm_89",
        "flags": ["-O3"],
        "compiler": "nvcc 13.0",
        "seconds": 2.0,
        "succeeded": True,
        "registers": 128,
        "resources": {},
        "log": "ptxas info    : Used 128 registers" * 10,
    }
    _insert(connection, tables.build, numbers, id=t, key=key, binary_hash=key, **build)
    of_search = tables.search.c.id == 1 + (t - 1) // per_search
    _insert(
        connection,
        tables.trial,
        numbers.join(tables.search, of_search).join(
            tables.device, tables.device.c.name == "Device of " + tables.search.c.target
        ),
        id=t,
        search_id=tables.search.c.id,
        number=t % per_search,
        configuration=_json_object(connection, tile_m=t % 97, tile_n=t % 89, stages=literal(2, Integer), unroll=t),
        configuration_key="unroll=" + key,
        state=case((failed, "failed"), else_="passed"),
        failed_gate=case((failed, "numerics")),
        reason=case((failed, "max error must be <= 0.001, got 1")),
        objective=case((~failed, 0.5 + (t * 7919 % 10007) / 10007.0)),
        own_binary=True,
        device_id=tables.device.c.id,
        build_id=t,
        proposed=now(),
        finished=now(),
    )
    _insert(connection, tables.trial_build, numbers, trial_id=t, position=0, build_id=t)
    seeds = _numbers("seeds", 1, GATES)
    checks = {"phase": "search", "gate": "numerics", "passed": True, "workload": "mission", "distribution": "normal"}
    errors = {"max_error": 1e-3, "max_limit": 2e-3, "rms_error": 1e-4, "rms_limit": 2e-4, "seconds": 0.01}
    both = numbers.join(seeds, seeds.c.t > 0)
    _insert(connection, tables.gate_result, both, trial_id=t, seed=seeds.c.t, figures={"groups": 8}, **checks, **errors)


def _add_timings(connection: Connection, first: int, last: int, whole: int) -> None:
    """Add a cold timing to each passed trial, and a warm timing, a profile and an entry if it was not stopped early."""
    trial, timing, search, device = tables.trial, tables.timing, tables.search, tables.device
    stopped = trial.c.id % 2 == 0
    slower = trial.c.objective
    passed = trial.join(search, and_(search.c.id == trial.c.search_id, trial.c.id.between(first, last), slower > 0))
    workload = search.c.workloads[0].as_string()
    place = {"trial_id": trial.c.id, "build_id": trial.c.build_id, "device_id": trial.c.device_id, "workload": workload}
    figures: dict[str, Any] = {
        **dict.fromkeys(("median_us", "p50_us", "p90_us", "p99_us"), BASELINE_US * slower),
        "baseline_us": BASELINE_US,
        **{"speedup": 1 / slower, "speedup_low": 0.99 / slower, "speedup_high": 1.01 / slower},
    }
    session = {"baseline": "sdpa_cudnn", "blocks": 12, "dropped_blocks": 0, "samples": SAMPLES}
    cold: dict[str, Any] = {**place, **figures, **session, "phase": "search", "conditions": {"clock_mhz": [1980]}}
    _insert(connection, timing, passed, id=trial.c.id, mode="cold", censored=stopped, complete=~stopped, **cold)
    listed = passed.join(timing, and_(timing.c.id == trial.c.id, timing.c.complete)).join(
        device, device.c.id == trial.c.device_id
    )
    _insert(connection, timing, listed, id=whole + trial.c.id, mode="warm", censored=False, complete=False, **cold)
    counters = {"duration_us": 5.0, "tensor_active_pct": 40.0, "achieved_occupancy_pct": 20.0, "metrics": {}}
    _insert(connection, profile, listed, made=now(), **place, **counters)
    entry = {"search_id": search.c.id, "kernel": search.c.kernel, "target": search.c.target, "device": device.c.name}
    passed_in_full = {"trial_state": "passed", "own_binary": True, "timing_phase": "search", "timing_complete": True}
    of_timing = {"timing_id": timing.c.id, "speedup": timing.c.speedup, "confirmed": False, "certified": False}
    _insert(connection, tables.leaderboard, listed, **place, **entry, **passed_in_full, **of_timing)


def _numbers(name: str, first: int, last: int) -> FromClause:
    """Return a table with the column `t`, from `first` to `last`."""
    begun = select(literal(first, tables.trial.c.id.type).label("t")).cte(name, recursive=True)
    return begun.union_all(select(begun.c.t + 1).where(begun.c.t < last))


def _insert(connection: Connection, table: Table, source: FromClause, **columns: Any) -> None:
    """Insert a row for each row of the source; a value is an expression, or a constant of the column's type."""
    values = [
        value if isinstance(value, ColumnElement) else literal(value, table.c[name].type)
        for name, value in columns.items()
    ]
    rows = select(*values).select_from(source)
    connection.execute(table.insert().from_select(list(columns), rows, include_defaults=False))


def _json_object(connection: Connection, **columns: ColumnElement[int]) -> ColumnElement[Any]:
    arguments = [each for name, value in columns.items() for each in (literal(name, Text), value)]
    function = func.jsonb_build_object if connection.dialect.name == "postgresql" else func.json_object
    return function(*arguments)


def _settle(engine: Engine) -> None:
    """Set PostgreSQL's sequences to the last ids, gather statistics, and mark pages as visible."""
    if engine.dialect.name != "postgresql":
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in ("device", "search", "build", "trial", "timing"):
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"))
        connection.execute(text("VACUUM ANALYZE"))
