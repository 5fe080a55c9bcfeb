"""Failures that end a search: recorded where that is possible, and one line for the user."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from ray.exceptions import RayError, RayTaskError

from evotune.errors import UserError, last_line, user_line
from evotune.planning.request import SearchRequest, resume_command
from evotune_db import Database, DatabaseError, LeaseLost
from evotune_db.records import SearchState, StoredSearch, StoredTrial
from evotune_workers.child.sandbox import ChildBroke
from evotune_workers.cluster.cluster import ClusterError
from evotune_workers.compilers.build import ToolchainError


@contextlib.contextmanager
def resumable(search_id: int, request: SearchRequest) -> Iterator[None]:
    """Turn the loss of the database, of Ray or of disk space into a UserError with the command that continues."""
    go_on = f"then go on: {resume_command(search_id, request)}"
    try:
        yield
    except LeaseLost:
        raise  # the process that has taken the search over goes on with it
    except (DatabaseError, ClusterError) as error:
        raise UserError(f"{error}; {go_on}") from error
    except RayTaskError as error:
        line = user_line(error.cause) if isinstance(error.cause, OSError) else None
        if line is None:
            raise
        raise UserError(f"a worker cannot go on: {line}; {go_on}") from error
    except RayError as error:
        raise UserError(f"Ray must stay up while a search runs, got: {last_line(error)}; {go_on}") from error


def run_to_end(
    run: Callable[[Sequence[StoredTrial]], SearchState],
    stored: StoredSearch | None,
    database: Database,
    search_id: int,
) -> SearchState:
    """Run a search from the trials of a stored one, and record its state, whatever ended it."""
    state: SearchState = "interrupted"
    try:
        state = run(stored.trials if stored else ())
    except DatabaseError:
        raise  # where no outcome can be written, no end can be
    except ToolchainError as error:
        database.finish_search(search_id, state)
        raise UserError(last_line(error)) from error
    except ChildBroke as error:
        database.finish_search(search_id, state)
        raise UserError(f"the kernel's Python raised while a trial was checked: {last_line(error)}") from error
    except BaseException:
        database.finish_search(search_id, state)
        raise
    database.finish_search(search_id, state)
    return state
