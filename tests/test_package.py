"""The package itself: quick to import, and its few names come when they are asked for."""

import subprocess
import sys

import pytest

import sret_search

LOOK = """
import sys, time
before = set(sys.modules)
start = time.perf_counter()
import sret_search
seconds = time.perf_counter() - start
new = {name.partition('.')[0] for name in set(sys.modules) - before}
print(seconds, sorted(new - set(sys.stdlib_module_names)))
"""


def test_importing_it_imports_nothing_else_and_takes_no_time():
    found = [
        subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    seconds, modules = zip(*(one.stdout.strip().split(" ", 1) for one in found), strict=True)
    assert set(modules) == {"['sret_search']"}
    assert min(map(float, seconds)) < 0.1


def test_every_name_is_there():
    for name in sret_search.__all__:
        assert getattr(sret_search, name) is not None
        assert name in dir(sret_search)
    with pytest.raises(AttributeError, match="no attribute 'Sret'"):
        sret_search.Sret  # noqa: B018


def test_type_checkers_see_the_same_names():
    stub = sret_search.__file__ + "i"
    with open(stub, encoding="utf-8") as file:
        text = file.read()
    assert all(f" {name}" in text or f"{name}:" in text for name in sret_search.__all__)
