"""A failure that ends a search from outside is one line with the command that goes on."""

from __future__ import annotations

import errno

import pytest
from ray.exceptions import RayTaskError, WorkerCrashedError

from evotune.errors import UserError
from evotune.planning.request import SearchRequest
from evotune.search.failures import resumable
from evotune_db import ConnectionLost, LeaseLost
from evotune_workers.cluster.cluster import ClusterError

REQUEST = SearchRequest(db="other.db", kernel="./mine")
GO_ON = "then go on: evotune search ./mine --resume 3 --db other.db"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionLost("a database server must take the connection"), "a database server must take the connection"),
        (ClusterError("a local Ray must stay up, of this one raylet has ended"), "of this one raylet has ended"),
        (WorkerCrashedError(), "Ray must stay up while a search runs, got: "),
        (
            RayTaskError("measure", "Traceback", OSError(errno.ENOSPC, "No space left on device", "/tmp/x")),
            "a worker cannot go on: No space left on device: /tmp/x; free space or choose a place",
        ),
    ],
)
def test_what_may_pass_is_one_line_with_the_command_that_goes_on(error: Exception, told: str) -> None:
    with pytest.raises(UserError) as caught, resumable(3, REQUEST):
        raise error
    assert told in str(caught.value) and str(caught.value).endswith(GO_ON) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [LeaseLost("taken over"), RayTaskError("measure", "Traceback", ValueError("a fault of evotune"))]
)
def test_what_does_not_pass_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, resumable(3, REQUEST):
        raise error
    assert caught.value is error
