"""Search spaces: read a YAML file and enumerate its valid configurations.

Only ValidSet.distributions imports Optuna, so that commands without a sampler start fast.
"""

from evotune.space.configuration import configuration_key
from evotune.space.parameter import Kind, Parameter, infer_kind
from evotune.space.space import Space
from evotune.space.space_error import ExpressionError, SpaceError
from evotune.space.space_file import load_space
from evotune.space.valid_set import ValidSet

__all__ = [
    "ExpressionError",
    "Kind",
    "Parameter",
    "Space",
    "SpaceError",
    "ValidSet",
    "configuration_key",
    "infer_kind",
    "load_space",
]
