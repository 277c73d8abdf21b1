"""Contrasts of made-up studies: pairs, intervals, what is left out, and whose test is shown."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sret_search.artifacts.names import PREDICTIONS
from sret_search.reporting.analyses.contrasts.analysis import sentences
from sret_search.reporting.analyses.contrasts.numbers import Contrasted, contrasts
from sret_search.reporting.results import Results
from sret_search.reporting.write import write_report
from sret_search.space.candidate import Values
from sret_search.study import Study, load_study
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial_result import TrialResult

SPACE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages: [{width: 16, heads: 1, unique: 2, loops: 1}]
  nll: {share: none}
axes:
  stages.*.loops: {choices: [1, 2]}
  stages.*.groups: {choices: [[1], [4]]}
  nll.share: {choices: [none, block, stage]}
"""
SLICES = "{axis: stages.*.groups, of: [4], against: [1]}"
LINKS = "{axis: nll.share, of: block, against: none, within: {stages.*.loops: 2}}"
IMAGES = 359

Reached = Callable[[Values, int], np.ndarray | None]
"""Of a candidate's values and a seed, whether each image is right; None where training failed."""


pytestmark = pytest.mark.usefixtures("here")


def trained(contrasts: str, reached: Reached, seeds: int = 3, files: bool = True) -> Study:
    """A study of which every candidate is trained."""
    made = study(contrasts, seeds)
    ledger = Ledger.create(made)
    for seed in range(seeds):
        for candidate in made.grid:
            entry = ledger.begin(made.job(candidate, seed, "cpu"), candidate.values, 1258)
            right = reached(candidate.values, seed)
            if right is None:
                ledger.tell(
                    entry,
                    TrialResult.from_dict({"state": "failed", "reason": "lost", "environment": {}}),
                )
                continue
            ledger.tell(entry, TrialResult.from_dict({
                "state": "complete", "val_accuracy": 0.5, "val_loss": 1.0,
                "test_accuracy": float(right.mean()), "epochs": 10, "seconds": 1.0, "reruns": [],
                "history": [], "environment": {},
            }))  # fmt: skip
            if files:
                folder = Path(made.trials_root, f"{entry.number:05d}", "attempt-1")
                folder.mkdir(parents=True)
                labels = np.zeros(IMAGES, np.int64)
                np.savez_compressed(folder / PREDICTIONS, labels=labels, test=np.where(right, 0, 1))
    return made


def contrasts_and_text(made: Study) -> tuple[list[Contrasted], str]:
    """The contrasts of a study, and the sentences of its page."""
    results = Results.read(made)
    contrasted = contrasts(results)
    return contrasted, "\n".join(sentences(contrasted))


def study(contrasts: str, seeds: int) -> Study:
    Path("space.yaml").write_text(SPACE)
    Path("study.yaml").write_text(
        f"study: s\nspace: space.yaml\nsearch: {{sampler: grid, seeds: {seeds}}}\n{contrasts}\n"
    )
    return load_study(Path("study.yaml"))


def first(count: int) -> np.ndarray:
    return np.arange(IMAGES) < count


def by_seed(values: Values, seed: int) -> np.ndarray:
    """Slices gain 2, 4 and 6 images in three seeds, and twice that of two loops; seeds spread more."""
    gain = 2 * (seed + 1) * values["stages.*.loops"] * (values["stages.*.groups"] == [4])
    return first(100 + 50 * seed + gain)


def test_a_contrast_is_the_mean_over_pairs_of_each_seed() -> None:
    (slices, links), text = contrasts_and_text(
        trained(f"contrasts: [{SLICES}, {LINKS}]", by_seed, files=False)
    )
    assert (slices.pairs, slices.seeds, slices.lost) == (6, 3, 0)
    gains = np.array([3, 6, 9]) / IMAGES
    test = stats.ttest_1samp(gains, 0)
    assert slices.difference == pytest.approx(gains.mean())
    assert slices.over_seeds is not None
    assert slices.over_seeds.interval == pytest.approx(test.confidence_interval(0.95))
    assert slices.over_seeds.p == pytest.approx(test.pvalue)
    assert (slices.tested.p, slices.tested.tests) == (pytest.approx(test.pvalue), 2)
    assert slices.tested.p_holm == pytest.approx(2 * test.pvalue)
    assert slices.over_both is None
    assert links.over_seeds is not None
    assert (links.pairs, links.difference, links.over_seeds.p) == (2, 0, 1)
    assert links.verdict == "no measurable difference"
    assert "stages.*.groups [4] against [1]: " in text
    assert "6 pairs of candidates that differ in nothing else" in text
    assert "after Holm's correction over 2 contrasts" in text
    assert "nll.share block against none, within stages.*.loops 2" in text


def test_outcomes_of_images_widen_the_claim() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(IMAGES)

    def reached(values: Values, seed: int) -> np.ndarray:
        level = 0.75 if values["stages.*.groups"] == [4] else 0.7
        right: np.ndarray = hard + rng.normal(0, 0.1, IMAGES) < level
        return right

    made = trained(f"contrasts: [{SLICES}]", reached, seeds=5)
    page = write_report(made).read_text()
    (facts,) = json.loads((made.report_folder / "summary.json").read_text())["contrasts"]
    seeds, both = facts["over_seeds"]["interval"], facts["over_both"]["interval"]
    assert both[1] - both[0] > seeds[1] - seeds[0]
    assert sum(both) == pytest.approx(sum(seeds))
    assert (facts["verdict"], facts["name"]) == ("better", "stages.*.groups [4] against [1]")
    assert "95 % interval for other seeds and images" in page
    assert 'id="contrasts"' in page
    assert (made.report_folder / "contrasts.svg").exists()
    # There are five seeds.


def test_pairs_with_a_lost_training_are_left_out_and_said() -> None:
    def reached(values: Values, seed: int) -> np.ndarray | None:
        lost = (values["nll.share"], values["stages.*.loops"], seed) == ("stage", 2, 1)
        return None if lost else by_seed(values, seed)

    (contrast,), text = contrasts_and_text(trained(f"contrasts: [{SLICES}]", reached))
    assert (contrast.pairs, contrast.lost, contrast.seeds) == (5, 1, 3)
    # Three pairs of one loop and two of two are left.
    assert contrast.difference == pytest.approx(4 * (3 * 1 + 2 * 2) / 5 / IMAGES)
    assert "without 1 pair of which a training diverged or failed" in text


def test_one_seed_has_no_interval() -> None:
    (contrast,), text = contrasts_and_text(trained(f"contrasts: [{SLICES}]", by_seed, seeds=1))
    assert contrast.over_seeds is contrast.over_both is None
    assert contrast.verdict == "one seed: no verdict"
    assert "one seed, no interval and no verdict" in text


@pytest.mark.parametrize(
    ("contrasts", "trials"), [(f"contrasts: [{SLICES}]", 12), (f"contrasts: [{LINKS}]", 4), ("", 0)]
)
def test_test_accuracy_is_shown_of_candidates_in_a_contrast(contrasts: str, trials: int) -> None:
    results = Results.read(trained(contrasts, by_seed, seeds=1, files=False))
    assert results.table.test_accuracy.notna().sum() == trials
    assert results.declared == (trials == 12)


def test_the_sentence_says_what_it_would_have_taken() -> None:
    rng = np.random.default_rng(3)

    def reached(values: Values, seed: int) -> np.ndarray:
        return first(300 + int(rng.integers(0, 30)))

    (contrast,), text = contrasts_and_text(trained(f"contrasts: [{SLICES}]", reached, files=False))
    assert contrast.over_seeds is not None
    assert contrast.difference is not None
    half = contrast.over_seeds.interval[1] - contrast.difference
    deviation = half / 4.3027 * math.sqrt(3)
    # About 7.85 σ²/δ² seeds, and two more.
    needed = contrast.over_seeds.needed[1]
    assert needed == pytest.approx(7.85 * (deviation / 0.005) ** 2 + 2, abs=1.5)
    assert f"half a point needs {needed}" in text
