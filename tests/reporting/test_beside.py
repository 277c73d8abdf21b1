"""What stands beside a study's candidates in its report: twins, learning rates, confirmation."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sret_search.reporting.write import write_report
from sret_search.search import phases
from sret_search.search.samplers.base import Ask
from sret_search.study import Study, load_study
from sret_search.trials.history import History
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import TrialResult

ARMS = """\
study: made_up
space: space.yaml
search: {seeds: SEEDS}
arms: {axis: stages.*.loops, reference: 4, lr: {grid: [1e-3, 2e-3, 4e-3, 8e-3]}}
controls: [unshared, shallow, iso_params, iso_macs, iso_train_macs]
"""
SEARCHED = """\
study: made_up
space: space.yaml
search: {sampler: random, trials: 10, seeds: SEEDS}
confirm: {seeds: 4, on: ON}
controls: [iso_params]
"""
SPACES = {
    ARMS: "axes: {stages.*.loops: {choices: [1, 4, 16]}}\n",
    SEARCHED: "axes: {stages.*.loops: {low: 1, high: 32}, stages.*.mlp_ratio: {low: 1, high: 4}}\n",
}


pytestmark = pytest.mark.usefixtures("here")


def run(
    text: str, accuracy: Callable[[TrialRecord], float], seeds: int = 3, on: str = "train"
) -> Study:
    """A whole study with made-up results, as its ledger has it."""
    Path("space.yaml").write_text(f"architecture: sret_digits\n{SPACES[text]}")
    Path("study.yaml").write_text(text.replace("SEEDS", str(seeds)).replace("ON", on))
    made = load_study(Path("study.yaml"))
    ledger = Ledger.create(made)
    asker, history = phases.build(made), History(made, [])
    while isinstance(ask := asker.ask(history), Ask):
        job = made.job(ask.candidate, made.file.search.seed + ask.seed, "cpu")
        entry = ledger.begin(
            replace(job, whole=ask.whole), ask.candidate.values, 1258,
            ask.role, ask.about,
        )  # fmt: skip
        reached = accuracy(entry)
        history.begin(entry)
        history.end(ledger.tell(entry, TrialResult.from_dict({
            "state": "complete", "val_accuracy": reached, "val_loss": 1 - reached,
            "test_accuracy": reached - 0.01, "epochs": 4, "seconds": 2.0, "reruns": [],
            "history": [], "environment": {"torch": "2", "python": "3"},
        })))  # fmt: skip
    assert ask is None
    return made


def report(made: Study) -> tuple[str, dict, pd.DataFrame]:
    page = write_report(made)
    folder = made.report_folder
    summary = json.loads((folder / "summary.json").read_text())
    return page.read_text(), summary, pd.read_csv(folder / "trials.csv")


def noise(entry: TrialRecord) -> float:
    return 1e-3 * float(np.random.default_rng([entry.seed, entry.cost["params"]]).normal())


def recursion_helps(entry: TrialRecord) -> float:
    """By two points, at a rate that falls with depth; twins that only have more weights gain
    nothing."""
    a = entry.job.architecture
    off = abs(math.log2(entry.job.recipe.lr * a.executions / 0.02))
    return 0.9 + 0.02 * (a.loops > 1) - 0.01 * off + noise(entry)


def test_each_arm_stands_beside_its_twins_at_rates_of_their_own(drawn: None) -> None:
    page, summary, trials = report(run(ARMS, recursion_helps))
    pairs = {(pair["candidate_executions"], pair["control"]): pair for pair in summary["twins"]}
    assert len(pairs) == 2 * 5
    for pair in pairs.values():
        assert pair["part"] == "test"
        assert pair["seeds"] == 3
        low, high = pair["interval"]
        assert low <= pair["difference"] <= high
        assert pair["twin_accuracy"] == pytest.approx(pair["accuracy"] - pair["difference"])
        assert abs(pair["gap"]) <= 0.02 + 1e-9
    deep = pairs[64, "iso_params"]
    assert deep["difference"] == pytest.approx(0.02, abs=0.01)
    assert deep["verdict"] == "better"
    assert pairs[64, "unshared"]["params"] > pairs[64, "unshared"]["executions"] * 1000
    assert "executions compared with the same candidate with each block run once" in page
    rates = {rate["executions"]: rate for rate in summary["rates"] if rate["is_arm"]}
    assert {rate["is_interior"] for rate in rates.values()} == {True}
    assert rates[64]["best"] == 2.5e-4  # 0.02 / 64, by factors of two from the grid
    assert "0.00025 at 64 executions" in page
    # What chose a rate shows no test accuracy, and what is compared does.
    assert set(trials.role) == {"search", "rate", "twin"}
    assert trials[trials.role == "rate"].test_accuracy.isna().all()
    assert trials[trials.role != "rate"].test_accuracy.notna().all()
    # Three arms alone are candidates of the study.
    assert summary["best"]["executions"] in (16, 64)
    for name in ("twins", "learning_rates", "accuracy_params"):
        assert (Path("reports/made_up") / f"{name}.png").stat().st_size > 10_000
        assert f'href="{name}.pdf"' in page

    # One more rate to try: nothing is chosen until it was.
    text = Path("study.yaml").read_text().replace("grid: [1e-3", "grid: [5e-4, 1e-3")
    Path("study.yaml").write_text(text)
    before = len(summary["rates"])
    edited = load_study(Path("study.yaml"))
    assert len(report(edited)[1]["rates"]) == before, "it did not run yet"
    Ledger.create(edited).close()
    _, summary, _ = report(edited)
    assert len(summary["rates"]) < before
    assert summary["best"] is not None


def test_one_seed_has_no_interval_between_twins_of_different_images() -> None:
    _, summary, _ = report(run(ARMS, recursion_helps, seeds=1))
    assert {pair["interval"] for pair in summary["twins"]} == {None}
    assert {pair["verdict"] for pair in summary["twins"]} == {"one seed: no verdict"}


@pytest.mark.parametrize("on", ["train", "train+val"])
def test_the_front_is_decided_again_by_fresh_seeds_alone(on: str) -> None:
    def lucky(entry: TrialRecord) -> float:
        """More parameters are better, and one small candidate was lucky with its seeds."""
        size = entry.cost["params"] / 100_000
        luck = 0.2 * (entry.role == "search" and entry.job.architecture.loops in range(10, 14))
        return 0.4 + 0.1 * size + luck - 0.002 * (entry.job.architecture.loops > 9)

    page, summary, trials = report(run(SEARCHED, lucky, seeds=1, on=on))
    confirmed = summary["confirmed"]
    assert len(confirmed) > 1
    confirmations = trials[trials.role == "confirmation"]
    assert len(confirmations) == 4 * len(confirmed)
    assert confirmations.test_accuracy.notna().all()
    assert trials[trials.role != "confirmation"].test_accuracy.isna().all()
    assert confirmations.val_accuracy.isna().all() == (on == "train+val")
    assert {member["val"] is None for member in confirmed} == {on == "train+val"}
    for member in confirmed:
        assert member["seeds"] == 4
        assert member["chosen"] > member["test"]
        smaller = [rival for rival in confirmed if rival["params"] < member["params"]]
        if on == "train":
            assert member["on_front"] == all(rival["val"] < member["val"] for rival in smaller)
        else:
            assert member["on_front"] is None, "the test part decides nothing"
    assert ("members of the front stay on it, by validation" in page) == (on == "train")
    best = summary["answer"]["best"]
    assert best["part"] == ("val" if on == "train" else "test")
    by = "val" if on == "train" else "chosen"
    assert best["candidate"] == max(confirmed, key=lambda member: member[by])["candidate"]
    assert (Path("reports/made_up") / "confirmed.svg").exists()
    # Twins of what was searched are compared on validation.
    assert {pair["part"] for pair in summary["twins"]} == {"val"}


def test_arms_that_share_a_rate_are_said_to_do_so() -> None:
    text = ARMS.replace(", lr: {grid: [1e-3, 2e-3, 4e-3, 8e-3]}", "")
    SPACES[text] = SPACES[ARMS]
    page, summary, _ = report(run(text, recursion_helps, seeds=1))
    assert "All arms were trained at one learning rate, 0.003" in page
    assert summary["rates"] == []
