"""The results of certifying have a place in the record, under the same names."""

from __future__ import annotations

from dataclasses import fields

from evotune_db.records import CHECK_TOOLS, CheckRecord, ProfileRecord
from evotune_workers.certify.findings import TOOLS, Profile, ToolFinding


def test_the_record_knows_every_tool_in_the_same_order() -> None:
    assert CHECK_TOOLS == TOOLS


def test_a_finding_and_a_profile_have_the_fields_of_their_records() -> None:
    assert [field.name for field in fields(ToolFinding)] == [field.name for field in fields(CheckRecord)]
    of_a_run = ("build_key", "device", "workload", "made")
    assert [field.name for field in fields(Profile)] == [
        field.name for field in fields(ProfileRecord) if field.name not in of_a_run
    ]
