"""The front views of connectivity in a report: what is drawn, and of which studies."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from sret_search.reporting import connectivity_grids
from sret_search.reporting.charts import lengths
from sret_search.reporting.connectivity import by_length, taken
from sret_search.reporting.connectivity import tested as seen
from sret_search.reporting.results import Results
from sret_search.reporting.write import write_report
from sret_search.study import Study, load_study
from sret_search.tasks import connectivity
from sret_search.trials.ledger import Ledger

SPACE = """\
architecture:
  image_size: 8
  in_channels: 3
  classes: 2
  stem_strides: [1]
  stages: [{width: 16, heads: 2}]
  nll: {share: none}
axes:
  stages.*.loops: {choices: [1, 2, 8]}
"""
STUDY = """\
study: grids
space: space.yaml
data: {name: connectivity, images: 300}
search: {sampler: grid, seeds: 2}
"""
ARMS = "arms: {axis: stages.*.loops, reference: 2}\n"
LONGEST = {1: 6, 2: 9, 8: 11}
"""Steps up to which a made-up model of so many executions is right."""


pytestmark = pytest.mark.usefixtures("here")


def _study(more: str) -> Study:
    Path("space.yaml").write_text(SPACE)
    Path("study.yaml").write_text(STUDY + more)
    return load_study(Path("study.yaml"))


def _end(made: Study) -> None:
    """End every trial; those of seed 1 take the first grid wrongly, too."""
    test, ledger = connectivity.test_part(made.file.data), Ledger.create(made)
    for seed in range(2):
        for candidate in made.grid:
            entry = ledger.begin(made.job(candidate, seed, "cpu"), candidate.values, 210)
            attempt = Path(ledger.folders.new_attempt(entry.number))
            right = test.lengths <= LONGEST[candidate.architecture.executions]
            right[0] &= seed == 0
            chosen = np.where(right, test.labels, 1 - test.labels)
            np.savez(attempt / "predictions.npz", labels=test.labels, test=chosen)
            ledger.tell(entry, {
                "state": "complete", "val_accuracy": 0.9, "val_loss": 0.3,
                "test_accuracy": right.mean(), "epochs": 4, "seconds": 2.0,
                "reruns": [], "history": [], "environment": {"torch": "2", "python": "3"},
            })  # fmt: skip


def _view(made: Study) -> Figure | None:
    results = Results.read(made)
    return connectivity_grids.draw(seen(results), "footer")


def test_a_report_shows_the_grids_and_the_accuracy_of_every_length(drawn: None) -> None:
    made = _study(ARMS)
    _end(made)
    page = write_report(made).read_text()
    names = {path.name for path in made.report_folder.glob("*.png")}
    assert {"grids.png", "accuracy_lengths.png"} <= names
    assert "Grids of the test part" in page
    assert "Accuracy against the length of the path" in page
    first = (made.report_folder / "grids.svg").read_bytes()
    write_report(made)
    assert (made.report_folder / "grids.svg").read_bytes() == first


def test_the_lines_are_the_accuracies_of_the_arms_at_each_length() -> None:
    made = _study(ARMS)
    _end(made)
    results = Results.read(made)
    chart = lengths.chart(by_length(seen(results)))
    joined, parted = (
        {s.name: s for s in panel.series if s.kind == "line"} for panel in chart.panels
    )
    assert set(joined) == {"1 execution", "2 executions (reference)", "8 executions"}
    line = joined["2 executions (reference)"]
    assert list(line.x) == list(connectivity.lengths(8))
    # The first grid is joined, and one of 4 of the shortest, and wrong in one seed of two.
    assert list(line.y) == pytest.approx([100 * 7 / 8] + [100] * 4 + [0] * 3)
    assert list(parted["2 executions (reference)"].y) == [100] * 5 + [0] * 3
    bands = {s.name: s for s in chart.panels[0].series if s.kind == "band"}
    assert bands[line.name].low[0] < line.y[0] < bands[line.name].high[0] <= 100


def test_the_grids_that_are_shown_as_wrong_are_wrong() -> None:
    made = _study(ARMS)
    _end(made)
    figure = _view(made)
    titles = [strip.get_suptitle() for strip in figure.subfigs]
    assert titles[2:] == [
        "wrong at 2 executions, in how many of 2 trials",
        "wrong at 8 executions, in how many of 2 trials",
    ]
    words = [[axes.get_xlabel() for axes in strip.axes] for strip in figure.subfigs]
    assert words[0] == [f"{steps} steps" for steps in (5, 6, 7, 9, 10, 12)]
    assert words[1][0] == "not joined; 5 without ×"
    assert all("2 wrong" in each for each in words[2])
    assert words[3][:3] == ["12 steps\n2 wrong", "12 steps\n2 wrong", "5 steps\n1 wrong"]


def test_nothing_that_was_searched_shows_what_it_gets_wrong() -> None:
    made = _study("")
    _end(made)
    assert len(_view(made).subfigs) == 2
    assert taken(Results.read(made)) == []


def test_other_data_has_no_grids() -> None:
    Path("space.yaml").write_text("architecture: sret_digits\n")
    Path("study.yaml").write_text("study: digits\nspace: space.yaml\n")
    made = load_study(Path("study.yaml"))
    Ledger.create(made)
    assert _view(made) is None
