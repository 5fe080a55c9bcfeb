"""Values with tensors in shared memory: another process reads them, and cannot write them."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener

import pytest
import torch

from evotune_workers.child.messages import Address
from evotune_workers.runtimes.shared import Packed, SharedBytes
from tests.support.command import environment

READER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from evotune_workers.runtimes.shared import receive, receive_bytes
connection = Client(sys.argv[1].replace("@", chr(0)), authkey=bytes.fromhex(sys.argv[2]))
value, memory = receive(connection), receive_bytes(connection)
connection.send((value["sum"].sum().item(), tuple(value["empty"].shape), str(value["half"].dtype), value["text"]))
connection.recv()
connection.send(memory.tolist())
connection.recv()
(memory if sys.argv[3] == "memory" else value["sum"])[0] = 1
"""


def read_elsewhere(written: str) -> int:
    """Return the exit code of a process that reads a value, then the changed memory, and then writes."""
    address = Address.new()
    tensors = {"sum": torch.arange(10.0), "half": torch.zeros(3, 2).half(), "empty": torch.empty(0, 4)}
    memory = SharedBytes(4)
    with Listener(address.name, authkey=address.key) as listener:
        command = [sys.executable, "-c", READER, address.name.replace("\0", "@"), address.key.hex(), written]
        with subprocess.Popen(command, env=environment()) as reader:
            with listener.accept() as connection:
                Packed({**tensors, "text": "a text"}).send(connection)
                memory.send(connection)
                assert connection.recv() == (45.0, (0, 4), "torch.float16", "a text")
                memory.tensor.copy_(torch.tensor([1, 2, 3, 4], dtype=torch.uint8))
                connection.send("changed")
                assert connection.recv() == [1, 2, 3, 4]
                connection.send("write")
            return reader.wait(30)


def test_another_process_reads_what_changes_and_dies_of_a_write() -> None:
    assert read_elsewhere("value") == -signal.SIGSEGV
    assert read_elsewhere("memory") == -signal.SIGSEGV


def test_a_packed_value_can_be_read_here_too() -> None:
    packed = Packed([torch.arange(6).view(2, 3).t(), "text"])
    tensor, text = packed.value()
    assert torch.equal(tensor, torch.arange(6).view(2, 3).t()) and text == "text"


def test_nobody_connects_without_the_key() -> None:
    address = Address.new()
    with Listener(address.name, authkey=address.key) as listener, ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(listener.accept)
        with pytest.raises(AuthenticationError):
            Client(address.name, authkey=b"another")
        with pytest.raises(AuthenticationError):
            accepted.result(30)
