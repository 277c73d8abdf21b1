"""A space with fewer candidates than trials were asked for: the run says so, and is complete."""

from pathlib import Path

import pytest
from made_up import complete, run, written

from sret_search import run as command
from sret_search.reporting import write

SPACE = "architecture: sret_digits\naxes:\n  stages.*.loops: {choices: [1, 2, 3, 4]}\n"
STUDY = "study: small\nspace: space.yaml\nsearch: {sampler: random, trials: 9, seeds: SEEDS}\n"

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize(
    ("seeds", "trained", "each"), [(1, 4, ""), (2, 8, ", each trained with 2 seeds")]
)
def test_a_space_that_is_used_up_is_said_to_be(
    seeds: int,
    trained: int,
    each: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(write, "write_report", lambda study: Path("report.html"))
    made = run(written(SPACE, STUDY.replace("SEEDS", str(seeds))), lambda entry: complete(0.9))
    assert command.run(made, fresh=False) == 0
    said = capsys.readouterr().out
    assert f"nothing to train: all {trained} trials ended in an earlier run\n" in said
    assert (
        f"the space has only 4 different candidates within its budget{each}:"
        " there is nothing to train for the rest of the 9 trials asked for\n"
    ) in said


def test_a_space_that_is_large_enough_is_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "write_report", lambda study: Path("report.html"))
    study = STUDY.replace("SEEDS", "1").replace("9", "4")
    assert command.run(run(written(SPACE, study), lambda entry: complete(0.9)), fresh=False) == 0
    assert "the space has only" not in capsys.readouterr().out
