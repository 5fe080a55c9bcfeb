"""The contract that every sampler keeps, and what is particular to some."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
from collections.abc import Mapping

import optuna
import pytest
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from evotune.samplers import SAMPLERS, SpaceExhausted, SpaceSampler, make_sampler
from evotune.search.study import Study as SearchStudy
from evotune.space import ValidSet
from evotune.space.space_file import parse_space

optuna.logging.set_verbosity(optuna.logging.ERROR)

TEXT = """
kernel: k
variant: cpu
parameters:
  tile: [16, 32, 48, 64, 96]
  warps: [1, 2, 4, 8]
  packing: [row, tile, head]
  persistent: [true, false]
  fixed: [7]
constraints:
  - "tile % warps == 0"
  - "persistent or packing != 'head'"
  - "tile * warps <= 256"
default: {tile: 48, warps: 4, packing: tile, persistent: true, fixed: 7}
"""
SMALL = "kernel: k\nvariant: cpu\nparameters: {a: [1, 2, 4], b: [x, y, z]}\nconstraints: [\"a < 4 or b != 'z'\"]"


@pytest.fixture(scope="module")
def valid() -> ValidSet:
    return parse_space(TEXT, "space.yaml").enumerate({})


@pytest.fixture(params=sorted(SAMPLERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def trials(name: str, count: int, together: int = 1) -> int:
    """Return how often a test asks for `together` trials: gp gets 12, as it takes 0.1 s for each after ten."""
    return min(count, 12 // together) if name == "gp" else count


def value_of(valid: ValidSet, configuration: Mapping[str, object]) -> float | None:
    """Return a time with an optimum inside, or None in a corner that fails."""
    codes = valid.codes[valid.index(configuration)]  # type: ignore[arg-type]  # what the study suggested
    if codes[0] == 4 and codes[2] == 0:
        return None
    return 1.0 + abs(int(codes[0]) - 2) + 0.5 * abs(int(codes[1]) - 2) + 0.25 * int(codes[2]) * (1 + int(codes[3]))


def new_study(sampler: SpaceSampler) -> Study:
    return optuna.create_study(sampler=sampler, direction="minimize")


def ask(study: Study, valid: ValidSet) -> tuple[int, dict[str, object]]:
    trial = study.ask({**valid.distributions()})
    return trial.number, dict(trial.params)


def tell(study: Study, number: int, value: float | None) -> None:
    if value is None:
        study.tell(number, state=TrialState.FAIL)
    else:
        study.tell(number, value)


def explore(study: Study, valid: ValidSet, count: int) -> list[int]:
    proposed = []
    for _ in range(count):
        number, configuration = ask(study, valid)
        tell(study, number, value_of(valid, configuration))
        proposed.append(valid.index(configuration))  # type: ignore[arg-type]  # what the study suggested
    return proposed


def copy_trial(trial: FrozenTrial) -> FrozenTrial:
    return create_trial(
        state=trial.state,
        values=trial.values,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
    )


class Remember(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


class TestEverySampler:
    """The contract that the search relies on, whatever the sampler."""

    def test_it_proposes_valid_configurations_and_none_twice(self, name: str, valid: ValidSet) -> None:
        proposed = explore(new_study(make_sampler(name, valid, 1)), valid, trials(name, 40))
        assert len(set(proposed)) == len(proposed) == trials(name, 40)

    def test_the_same_seed_proposes_the_same_and_another_seed_something_else(self, name: str, valid: ValidSet) -> None:
        first, again, other = (
            explore(new_study(make_sampler(name, valid, seed)), valid, trials(name, 26)) for seed in (3, 3, 4)
        )
        assert first == again
        assert first != other

    def test_a_resumed_study_proposes_the_same(self, name: str, valid: ValidSet) -> None:
        study = new_study(make_sampler(name, valid, 5))
        explore(study, valid, trials(name, 24))
        ask(study, valid)
        resumed = new_study(make_sampler(name, valid, 5))
        resumed.add_trials([copy_trial(trial) for trial in study.get_trials()])
        for _ in range(3):
            expected, actual = ask(study, valid), ask(resumed, valid)
            assert expected == actual
            tell(study, expected[0], 2.0)
            tell(resumed, actual[0], 2.0)

    def test_a_search_is_proposed_what_an_optuna_study_would_be(self, name: str, valid: ValidSet) -> None:
        """With several under way, outcomes in another order than proposals, and failures."""
        study, search = new_study(make_sampler(name, valid, 7)), SearchStudy(valid, name, 7)
        for _ in range(trials(name, 8, together=4)):
            asked = [ask(study, valid) for _ in range(4)]
            proposals = [search.ask() for _ in range(4)]
            assert asked == [(each.number, dict(each.configuration)) for each in proposals]
            for number, configuration in reversed(asked):
                tell(study, number, value_of(valid, configuration))
                search.tell(number, value_of(valid, configuration))

    def test_what_is_pending_is_not_proposed_again(self, name: str, valid: ValidSet) -> None:
        study = new_study(make_sampler(name, valid, 2))
        explore(study, valid, trials(name, 14))
        pending = [ask(study, valid)[1] for _ in range(trials(name, 8, together=3))]
        assert len({valid.index(configuration) for configuration in pending}) == len(pending)  # type: ignore[arg-type]  # as above

    def test_outcomes_may_arrive_in_any_order(self, name: str, valid: ValidSet) -> None:
        study = new_study(make_sampler(name, valid, 8))
        seen = set()
        for _ in range(trials(name, 4, together=6)):
            asked = [ask(study, valid) for _ in range(6)]
            for number, configuration in reversed(asked):
                tell(study, number, value_of(valid, configuration))
                seen.add(valid.index(configuration))  # type: ignore[arg-type]  # what the study suggested
        assert len(seen) == 6 * trials(name, 4, together=6)

    def test_it_survives_when_everything_fails(self, name: str, valid: ValidSet) -> None:
        study = new_study(make_sampler(name, valid, 1))
        for _ in range(trials(name, 30)):
            tell(study, ask(study, valid)[0], None)
        assert len({valid.index(trial.params) for trial in study.get_trials()}) == trials(name, 30)

    def test_it_survives_when_everything_is_equally_fast(self, name: str, valid: ValidSet) -> None:
        study = new_study(make_sampler(name, valid, 1))
        for _ in range(trials(name, 26)):
            tell(study, ask(study, valid)[0], 1.0)
        assert len({valid.index(trial.params) for trial in study.get_trials()}) == trials(name, 26)

    def test_it_proposes_every_configuration_of_a_space_and_then_says_so(self, name: str) -> None:
        small = parse_space(SMALL, "small.yaml").enumerate({})
        study = new_study(make_sampler(name, small, 1))
        for i in range(len(small)):
            tell(study, ask(study, small)[0], 1.0 + i % 3 if i % 4 else None)
        assert {small.index(trial.params) for trial in study.get_trials()} == set(range(len(small)))
        with pytest.raises(SpaceExhausted, match="all 8 valid"):
            ask(study, small)

    def test_a_pickled_sampler_proposes_the_same(self, name: str, valid: ValidSet) -> None:
        study = new_study(make_sampler(name, valid, 6))
        explore(study, valid, trials(name, 24))
        study.sampler, copy = study.sampler, pickle.loads(pickle.dumps(study.sampler))
        resumed = new_study(copy)
        resumed.add_trials([copy_trial(trial) for trial in study.get_trials()])
        assert ask(study, valid) == ask(resumed, valid)

    def test_it_works_for_a_plain_objective_in_two_threads(self, name: str, valid: ValidSet) -> None:
        def objective(trial: optuna.Trial) -> float:
            configuration = {
                parameter.name: trial.suggest_categorical(parameter.name, parameter.values)
                for parameter in valid.parameters
            }
            return value_of(valid, configuration) or float("nan")

        study = new_study(make_sampler(name, valid, 9))
        study.optimize(objective, n_trials=trials(name, 28), n_jobs=2)
        assert len({valid.index(trial.params) for trial in study.get_trials()}) == trials(name, 28)

    def test_a_configuration_enqueued_by_hand_counts(self, name: str, valid: ValidSet) -> None:
        study = new_study(make_sampler(name, valid, 1))
        study.enqueue_trial(valid.configuration(3))
        assert explore(study, valid, trials(name, 24))[0] == 3
        assert len({valid.index(trial.params) for trial in study.get_trials()}) == trials(name, 24)

    def test_it_says_nothing_in_the_log(self, name: str, valid: ValidSet) -> None:
        study = new_study(make_sampler(name, valid, 1))
        explore(study, valid, 12)
        handler = Remember()
        optuna_logger, verbosity = logging.getLogger("optuna"), optuna.logging.get_verbosity()
        optuna_logger.addHandler(handler)
        optuna.logging.set_verbosity(optuna.logging.INFO)
        try:
            ask(study, valid)
        finally:
            optuna.logging.set_verbosity(verbosity)
            optuna_logger.removeHandler(handler)
        assert handler.said == []


def test_an_unknown_sampler_suggests_the_nearest_name(valid: ValidSet) -> None:
    with pytest.raises(ValueError, match="did you mean 'evolution'"):
        make_sampler("evolutoin", valid, 1)


def test_a_sampler_takes_a_space_that_needs_no_device(name: str, valid: ValidSet) -> None:
    space = parse_space(TEXT, "space.yaml")
    assert explore(new_study(SAMPLERS[name](space, 1)), valid, 3) == explore(
        new_study(SAMPLERS[name](valid, 1)), valid, 3
    )


def test_a_parameter_outside_the_space_is_refused(valid: ValidSet) -> None:
    study = new_study(make_sampler("random", valid, 1))
    with pytest.raises(ValueError, match="parameters of the space"):
        study.ask().suggest_int("other", 0, 3)


def test_the_choice_of_sampler_does_not_import_torch() -> None:
    check = "import sys, evotune.samplers; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, env={"PYTHONPATH": ":".join(sys.path)})
