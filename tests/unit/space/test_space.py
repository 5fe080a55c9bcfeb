"""Search spaces: reading, enumerating, looking up."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evotune.space import Parameter, SpaceError, ValidSet, load_space
from evotune_workers.kernel import Configuration

DEVICE = {"l2_bytes": 65536, "cores": 2}
DEFAULT = "{tile_m: 48, tile_n: 64, kv_warps: 0, persistent: false, key_packing: tile}"
TEXT = f"""\
kernel: attention_fwd
variant: cpu
parameters:
  tile_m: [48, 16, 32]
  tile_n: [64, 128]
  kv_warps: [0, 1, 2]
  persistent: [true, false]
  key_packing: {{values: [tile, head], kind: categorical}}
constraints:
  - "kv_warps == 0 or tile_n % kv_warps == 0"
  - "tile_m <= 32 or not persistent"
  - "shared_memory <= device.l2_bytes"
limits: {{spill_stores: 0}}
default: {DEFAULT}
"""


def derived(configuration: Configuration) -> dict[str, int]:
    return {"shared_memory": int(configuration["tile_m"]) * int(configuration["tile_n"]) * 16}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write_space(text: str) -> Path:
        path = tmp_path / "cpu.yaml"
        path.write_text(text)
        return path

    return write_space


def test_a_space_is_read_with_its_kinds(write: Callable[[str], Path]) -> None:
    space = load_space(write(TEXT))
    assert (space.name, space.kernel, space.variant) == ("cpu", "attention_fwd", "cpu")
    assert {parameter.name: parameter.kind for parameter in space.parameters} == {
        "tile_m": "ordered",
        "tile_n": "power_of_two",
        "kv_warps": "ordered",
        "persistent": "boolean",
        "key_packing": "categorical",
    }
    assert space.parameters[0].values == (16, 32, 48)
    assert space.limits == {"spill_stores": 0}
    assert space.text == TEXT


def test_the_hash_is_about_meaning_and_not_about_layout(write: Callable[[str], Path]) -> None:
    space = load_space(write(TEXT))
    assert load_space(write("# a comment\n" + TEXT)).space_hash == space.space_hash
    assert load_space(write(TEXT.replace("48, 16, 32", "16, 32, 48"))).space_hash == space.space_hash
    assert load_space(write(TEXT + "target: cpu\n")).space_hash == space.space_hash
    assert load_space(write(TEXT.replace(DEFAULT, f"[{DEFAULT}]"))).space_hash == space.space_hash
    assert load_space(write(TEXT.replace(DEFAULT, f"[{DEFAULT}, {DEFAULT}]"))).space_hash != space.space_hash
    assert load_space(write(TEXT.replace("spill_stores: 0", "spill_stores: 4"))).space_hash != space.space_hash


def test_the_valid_set_is_what_the_constraints_leave(write: Callable[[str], Path]) -> None:
    valid = load_space(write(TEXT)).enumerate(DEVICE, derived)
    expected = {
        (m, n, warps, persistent, packing)
        for m, n, warps, persistent, packing in itertools.product(
            (16, 32, 48), (64, 128), (0, 1, 2), (True, False), ("tile", "head")
        )
        if (m <= 32 or not persistent) and m * n * 16 <= 65536
    }
    assert {tuple(valid.configuration(i).values()) for i in range(len(valid))} == expected
    assert valid.default is not None
    assert valid.key(valid.default) == "key_packing=tile,kv_warps=0,persistent=false,tile_m=48,tile_n=64"


def test_derived_quantities_are_computed_only_for_survivors_and_only_when_used(write: Callable[[str], Path]) -> None:
    asked: list[Configuration] = []

    def counting(configuration: Configuration) -> dict[str, int]:
        asked.append(configuration)
        return derived(configuration)

    load_space(write(TEXT)).enumerate(DEVICE, counting)
    assert asked
    assert not any(row["tile_m"] == 48 and row["persistent"] for row in asked)
    asked.clear()
    load_space(write(TEXT.replace("shared_memory <= ", "tile_m <= "))).enumerate(DEVICE, counting)
    assert not asked


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("kernel: attention_fwd", "kernel: [", 3, "well-formed"),
        ("kernel: attention_fwd", "kernal: attention_fwd", 1, "did you mean 'kernel'"),
        ("kernel: attention_fwd\n", "", 1, "add kernel"),
        ("variant: cpu", "variant: 7", 2, "got 7"),
        ("variant: cpu", "variant: cpu\nvariant: sm80", 3, "once"),
        ("variant: cpu", "variant: cpu\ntarget: sm89", 3, "such as cpu or sm_89, got 'sm89'"),
        ("  tile_n: [64, 128]", "  tile_n: []", 5, "a list of values"),
        ("  tile_n: [64, 128]", "  tile_n: 64", 5, "a list of values"),
        ("  tile_n: [64, 128]", "  tile_n: [64, 128, 64]", 5, "64 more than once"),
        ("  tile_n: [64, 128]", "  tile_n: [64, 0.5]", 5, "whole number"),
        ("  tile_n: [64, 128]", "  tile_n: [64, 128.0]", 5, "whole numbers"),
        ("  tile_n: [64, 128]", "  tile_n: [64, big]", 5, "one type"),
        ("  tile_n: [64, 128]", "  tile_n: [64, null]", 5, "got None"),
        ("  tile_n: [64, 128]", "  tile_m: [64, 128]", 5, "once"),
        ("  tile_n: [64, 128]", "  TILE: [64, 128]", 5, "lower-case"),
        ("  tile_n: [64, 128]", "  device: [64, 128]", 5, "constraint language"),
        ("  tile_n: [64, 128]", "  tile_n: {values: [64, 96], kind: power_of_two}", 5, "powers of two"),
        ("  tile_n: [64, 128]", "  tile_n: {values: [64, 96], kind: sorted}", 5, "one of boolean"),
        ("  tile_n: [64, 128]", "  tile_n: {valuse: [64, 96]}", 5, "did you mean 'values'"),
        ("[tile, head]", "[tile, 'head; rm']", 8, "C identifier"),
        ('"tile_m <= 32 or not persistent"', '"tile_m <= "', 11, "must be an expression"),
        ('"tile_m <= 32 or not persistent"', "\"open('x')\"", 11, "open"),
        ('"tile_m <= 32 or not persistent"', "7", 11, "an expression in quotes"),
        ("spill_stores: 0", "spill_store: 0", 13, "did you mean 'spill_stores'"),
        ("spill_stores: 0", "spill_stores: -1", 13, ">= 0"),
        ("tile_m: 48, tile_n: 64, kv", "tile_m: 49, tile_n: 64, kv", 14, "one of 16, 32, 48, got 49"),
        ("tile_m: 48, tile_n: 64, kv", "tile_n: 64, kv", 14, "none for tile_m"),
        ("tile_m: 48, tile_n: 64, kv", "tilem: 48, tile_n: 64, kv", 14, "did you mean 'tile_m'"),
        (DEFAULT, "[]", 14, "add one"),
        (DEFAULT, "7", 14, "a mapping with a value for every parameter, or a list of such mappings, got 7"),
        (DEFAULT, f"\n  - {DEFAULT}\n  - {{tile_m: 16}}", 16, "none for tile_n"),
    ],
)
def test_a_mistake_is_reported_with_its_line(
    write: Callable[[str], Path], old: str, new: str, line: int, says: str
) -> None:
    assert old in TEXT
    with pytest.raises(SpaceError) as error:
        load_space(write(TEXT.replace(old, new, 1)))
    assert f"cpu.yaml:{line}: " in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("value", "reads"),
    [
        ("010", "8"),
        ("1:30", "90"),
        ("1_000", "1000"),
        ("0b11", "3"),
        ("off", "false"),
        ("Yes", "true"),
        ("2001-01-01", "2001-01-01"),
        ("1e3", "a word"),
        ("0o17", "a word"),
    ],
)
def test_a_value_that_readers_of_yaml_take_for_different_things_is_refused_with_line_and_column(
    write: Callable[[str], Path], value: str, reads: str
) -> None:
    with pytest.raises(SpaceError) as error:
        load_space(write(TEXT.replace("  tile_n: [64, 128]", f"  tile_n: [64, {value}]", 1)))
    assert f"cpu.yaml:5:16: a value must mean the same to every reader of YAML, got {value}, " in str(error.value)
    assert f"reads as {reads}: write" in str(error.value)


def test_a_quoted_word_and_a_hexadecimal_number_are_values(write: Callable[[str], Path]) -> None:
    space = load_space(write(TEXT.replace("  tile_n: [64, 128]", "  tile_n: [64, 0x80]", 1)))
    assert space.parameters[1].values == (64, 128)
    quoted = TEXT.replace(
        "  tile_n: [64, 128]", "  tile_n: [64, 128]\n  mode: {values: ['off', 'on'], kind: categorical}", 1
    )
    assert load_space(write(quoted.replace(DEFAULT, DEFAULT.replace("{", "{mode: 'off', ", 1)))).parameters[
        2
    ].values == ("off", "on")


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]", "{}", "just text", "\x01", "&a [*a]", "x: 2020-99-99"])
def test_what_is_no_space_at_all_is_refused(write: Callable[[str], Path], text: str) -> None:
    with pytest.raises(SpaceError, match=r"cpu\.yaml:1: "):
        load_space(write(text))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="check the path"):
        load_space(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(SpaceError, match="UTF-8"):
        load_space(tmp_path / "binary.yaml")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("tile_m <= 32 or", "tile_mm <= 32 or", 11, "did you mean 'tile_m'"),
        ("shared_memory", "shared_memry", 12, "did you mean 'shared_memory'"),
        ("device.l2_bytes", "device.l2_byte", 12, "did you mean 'l2_bytes'"),
        ("<= device.l2_bytes", "<= device.l2_bytes ** 4", 12, "2**53"),
        ("kv_warps: 0, persistent: false", "kv_warps: 0, persistent: true", 14, "tile_m <= 32 or not persistent"),
    ],
)
def test_what_depends_on_the_device_is_reported_when_enumerating(
    write: Callable[[str], Path], old: str, new: str, line: int, says: str
) -> None:
    space = load_space(write(TEXT.replace(old, new, 1)))
    with pytest.raises(SpaceError) as error:
        space.enumerate(DEVICE, derived)
    assert f"cpu.yaml:{line}: " in str(error.value)
    assert says in str(error.value)


def test_a_search_begins_with_the_first_default_that_is_valid(write: Callable[[str], Path]) -> None:
    too_large = DEFAULT.replace("64", "128")
    valid = load_space(write(TEXT.replace(DEFAULT, f"\n  - {too_large}\n  - {DEFAULT}"))).enumerate(DEVICE, derived)
    assert valid.default is not None and valid.configuration(valid.default)["tile_n"] == 64
    with pytest.raises(SpaceError, match=r"cpu.yaml:15: the default must be valid: .* got shared_memory = 98304"):
        load_space(write(TEXT.replace(DEFAULT, f"\n  - {too_large}\n  - {too_large}"))).enumerate(DEVICE, derived)


def test_an_empty_valid_set_says_what_removes_how_many(write: Callable[[str], Path]) -> None:
    space = load_space(write(TEXT.replace("<= device.l2_bytes", "<= 10")))
    with pytest.raises(SpaceError, match=r"removes 12.*removes 60"):
        space.enumerate(DEVICE, derived)


def test_an_illegal_configuration_is_explained(write: Callable[[str], Path]) -> None:
    valid = load_space(write(TEXT)).enumerate(DEVICE, derived)
    legal = valid.configuration(0)
    assert valid.explain(legal) is None
    assert "tile_m <= 32" in str(valid.explain({**legal, "tile_m": 48, "persistent": True}))
    assert "shared_memory = 98304" in str(valid.explain({**legal, "tile_m": 48, "tile_n": 128, "persistent": False}))
    assert "one of 16, 32, 48" in str(valid.explain({**legal, "tile_m": 1}))
    assert "did you mean" in str(valid.explain({**legal, "tile": 1}))
    with pytest.raises(KeyError, match="tile_m"):
        valid.index({**legal, "tile_m": 1})


def test_a_valid_set_pickles_without_the_kernel(write: Callable[[str], Path]) -> None:
    valid = load_space(write(TEXT)).enumerate(DEVICE, lambda configuration: derived(configuration))
    copy: ValidSet = pickle.loads(pickle.dumps(valid))
    assert np.array_equal(copy.codes, valid.codes)
    assert copy.default == valid.default
    assert copy.explain({**valid.configuration(0), "tile_m": 48, "tile_n": 128, "persistent": False}) is not None


def test_a_set_of_recorded_configurations_needs_no_constraints() -> None:
    parameters = (Parameter("a", (1, 2), "power_of_two"), Parameter("b", ("x", "y"), "categorical"))
    valid = ValidSet.of(parameters, [{"a": 2, "b": "x"}, {"a": 1, "b": "y"}])
    assert [valid.key(i) for i in range(len(valid))] == ["a=1,b=y", "a=2,b=x"]
    assert "not among" in str(valid.explain({"a": 1, "b": "x"}))


def test_importing_spaces_does_not_import_optuna() -> None:
    check = "import sys, evotune.space; sys.exit('optuna' in sys.modules or 'torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_a_valid_set_has_the_derived_quantities_that_constraints_use(write: Callable[[str], Path]) -> None:
    valid = load_space(write(TEXT)).enumerate(DEVICE, derived)
    [quantity] = valid.quantities
    expected = [derived(valid.configuration(i))[quantity.name] for i in range(len(valid))]
    assert quantity.levels[quantity.codes].tolist() == expected
