"""Turn a request into the plan of a search of a recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evotune.errors import UserError
from evotune.planning.plan import check_budget, sampler_of
from evotune.planning.request import RECORDED, SearchRequest
from evotune.planning.resume import resumed_budget
from evotune.planning.versions import versions
from evotune.replay.recording import Recording
from evotune.replay.recording_file import load_recording
from evotune_db.records import KernelRecord, SearchRecord, SpaceRecord, StoredSearch

# The key under which the options of a stored search hold the recording's file.
OPTION = "replay"


@dataclass(frozen=True)
class ReplayPlan:
    """The recording to search, the sampler, its seed and the budget."""

    file: Path
    recording: Recording
    sampler: str
    seed: int
    budget: int


def make_replay_plan(request: SearchRequest) -> ReplayPlan:
    """Make the plan of a new search.

    Raises UserError for a wrong request and RecordingError for a wrong file.
    """
    assert request.replay is not None and request.budget is not None
    file = Path(request.replay).resolve()
    return _checked(ReplayPlan(file, load_recording(file), sampler_of(request), request.seed, request.budget))


def resumed_replay_plan(stored: StoredSearch, request: SearchRequest) -> ReplayPlan:
    """Make the plan that a stored search began with. Raises UserError if the recording has changed since."""
    record = stored.record
    if request.kernel is not None or request.ray_address is not None:
        raise UserError(
            f"a search of a recording takes no KERNEL and no --ray-address, got one to resume search {stored.id};"
            " leave it out"
        )
    file = Path(record.options[OPTION])
    recording = load_recording(file)
    if recording.content_hash != record.kernel.source_hash:
        raise UserError(
            f"the recording must be the one that search {stored.id} began with, {file} has changed: start a new search"
        )
    return _checked(ReplayPlan(file, recording, record.sampler, record.seed, resumed_budget(stored, request)))


def replay_record(plan: ReplayPlan) -> SearchRecord:
    """Make the search's database record: its kernel is the recording, by content, and its target `recorded`."""
    recording = plan.recording
    return SearchRecord(
        kernel=KernelRecord(recording.name, recording.content_hash),
        space=SpaceRecord(recording.name, recording.space_hash, recording.space_text, len(recording.valid)),
        target=RECORDED,
        workloads=(RECORDED,),
        sampler=plan.sampler,
        seed=plan.seed,
        budget=plan.budget,
        options={OPTION: str(plan.file)},
        versions=versions(),
    )


def _checked(plan: ReplayPlan) -> ReplayPlan:
    check_budget(plan.budget, plan.recording.valid)
    return plan
