"""Made-up ledgers of every sort become pages without an error, and without nan in a sentence."""

import fuzz_reports
import pytest
from fuzz_reports import STUDIES, Draw, Faults


@pytest.mark.parametrize("first", range(0, 80, 20))
def test_pages_of_every_sort_are_made(first: int) -> None:
    faults = fuzz_reports.fuzz(range(first, first + 20))
    assert not faults.pages, faults


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_loads(name: str) -> None:
    assert fuzz_reports.described(*fuzz_reports.texts(STUDIES[name] | {"seeds": "2"})) is not None


def test_a_page_is_the_same_in_every_run() -> None:
    first, second = (Draw(7).page() for _ in range(2))
    assert first.about == second.about
    assert first.results.entries == second.results.entries


def test_a_fault_is_told_with_its_pages() -> None:
    faults = Faults({}, {})
    for number in (3, 5):
        try:
            raise ValueError(f"trial {number} has no loss")
        except ValueError as error:
            faults.add(number, "about", error)
    ((key, pages),) = faults.pages.items()
    assert (pages, "trial # has no loss" in key) == ([3, 5], True)


@pytest.mark.parametrize("page", [856, 2134, 3470])
def test_pages_that_once_had_a_fault_have_none(page: int) -> None:
    """Fresh seeds whose losses are no numbers, and arms without their reference."""
    assert fuzz_reports.fuzz(range(page, page + 1)).pages == {}
