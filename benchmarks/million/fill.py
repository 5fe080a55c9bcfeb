"""A PostgreSQL database with very many trials, made by the server itself, past every key and check of the schema.

A trial has as many checks as one of attention_fwd on a GPU, and a timing or two.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from sqlalchemy import Engine, text

from benchmarks.million.outcome import GATES

TRIALS_PER_SEARCH = 2_000
# Of one transaction.
CHUNK = 100_000
KERNELS = ("attention_fwd", "layer_norm", "gemm", "softmax")
TARGETS = ("sm_80", "sm_89", "sm_90")
WORKLOADS = ("mission", "causal", "long", "wide")
GROUPS = tuple(product(KERNELS, TARGETS, WORKLOADS))

_SHARED = (
    "INSERT INTO kernel (name, source_hash) SELECT unnest(CAST(:kernels AS text[])), repeat('0', 64)",
    "INSERT INTO space (name, hash, text) VALUES ('gpu', repeat('1', 64), 'parameters: {}')",
    """INSERT INTO device (id, hash, uuid, name, kind, facts)
    SELECT n, 'hash ' || name, 'GPU-' || n, 'Device of ' || name, 'cuda', '{"driver": "580.1"}'
    FROM unnest(CAST(:targets AS text[])) WITH ORDINALITY AS given (name, n)""",
)
# Search s is of group s % number of groups; a trial has its search from its number, and its device from the target.
_SEARCHES = """
INSERT INTO search (id, kernel, kernel_hash, space, space_hash, valid_configurations, target, workloads, sampler, seed,
    budget, options, versions, state, started, finished)
SELECT s, kernel, repeat('0', 64), 'gpu', repeat('1', 64), 400000, target, jsonb_build_array(workload), 'evolution', s,
    :per_search, '{}', '{"evotune": "0.1.0"}', 'finished', now(), now()
FROM generate_series(1, CAST(:searches AS integer)) AS s
JOIN unnest(CAST(:kernels AS text[]), CAST(:targets AS text[]), CAST(:workloads AS text[])) WITH ORDINALITY
    AS groups (kernel, target, workload, place) ON place = 1 + s % :groups
"""
_TRIALS = (
    """INSERT INTO build (id, key, target, flags, compiler, seconds, succeeded, binary_hash, registers, spill_stores,
        spill_loads, stack_bytes, shared_bytes, resources, log)
    SELECT t, md5('build ' || t), 'sm_89', '["-O3"]', 'nvcc 13.0', 2.0, true, md5('binary ' || t), 128, 0, 0, 0, 49152,
        '{}', repeat('ptxas info    : Used 128 registers', 10)
    FROM generate_series(CAST(:first AS bigint), :last) AS t""",
    """INSERT INTO trial (id, search_id, number, configuration, configuration_key, state, failed_gate, reason,
        objective, own_binary, device_id, build_id, proposed, finished)
    SELECT t, s, t % :per_search, jsonb_build_object('tile_m', t % 97, 'tile_n', t % 89, 'stages', 2, 'unroll', t),
        'stages=2,tile_m=' || t % 97 || ',tile_n=' || t % 89 || ',unroll=' || t,
        CASE WHEN t % 10 = 0 THEN 'failed' ELSE 'passed' END, CASE WHEN t % 10 = 0 THEN 'numerics' END,
        CASE WHEN t % 10 = 0 THEN 'max error must be <= 0.001' END,
        CASE WHEN t % 10 > 0 THEN 0.5 + random() END, true,
        (SELECT id FROM device WHERE name = 'Device of ' || search.target), t, now(), now()
    FROM generate_series(CAST(:first AS bigint), :last) AS t
    CROSS JOIN LATERAL (SELECT 1 + (t - 1) / :per_search AS s) AS place JOIN search ON search.id = s""",
    """INSERT INTO trial_build (trial_id, position, build_id)
    SELECT t, 0, t FROM generate_series(CAST(:first AS bigint), :last) AS t""",
    """INSERT INTO gate_result (trial_id, phase, gate, passed, workload, distribution, seed, max_error, max_limit,
        rms_error, rms_limit, seconds, figures)
    SELECT t, 'search', 'numerics', true, 'mission', 'normal', seed, 1e-3, 2e-3, 1e-4, 2e-4, 0.01, '{"groups": 8}'
    FROM generate_series(CAST(:first AS bigint), :last) AS t CROSS JOIN generate_series(1, :gates) AS seed""",
    # Half of those that passed were stopped early, which is no entry of the leaderboard.
    """INSERT INTO timing (id, trial_id, build_id, device_id, workload, phase, mode, censored, complete, baseline,
        median_us, p50_us, p90_us, p99_us, baseline_us, speedup, speedup_low, speedup_high, blocks, dropped_blocks,
        conditions, samples)
    SELECT id, id, build_id, device_id, workloads ->> 0, 'search', 'cold', id % 2 = 0, id % 2 = 1, 'sdpa_cudnn',
        10 * objective, 10 * objective, 10 * objective, 10 * objective, 10, 1 / objective, 0.99 / objective,
        1.01 / objective, 12, 0, '{"clock_mhz": [1980]}',
        jsonb_build_object('candidate', (SELECT jsonb_agg(jsonb_build_array(2.0 + n, 2.1 + n)) FROM
            generate_series(1, 12) AS n))
    FROM (SELECT trial.*, search.workloads FROM trial JOIN search ON search.id = search_id
        WHERE trial.id BETWEEN :first AND :last AND trial.state = 'passed') AS passed""",
    """INSERT INTO timing (id, trial_id, build_id, device_id, workload, phase, mode, censored, complete, baseline,
        median_us, p50_us, p90_us, p99_us, baseline_us, speedup, speedup_low, speedup_high, blocks, dropped_blocks,
        conditions, samples)
    SELECT :whole + id, trial_id, build_id, device_id, workload, phase, 'warm', false, false, baseline, median_us,
        p50_us, p90_us, p99_us, baseline_us, speedup, speedup_low, speedup_high, blocks, dropped_blocks, conditions,
        samples
    FROM timing WHERE id BETWEEN :first AND :last AND complete""",
    """INSERT INTO leaderboard (trial_id, workload, search_id, trial_state, own_binary, kernel, target, device_id,
        device, timing_id, timing_phase, timing_complete, speedup, confirmed, certified, build_id)
    SELECT trial.id, timing.workload, search_id, 'passed', true, kernel, search.target, timing.device_id, device.name,
        timing.id, 'search', true, speedup, false, false, timing.build_id
    FROM timing JOIN trial ON trial.id = timing.trial_id JOIN search ON search.id = search_id
    JOIN device ON device.id = timing.device_id
    WHERE timing.id BETWEEN :first AND :last AND complete""",
)
_NUMBERED = ("device", "search", "build", "trial", "timing")


def fill(engine: Engine, trials: int) -> Iterator[int]:
    """Fills an empty database, to the next whole search; yields after each transaction how many trials there are."""
    searches = -(-trials // TRIALS_PER_SEARCH)
    kernels, targets, workloads = (list(column) for column in zip(*GROUPS, strict=True))
    with engine.begin() as connection:
        for statement in _SHARED:
            connection.execute(text(statement), _used(statement, kernels=list(KERNELS), targets=list(TARGETS)))
        named = {"kernels": kernels, "targets": targets, "workloads": workloads, "groups": len(GROUPS)}
        connection.execute(text(_SEARCHES), {**named, "searches": searches, "per_search": TRIALS_PER_SEARCH})
    whole = searches * TRIALS_PER_SEARCH
    always = {"per_search": TRIALS_PER_SEARCH, "whole": whole, "gates": GATES}
    for first in range(1, whole + 1, CHUNK):
        last = min(first + CHUNK - 1, whole)
        with engine.begin() as connection:
            for statement in _TRIALS:
                connection.execute(text(statement), _used(statement, first=first, last=last, **always))
        yield last
    _settle(engine)


def _settle(engine: Engine) -> None:
    """What a server does by itself in time: numbers go on, statistics are known, pages are known to be visible."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in _NUMBERED:
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"))
        connection.execute(text("VACUUM ANALYZE"))


def _used(statement: str, **given: object) -> dict[str, object]:
    return {name: value for name, value in given.items() if f":{name}" in statement}
