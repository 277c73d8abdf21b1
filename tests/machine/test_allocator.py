"""The allocator of processes that train: Ray's jemalloc, unless the user preloads something."""

import os
import subprocess
import sys

import pytest

from sret_search.environment import environment
from sret_search.machine import allocator

_LOADED = "print(any('jemalloc' in line for line in open('/proc/self/maps')))"

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="preloading")


def _is_loaded() -> bool:
    done = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True)
    return {"True\n": True, "False\n": False}[done.stdout]


def test_processes_that_start_in_the_block_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.delenv("MALLOC_CONF", raising=False)
    before = dict(os.environ)
    with environment(allocator.variables()):
        assert _is_loaded()
        assert os.environ["MALLOC_CONF"] == allocator.SETTINGS
    assert dict(os.environ) == before
    assert not _is_loaded()


def test_what_the_user_preloads_or_sets_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.setenv("MALLOC_CONF", "narenas:1")
    assert allocator.variables()["MALLOC_CONF"] == "narenas:1"
    monkeypatch.setenv("LD_PRELOAD", "libc.so.6")
    assert allocator.variables() == {}
    with environment(allocator.variables()):
        assert os.environ["LD_PRELOAD"] == "libc.so.6"
        assert not _is_loaded()


def test_the_settings_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    with environment(allocator.variables()):
        done = subprocess.run([sys.executable, "-c", ""], capture_output=True, text=True)
    assert done.stderr == ""  # jemalloc names settings that it does not know


def test_without_ray_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "find_spec", lambda name: None)
    assert allocator.jemalloc() is None
    assert allocator.variables() == {}
