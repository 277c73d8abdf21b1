"""Each extra, alone beside what everyone has, does what it is for; without it the error says how to
install it."""

import re
import tomllib

import pytest
from checks import CHECKS, COMMANDS, FOR_DEVELOPERS, MODULES, PROGRAMS, without
from environments import ROOT

from sret_search.commands.doctor import _FOR_DEVELOPERS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_every_extra_is_checked():
    assert CHECKS.keys() == PROJECT["optional-dependencies"].keys()
    assert set(FOR_DEVELOPERS) == _FOR_DEVELOPERS
    assert {*COMMANDS, *MODULES, *PROGRAMS, *FOR_DEVELOPERS} == CHECKS.keys()


def test_every_line_that_installs_an_extra_names_one_that_there_is():
    sources = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("sret_search/**/*.py")]
    texts = "".join(path.read_text(encoding="utf-8") for path in sources)
    named = {
        name for found in re.findall(r"sret-search\[([\w,]+)\]", texts) for name in found.split(",")
    }
    assert named == CHECKS.keys() - set(FOR_DEVELOPERS)
    assert "sret_search[" not in texts


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("extra", CHECKS)
def test_an_extra_alone_does_what_it_is_for(extra, bare, wheel, place):
    CHECKS[extra](bare.with_extra(extra, wheel, place))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("extra", [name for name in CHECKS if name not in FOR_DEVELOPERS])
def test_without_an_extra_the_line_that_installs_it_is_named(extra, bare):
    without(extra, bare)
