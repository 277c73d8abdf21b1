"""Reports of made-up studies: complete, empty, running, diverged, hostile."""

import base64
import hashlib
import html
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import run

from sret_search.job import step_memory
from sret_search.reporting.results import Results
from sret_search.reporting.write import write_report
from sret_search.study import Study, load_study
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial_result import RungResult, TrialResult

SPACE = """\
architecture: sret_digits      # <script>alert("space")</script>
axes:
  stages.*.loops: {choices: [1, 5, 25]}
budget: {params: {max: 100_000}}
"""
STUDY = """\
# <script>alert("study")</script> & 'quotes'
study: made_up
space: space.yaml
search: {sampler: grid, seeds: SEEDS}
"""
ARMS = "arms: {axis: stages.*.loops, reference: 5}\ncontrols: [rerun]\n"
TEST_IMAGES = 359


pytestmark = pytest.mark.usefixtures("here")


def study(folder: Path, *, arms: bool = True, seeds: int = 1) -> Study:
    (folder / "space.yaml").write_text(SPACE)
    text = STUDY.replace("SEEDS", str(seeds)) + (ARMS if arms else "")
    (folder / "study.yaml").write_text(text)
    return load_study(folder / "study.yaml")


def end(made: Study, ledger: Ledger, wrong: dict[int, int], state: str = "complete") -> None:
    """Begin and end every trial; `wrong` counts wrong test images of each depth."""
    for seed in range(made.file.search.seeds):
        for candidate in made.grid:
            job = made.job(candidate, seed, "cpu")
            entry = ledger.begin(job, candidate.values, 1258)
            attempt = Path(ledger.folders.new_attempt(entry.number))
            if state != "complete":
                ledger.tell(
                    entry,
                    TrialResult.from_dict(
                        {"state": state, "reason": "the loss became <nan> at step 3"}
                    ),
                )
                continue
            right = {"test": correct(wrong[candidate.cost.executions] + seed)}
            reruns = []
            for i, other in enumerate(job.reruns):
                right[f"rerun-{i}"] = correct(wrong[20] + seed + LOST_IN_RERUN)
                accuracy = right[f"rerun-{i}"].mean()
                reruns.append(
                    {
                        "executions": other.executions,
                        "val_accuracy": 0.9,
                        "val_loss": 1.0,
                        "test_accuracy": accuracy,
                    }
                )
            # Class 0 is always right, class 1 chosen where the made-up model is wrong.
            np.savez(
                attempt / "predictions.npz",
                labels=np.zeros(TEST_IMAGES, int),
                **{name: (~value).astype(int) for name, value in right.items()},
            )
            ledger.tell(entry, TrialResult.from_dict({
                "state": "complete", "val_accuracy": 0.9, "val_loss": 0.3,
                "test_accuracy": right["test"].mean(), "epochs": 4, "seconds": 2.0,
                "reruns": reruns, "history": [], "environment": {"torch": "2", "python": "3"},
            }))  # fmt: skip


LOST_IN_RERUN = 2


def correct(wrong: int) -> np.ndarray:
    return np.arange(TEST_IMAGES) >= wrong


def report(made: Study) -> tuple[str, dict, pd.DataFrame]:
    page = write_report(made)
    folder = made.report_folder
    summary = json.loads((folder / "summary.json").read_text())
    return page.read_text(), summary, pd.read_csv(folder / "trials.csv")


def test_one_seed_shows_differences_without_a_verdict(tmp_path: Path) -> None:
    made = study(tmp_path)
    ledger = Ledger.create(made)
    end(made, ledger, {4: 40, 20: 10, 100: 11})
    page, summary, trials = report(made)
    depths = {depth["executions"]: depth for depth in summary["depths"]}
    assert depths[4]["verdict"] == "one seed: no verdict"
    assert depths[20]["verdict"] == "the reference"
    assert depths[100]["verdict"] == "one seed: no verdict"
    assert not any(depth["is_unused"] for depth in depths.values())
    assert depths[4]["gain"] == pytest.approx(-28 / TEST_IMAGES)
    assert depths[4]["difference"] == pytest.approx(-30 / TEST_IMAGES)
    assert depths[100]["difference"] == pytest.approx(-1 / TEST_IMAGES)
    low, high = depths[100]["difference_interval"]
    assert low < -1 / TEST_IMAGES < high
    low, high = depths[100]["gain_interval"]
    assert low < 1 / TEST_IMAGES < high
    assert "training at this depth made" not in page
    assert "Exploratory: one seed, so no verdict" in page
    assert list(trials.test_accuracy.round(3)) == [0.969, 0.972, 0.889]
    assert list(trials.columns[:17]) == [
        "trial", "candidate", "state", "seed", "val_accuracy", "val_loss", "test_accuracy",
        "params", "params_once", "params_shared", "macs", "train_macs", "executions",
        "unique_blocks", "epochs", "seconds", "attempts",
    ]  # fmt: skip
    assert list(trials.columns[17:]) == ["stages.*.loops"]
    assert list(trials["stages.*.loops"]) == [25, 5, 1]


def test_several_seeds_are_paired(tmp_path: Path) -> None:
    made = study(tmp_path, seeds=3)
    ledger = Ledger.create(made)
    end(made, ledger, {4: 40, 20: 10, 100: 10})
    page, summary, _ = report(made)
    deep = summary["depths"][-1]
    # The made-up seeds differ in both by the same images, so that no more than the least doubt is
    # left of them: a quarter of an image of each.
    half = 4.303 * (2 * 0.25**2 / 3) ** 0.5 / TEST_IMAGES
    lost = LOST_IN_RERUN / TEST_IMAGES
    assert (deep["seeds"], deep["difference"]) == (3, 0)
    assert deep["difference_interval"] == pytest.approx([-half, half], rel=1e-3)
    expected = [lost, lost - half, lost + half]
    assert [deep["gain"], *deep["gain_interval"]] == pytest.approx(expected, rel=1e-3)
    assert "Exploratory" not in page
    assert summary["seeds"] == [0, 1, 2]


def test_test_accuracy_is_shown_for_declared_arms_only(tmp_path: Path) -> None:
    made = study(tmp_path, arms=False)
    ledger = Ledger.create(made)
    end(made, ledger, {4: 40, 20: 10, 100: 10})
    page, summary, trials = report(made)
    assert trials.test_accuracy.isna().all()
    assert summary["best"]["test_accuracy"] is None
    without_ranges = re.sub(r'"range":\[[^]]*\]', "", page)
    assert "88.9" not in without_ranges
    assert "97.2" not in without_ranges
    assert "Test accuracy is not shown" in page


def test_diverged_trials_are_visible(tmp_path: Path) -> None:
    made = study(tmp_path)
    ledger = Ledger.create(made)
    end(made, ledger, {}, "diverged")
    page, summary, trials = report(made)
    assert list(trials.state) == ["diverged"] * 3
    assert summary["trials"]["diverged"] == 3
    assert summary["best"] is None
    assert "the loss became &lt;nan&gt; at step 3" in page
    assert "No trial is complete yet" in page


def test_a_study_without_trials_and_one_in_the_middle(tmp_path: Path) -> None:
    made = study(tmp_path)
    ledger = Ledger.create(made)
    page, summary, trials = report(made)
    assert len(trials) == 0
    assert summary["trials"] == {
        "complete": 0, "stopped": 0, "diverged": 0, "failed": 0, "running": 0,
    }  # fmt: skip
    job = made.job(made.grid[0], 0, "cpu")
    ledger.begin(job, made.grid[0].values, 1258)
    page, summary, trials = report(made)
    assert list(trials.state) == ["running"]
    assert "1 running or interrupted" in page


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        for name, value in attrs:
            if name in ("src", "href") and value and value.startswith(("http", "//")):
                self.outside.append(value)


def test_the_page_is_escaped_and_needs_no_network(tmp_path: Path) -> None:
    made = study(tmp_path)
    end(made, Ledger.create(made), {4: 40, 20: 10, 100: 10})
    page, _, _ = report(made)
    tags = Tags()
    tags.feed(page)
    # The charts' library, the page's own script, and data of charts, which does not run.
    charts = page.count('<script type="application/json">')
    assert charts >= 3
    assert (tags.scripts, tags.outside) == (2 + charts, [])
    assert "&lt;script&gt;alert(" in page


def test_the_page_runs_its_own_scripts_and_fetches_nothing(tmp_path: Path) -> None:
    made = study(tmp_path)
    end(made, Ledger.create(made), {4: 40, 20: 10, 100: 10})
    page, _, _ = report(made)
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="(.*?)"', page)[0])
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    ]
    assert len(allowed) == 2
    assert f"script-src {' '.join(allowed)};" in policy
    assert policy.startswith("default-src 'none'; img-src data: blob:;")


def test_the_same_results_give_the_same_bytes(tmp_path: Path, drawn: None) -> None:
    made = study(tmp_path)
    end(made, Ledger.create(made), {4: 40, 20: 10, 100: 10})
    report(made)
    first = {path.name: path.read_bytes() for path in made.report_folder.iterdir()}
    report(made)
    assert {path.name: path.read_bytes() for path in made.report_folder.iterdir()} == first
    tables = {"trials.csv", "trials.parquet", "front.tex", "front.md", "summary.json"}
    assert tables | {"report.html", "accuracy_params.pdf", "accuracy_macs.svg"} <= set(first)
    assert first["accuracy_params.png"].startswith(b"\x89PNG")


def test_the_command_needs_neither_torch_nor_ray(tmp_path: Path) -> None:
    made = study(tmp_path)
    end(made, Ledger.create(made), {4: 40, 20: 10, 100: 10})
    code = (
        "import sys; from sret_search.__main__ import main;"
        "assert main(['report', 'study.yaml']) == 0;"
        "assert not {'torch', 'ray'} & set(sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "report: reports/made_up/report.html\n"


def test_memory_and_latency_are_shown_where_they_are_objectives(tmp_path: Path) -> None:
    made = study(tmp_path)
    text = made.path.read_text()
    made.path.write_text(f"{text}objectives: {{accuracy: max, memory: min, latency_ms: min}}\n")
    made = load_study(made.path)
    ledger = Ledger.create(made)
    for number, candidate in enumerate(made.grid):
        entry = ledger.begin(made.job(candidate, 0, "cpu"), candidate.values, 1258)
        result = {"val_accuracy": 0.9, "val_loss": 0.3, "latency_ms": 1.5 + number, "reruns": [],
                  "test_accuracy": 0.9}  # fmt: skip
        if number:
            ledger.tell(entry, TrialResult.from_dict({"state": "complete", **result}))
    page, _, trials = report(made)
    memory = [step_memory(c.architecture, c.recipe) for c in made.grid]
    assert list(trials.memory) == memory
    assert list(trials.latency_ms.fillna(0)) == [0, 2.5, 3.5]
    assert "<th>memory, MB</th><th>latency, ms</th>" in page
    assert f"<td>{memory[1] / 1e6:.3g}</td><td>2.5</td>" in page


def test_stopped_trials_are_counted_and_stand_in_no_front_and_no_mean(tmp_path: Path) -> None:
    made = study(tmp_path, arms=False)
    text = made.path.read_text().replace("grid, seeds: 1", "random, trials: 3")
    made.path.write_text(f"{text}scheduler: {{name: mo_asha, strata: 1}}\n")
    made = load_study(made.path)
    ledger = Ledger.create(made)
    for number, candidate in enumerate(made.points.all()):
        entry = ledger.begin(made.job(candidate, 0, "cpu"), candidate.values, 1258)
        value = {"val_accuracy": 0.99 - number / 10, "val_loss": 1.0, "seconds": 2.0}
        entry = ledger.reach(entry, 1, RungResult.from_dict(value))
        if number < 2:
            ledger.tell(entry, entry.stopped)
        else:
            measured = {"val_accuracy": 0.7, "val_loss": 1.0, "epochs": 10, "seconds": 20.0}
            ledger.tell(
                entry,
                TrialResult.from_dict(
                    {"state": "complete", "test_accuracy": 0.7, "reruns": [], **measured}
                ),
            )
    page = write_report(made).read_text()
    summary = json.loads((made.report_folder / "summary.json").read_text())
    assert (summary["trials"]["stopped"], summary["trials"]["complete"]) == (2, 1)
    # Two of three trainings of 20 seconds were stopped after a tenth.
    assert summary["stopped"]["seconds_saved"] == pytest.approx(36.0)
    assert summary["stopped"]["share_saved"] == pytest.approx(0.6)
    sentence = "mo_asha stopped 2 of 3 trials after 1 of 10 epochs, which saved 60 %"
    assert sentence in page
    assert summary["best"]["val_accuracy"] == 0.7
    assert len(summary["front"]) == 1
    table = pd.read_csv(made.report_folder / "trials.csv")
    assert list(table.state) == ["stopped", "stopped", "complete"]
    assert list(table.epochs) == [1, 1, 10]


def test_a_trial_that_waits_at_a_rung_shows_how_far_it_came(tmp_path: Path) -> None:
    made = study(tmp_path, arms=False)
    ledger = Ledger.create(made)
    candidate = next(made.points.all())
    entry = ledger.begin(made.job(candidate, 0, "cpu"), candidate.values, 1258)
    ledger.reach(
        entry, 3, RungResult.from_dict({"val_accuracy": 0.9, "val_loss": 1.0, "seconds": 2.0})
    )
    row = Results.read(made).table.iloc[0]
    assert (row.state, row.epochs, row.seconds) == ("running", 3, 2.0)


def test_a_reason_that_is_no_text_is_escaped(tmp_path: Path) -> None:
    made = study(tmp_path)
    run(made, lambda entry: {"state": "failed", "reason": "cannot read \udcff.png"}, most=1)
    page, *_ = report(made)
    assert r"cannot read \xff.png" in page
