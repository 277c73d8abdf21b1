"""The table of contents of a report, and the blocks of its page."""

import importlib
import pkgutil
from collections import Counter

import pytest
from made_up import complete, run, written
from markupsafe import Markup

from sret_search.reporting import analyses
from sret_search.reporting.analyses.base import Analysis, Block, Column, Table
from sret_search.reporting.contents import ANALYSES, blocks
from sret_search.reporting.render.page import render
from sret_search.reporting.results import Results
from sret_search.study.description import DescribedData

SPACE = "architecture: sret_digits\naxes:\n  stages.*.loops: {choices: [1, 2]}\n"
STUDY = "study: s\nspace: space.yaml\nsearch: {seeds: 2}\n"


def test_every_analysis_is_in_the_table_of_contents() -> None:
    modules = [
        importlib.import_module(module_info.name)
        for module_info in pkgutil.walk_packages(analyses.__path__, f"{analyses.__name__}.")
    ]
    analyse_functions = {module.analyse for module in modules if hasattr(module, "analyse")}
    assert len(analyse_functions) > 10
    assert analyse_functions <= set(ANALYSES)


def test_no_two_analyses_write_the_same_fact(here: None) -> None:
    results = Results.read(run(written(SPACE, STUDY), lambda entry: complete(0.9)))
    facts = Counter(key for analyse in ANALYSES for key in analyse(results).facts)
    assert set(facts.values()) == {1}


def test_what_several_analyses_need_is_worked_out_once(here: None) -> None:
    results = Results.read(run(written(SPACE, STUDY), lambda entry: complete(0.9)))
    counted = []

    def count(given: Results) -> int:
        counted.append(given)
        return len(given.entries)

    assert [results.once(count), results.once(count)] == [4, 4]
    assert counted == [results]


def test_verdicts_are_explained_once_before_the_first_of_them() -> None:
    made = [
        Analysis(blocks=[Block("first")]),
        Analysis(blocks=[Block("second")], compares=True),
        Analysis(blocks=[Block("third")], compares=True),
    ]
    assert [block.heading for block in blocks(made)] == ["first", "Comparisons", "second", "third"]


def test_cells_are_text_and_only_markup_is_markup() -> None:
    table = Table(
        [Column("<i>a</i>", "word"), Column("b")],
        [("<script>", Markup("<b>2</b>")), ("x", "3")],
        lost=frozenset([1]),
    )
    blocks = [Block("<h>", "name", texts=["a & b"], table=table), Block(notes=["after"])]
    page = render(
        "overlay.html", "t", [], sentences=[], footers=[], rows=[], pictures=[], blocks=blocks,
        data=DescribedData({"imagefolder": None, "name": "digits", "sizes": [1, 2, 3]}),
    )  # fmt: skip
    assert '<h2 id="name">&lt;h&gt;</h2>' in page
    assert "<p>a &amp; b</p>" in page
    assert '<tr><td class="word">&lt;script&gt;</td><td><b>2</b></td></tr>' in page
    assert '<tr class="lost"><td class="word">x</td><td>3</td></tr>' in page
    assert page.count("<h2") == 2


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(AssertionError):
        Table([Column("a")], [("1", "2")])
