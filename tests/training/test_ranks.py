"""Processes of one training that are killed, or end before their time."""

import os
import signal
import time

import pytest
import torch
import torch.distributed as dist

from sret_search.errors import chain
from sret_search.training import distributed
from sret_search.training.causes import machine_failure
from sret_search.training.distributed import RankDied, _Failure, _why, launch
from sret_search.writing import full_disk

_LONGEST = 60.0
"""Seconds that an attempt may outlive its processes."""


def _die(rank, report, stopping, who, step):
    """Steps together, until some processes are killed, or the one between them all."""
    for number in range(1000):
        if number == step and who == "manager":
            if rank.is_first:
                os.kill(int(os.environ["TEST_MANAGER"]), signal.SIGKILL)
        elif number == step and rank.index in who:
            os.kill(os.getpid(), signal.SIGKILL)
        rank.mean(torch.ones(1))
        report({"step": number})
        time.sleep(0.01)
    return {}


class _Fails(Exception):
    """Cannot be made again from what its pickle holds."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def _fail(rank, report, stopping, kind):
    if rank.index == 1:
        try:
            raise OSError(116, "Stale file handle", "/data/a.jpg")
        except OSError as error:
            raise (_Fails("this", "that") if kind == "odd" else KeyError("image")) from error
    rank.mean(torch.ones(1))
    return {}


def _launch(tmp_path, work, *arguments, device="cpu"):
    told = []
    begun = time.monotonic()
    try:
        with pytest.raises(Exception) as raised:  # noqa: PT011
            launch(work, arguments, 2, device, tmp_path, told.append, lambda: False)
    finally:
        assert time.monotonic() - begun < 4 * _LONGEST
    # What looks for its cause comes to an end.
    assert full_disk(raised.value) is None
    return raised.value, told


@pytest.mark.parametrize(
    ("who", "step"), [((1,), 0), ((1,), 20), ((0, 1), 20)], ids=["one early", "one", "all"]
)
def test_killed_ranks_are_a_death(tmp_path, who, step):
    error, told = _launch(tmp_path, _die, who, step)
    assert isinstance(error, RankDied)
    assert str(error) == "a process of the training was ended by SIGKILL"
    assert bool(told) == bool(step)


def test_ranks_end_with_the_process_between_them(tmp_path, monkeypatch):
    context = distributed.get_context("spawn")
    manager = context.Manager()
    monkeypatch.setattr(context, "Manager", lambda: manager)
    monkeypatch.setattr(distributed, "get_context", lambda kind: context)
    monkeypatch.setenv("TEST_MANAGER", str(manager._process.pid))
    error, _ = _launch(tmp_path, _die, "manager", 5)
    assert isinstance(error, RankDied)
    assert [p for p in distributed.active_children() if p.is_alive()] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="fails before it begins without CUDA alone")
def test_a_rank_that_fails_before_it_begins_tells_why(tmp_path):
    error, told = _launch(tmp_path, _fail, "", device="cuda")
    assert machine_failure(error) is not None
    assert "CUDA" in str(error) or "NVIDIA" in str(error)
    assert told == []


@pytest.mark.parametrize("kind", ["plain", "odd"])
def test_an_error_of_a_rank_comes_with_those_behind_it(tmp_path, kind):
    error, _ = _launch(tmp_path, _fail, kind)
    assert "image" in str(error) or str(error) == "_Fails: this and that"
    assert [type(behind) for behind in chain(error)][1:] == [OSError]
    assert machine_failure(error) == "Stale file handle (/data/a.jpg)"


def test_a_chain_of_causes_that_is_a_circle_ends():
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert list(chain(first)) == [first, second]
    assert full_disk(first) is None
    assert machine_failure(first) is None
    first.__cause__ = first
    assert list(chain(first)) == [first]


class _Ended:
    def __init__(self, *signals):
        self.signals = set(signals)


RESET = RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:25")
KEY = KeyError("image")


@pytest.mark.parametrize(
    ("errors", "signals", "why"),
    [
        ([RESET, KEY], (), KEY),
        ([RESET, KEY], (9,), KEY),
        ([RESET], (15,), RESET),
        ([dist.DistNetworkError("timed out")], (), dist.DistNetworkError),
        ([RESET], (9, 15), "a process of the training was ended by SIGKILL"),
        ([], (11, 15), "a process of the training was ended by SIGSEGV"),
        ([], (15,), "a process of the training was ended by SIGTERM"),
        ([], (), "a process of the training ended before it could say why"),
    ],
    ids=str,
)
def test_what_tells_more_than_the_loss_of_another_is_told(errors, signals, why):
    found = _why(errors, _Ended(*signals), None)
    if isinstance(why, str):
        assert isinstance(found, RankDied)
        assert str(found) == why
    else:
        assert found is why or type(found) is why


def test_a_failure_is_sent_as_it_is():
    error = KeyError("x")
    error.__cause__ = OSError(5, "Input/output error")
    sent = _Failure.of(error).error
    assert sent is error
    assert isinstance(sent.__cause__, OSError)


def test_ranks_that_are_gone_are_not_waited_for(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(distributed.time, "monotonic", lambda: now[0])
    child = type("Child", (), {"pid": 1, "exitcode": -9})()
    there = []
    monkeypatch.setattr(distributed, "active_children", lambda: list(there))
    ranks = distributed._Ranks(set())
    now[0] = 1000.0
    assert not ranks.are_gone(), "they have not begun yet"
    there.append(child)
    now[0] += 2
    assert not ranks.are_gone()
    there.clear()
    now[0] += 2
    assert not ranks.are_gone()
    now[0] += 40
    assert ranks.are_gone()
    assert ranks.signals == {9}
