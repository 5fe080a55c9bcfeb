"""Checks of a search on this machine before Ray is started, which takes seconds."""

from __future__ import annotations

from evotune.errors import UserError
from evotune.planning.plan import Plan, enumerate_valid
from evotune.space import ValidSet
from evotune_workers.compilers.build import ToolchainError
from evotune_workers.compilers.select import compiler_for
from evotune_workers.system.cache import cache_folder, check_cache
from evotune_workers.system.library_folders import NoLibraries, check_library_folders


def check_this_machine(plan: Plan) -> ValidSet:
    """Return the valid configurations.

    Raises UserError for a wrong budget or constraint, a cache or a temporary folder that cannot serve, or no compiler.
    """
    assert plan.device is not None, "only a cluster's device is unknown before it is joined"
    valid = enumerate_valid(plan, plan.device)
    try:
        check_cache()
        compiler_for(plan.target).version()
        if not plan.build_only:
            check_library_folders()
    except OSError as error:
        raise UserError(
            f"the cache folder must be writable, got {cache_folder()}: {error.strerror}; set EVOTUNE_CACHE to another"
        ) from error
    except (ToolchainError, NoLibraries) as error:
        raise UserError(str(error)) from error
    return valid
