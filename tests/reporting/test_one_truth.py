"""A report reads the ledger alone: what ran, and what was declared before its results were known."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_up import complete, run, written
from sqlalchemy import create_engine, text

from sret_search.reporting.results import Results
from sret_search.reporting.write import write_report
from sret_search.study import Study, load_study
from sret_search.trials.trial import TrialRecord

pytestmark = pytest.mark.usefixtures("here")

SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 4]}
"""
STUDY = """\
study: made_up
space: space.yaml
recipe: {epochs: 4, lr: 1e-3}
search: {seeds: 3}
"""
LR = "lr: {grid: [5e-4, 1e-3, 2e-3, 4e-3]}"
ARMS = (
    f"{STUDY}arms: {{axis: stages.*.loops, reference: 1, {LR}}}\ncontrols: [iso_params, iso_macs]\n"
)
PLAIN_ARMS = f"{STUDY}arms: {{axis: stages.*.loops, reference: 1}}\n"
CONTRASTS_SPACE = """\
architecture: sret_digits
axes:
  residual.kind: {choices: [lrc, scaled]}
  stages.*.mlp_ratio: {choices: [1, 2]}
"""
CONTRASTS = f"{STUDY}contrasts: [{{axis: residual.kind, of: lrc, against: scaled}}]\n"
SEARCH = f"{STUDY.replace('seeds: 3', 'sampler: random, trials: 3')}"
RANGE = SPACE.replace("{choices: [1, 2, 4]}", "{low: 1, high: 30}")


def deeper_is_better(entry: TrialRecord) -> dict[str, Any]:
    a = entry.job.architecture
    lr = 0.01 * (entry.job.recipe.lr == 2e-3)
    return complete(0.8 + 0.01 * min(a.executions, 9) + 0.003 * (entry.seed % 3) + lr)


def drawn(made: Study) -> tuple[dict[str, Any], str]:
    page = write_report(made).read_text(encoding="utf-8")
    return json.loads((made.report_folder / "summary.json").read_text()), page


def edited(file: str, old: str, new: str) -> Study:
    path = Path(file)
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new), encoding="utf-8")
    return load_study("study.yaml")


EDITS = [
    ("arms", "study.yaml", "epochs: 4", "epochs: 300"),
    ("arms", "study.yaml", "lr: 1e-3", "lr: 3e-3"),
    ("arms", "study.yaml", f", {LR}", ""),
    ("arms", "study.yaml", "4e-3]}", "4e-3], seeds: 2}"),
    ("arms", "study.yaml", "[iso_params, iso_macs]", "[unshared]"),
    ("arms", "study.yaml", "reference: 1", "reference: 4"),
    ("arms", "study.yaml", "seeds: 3", "seeds: 2"),
    ("arms", "study.yaml", "seeds: 3", "seeds: 3, seed: 40"),
    ("arms", "space.yaml", "[1, 2, 4]", "[1, 2]"),
    ("arms", "space.yaml", "[1, 2, 4]", "[1, 2, 4, 8]"),
    ("arms", "study.yaml", "study: made_up", "study: made_up\nobjectives: {accuracy: max, macs: min}"),
    ("arms", "study.yaml", "study: made_up", "study: made_up\ndata: {name: digits, split_seed: 3}"),
    ("arms", "space.yaml", "architecture: sret_digits", "architecture: sret_digits\nbudget: {macs: {max: 1e9}}"),
    ("contrasts", "space.yaml", "  stages.*.mlp_ratio: {choices: [1, 2]}\n", ""),
    ("contrasts", "study.yaml", "epochs: 4", "epochs: 9"),
    ("contrasts", "study.yaml", "of: lrc, against: scaled", "of: scaled, against: lrc"),
    ("contrasts", "study.yaml", "contrasts: [{axis: residual.kind, of: lrc, against: scaled}]\n", ""),
    ("search", "space.yaml", "high: 30", "high: 3"),
    ("search", "study.yaml", "random, trials: 3", "random, trials: 3, seeds: 3"),
    ("search", "study.yaml", "study: made_up", "study: made_up\nreport: {hypervolume_reference: {accuracy: 0.5}}"),
    ("search", "study.yaml", "study: made_up", "study: made_up\nconfirm: {seeds: 2}"),
]  # fmt: skip
TEXTS = {
    "arms": (SPACE, ARMS),
    "contrasts": (CONTRASTS_SPACE, CONTRASTS),
    "search": (RANGE, SEARCH),
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each study, with its report."""
    folders = {}
    for name, texts in TEXTS.items():
        folder = tmp_path_factory.mktemp(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            made = run(written(*texts), deeper_is_better)
            write_report(made)
        folders[name] = folder
    return folders


@pytest.mark.parametrize(("name", "file", "old", "new"), EDITS)
def test_an_edit_changes_one_line_and_no_number(
    ran: dict[str, Path], name: str, file: str, old: str, new: str
) -> None:
    shutil.copytree(ran[name], Path(), dirs_exist_ok=True)
    before = json.loads(Path("reports/made_up/summary.json").read_text())
    old_page = Path("reports/made_up/report.html").read_text(encoding="utf-8")
    after, page = drawn(edited(file, old, new))
    (notice,) = after.pop("notices")
    assert before.pop("notices") == []
    assert after == before
    assert notice.startswith("The study file was edited since it last ran: ")
    assert page.count("was edited since it last ran") == 1
    lines = [line for line in page.splitlines() if line not in old_page]
    assert len(lines) <= 6, "the notice and its section"


def test_trials_of_another_recipe_are_left_out_and_counted() -> None:
    made = run(written(SPACE, PLAIN_ARMS), deeper_is_better)
    run(
        edited("study.yaml", "epochs: 4", "epochs: 40"),
        lambda entry: complete(0.95 + 0.003 * entry.seed),
    )
    made = load_study("study.yaml")
    facts, page = drawn(made)
    assert [depth["seeds"] for depth in facts["depths"]] == [3, 3, 3]
    assert "9 complete trials are left out" in page
    assert facts["answer"]["best"]["accuracy"] == pytest.approx(0.953)
    assert {e.job.recipe.length for e in Results.read(made).complete} == {40}


def test_another_rate_is_not_counted_as_more_seeds() -> None:
    run(written(SPACE, PLAIN_ARMS), deeper_is_better)
    made = run(edited("study.yaml", "lr: 1e-3", "lr: 2e-3"), deeper_is_better)
    facts, _ = drawn(made)
    assert [depth["seeds"] for depth in facts["depths"]] == [3, 3, 3]


def test_a_confirmation_of_another_recipe_is_left_out() -> None:
    run(written(RANGE, SEARCH + "confirm: {seeds: 2}\n"), deeper_is_better)
    made = run(edited("study.yaml", "epochs: 4", "epochs: 40"), deeper_is_better)
    facts, _ = drawn(made)
    comparable = {entry.candidate for entry in Results.read(made).comparable}
    assert {member["candidate"] for member in facts["confirmed"]} <= comparable


CLOSING = [
    (RANGE, SEARCH, "space.yaml", "axes:\n  stages.*.loops: {low: 1, high: 30}\n", ""),
    (
        SPACE,
        SEARCH,
        "study.yaml",
        "sampler: random, trials: 3}",
        "seeds: 1}\narms: {axis: stages.*.loops, reference: 1}",
    ),
    (CONTRASTS_SPACE, SEARCH, "study.yaml", "sampler: random, trials: 3}",
     "seeds: 1}\ncontrols: []\ncontrasts: [{axis: residual.kind, of: lrc, against: scaled}]"),
]  # fmt: skip


@pytest.mark.parametrize(("space", "study", "file", "old", "new"), CLOSING)
def test_what_is_declared_after_a_search_opens_no_test_accuracy(
    space: str, study: str, file: str, old: str, new: str
) -> None:
    run(written(space, study), deeper_is_better)
    made = run(edited(file, old, new), deeper_is_better)
    results = Results.read(made)
    assert results.complete
    assert results.table.test_accuracy.isna().all()
    facts, page = drawn(made)
    assert facts["answer"]["best"]["test"] is None
    assert " on test (" not in page


def test_a_recipe_that_is_tuned_by_editing_shows_the_first_test_accuracy_alone() -> None:
    space = "architecture: sret_digits\n"
    made = run(written(space, STUDY), deeper_is_better)
    for lr in ("2e-3", "4e-3"):
        text = Path("study.yaml").read_text()
        Path("study.yaml").write_text(text.replace(text.split("lr: ")[1].split("}")[0], lr))
        made = run(load_study("study.yaml"), deeper_is_better)
    table = Results.read(made).table
    assert table.test_accuracy.notna().tolist() == [True] * 3 + [False] * 6
    _, page = drawn(made)
    assert "declared after the results of others were known" in page


def test_an_arm_that_is_added_later_keeps_its_test_accuracy_closed() -> None:
    run(written(SPACE, PLAIN_ARMS), deeper_is_better)
    made = run(edited("space.yaml", "[1, 2, 4]", "[1, 2, 4, 8]"), deeper_is_better)
    facts, page = drawn(made)
    tests = {depth["executions"]: depth["test"] for depth in facts["depths"]}
    assert [value is None for _, value in sorted(tests.items())] == [False, False, False, True]
    assert facts["depths"][-1]["verdict"] == "declared after the results: test stays closed"
    assert "1 candidate was declared after the results" in page


def test_arms_that_are_edited_before_anything_ended_are_declared() -> None:
    run(written(SPACE, PLAIN_ARMS), deeper_is_better, most=0)
    made = run(edited("space.yaml", "[1, 2, 4]", "[1, 2, 4, 8]"), deeper_is_better)
    results = Results.read(made)
    assert results.declared
    assert results.table.test_accuracy.notna().all()


def test_more_seeds_of_what_was_declared_show_test() -> None:
    run(written(SPACE, PLAIN_ARMS), deeper_is_better)
    made = run(edited("study.yaml", "seeds: 3", "seeds: 5"), deeper_is_better)
    assert Results.read(made).table.test_accuracy.notna().all()


def test_a_contrast_that_is_added_later_is_exploratory() -> None:
    run(written(CONTRASTS_SPACE, CONTRASTS), deeper_is_better)
    added = "against: scaled}, {axis: stages.*.mlp_ratio, of: 2, against: 1}]"
    made = run(edited("study.yaml", "against: scaled}]", added), deeper_is_better)
    facts, page = drawn(made)
    first, second = facts["contrasts"]
    assert first["over_seeds"] is not None
    assert "declared after the results" in second["verdict"]
    assert "exploratory" in page
    assert Results.read(made).declared, "its candidates were declared by the other contrast"


def test_a_ledger_of_an_earlier_program_still_draws() -> None:
    made = run(written(SPACE, PLAIN_ARMS), deeper_is_better)
    before, _ = drawn(made)
    engine = create_engine("sqlite:///runs/made_up/study.db")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM study_user_attributes WHERE key = 'declarations'"))
        connection.execute(
            text("DELETE FROM trial_user_attributes WHERE key IN ('declared', 'digest')")
        )
        for table in ("study", "trial"):  # nor were there digests, which come first in a mapping
            connection.execute(
                text(
                    f"UPDATE {table}_user_attributes SET value_json = '{{' || substr(value_json, 80)"
                    " WHERE value_json LIKE '{\"digest\":%'"
                )
            )
    engine.dispose()
    after, page = drawn(made)
    assert "An earlier version of the program ran this study" in page
    assert after["depths"] == before["depths"]
    # What is declared from now on is after the results.
    made = run(edited("space.yaml", "[1, 2, 4]", "[1, 2, 4, 8]"), deeper_is_better)
    assert Results.read(made).table.test_accuracy.isna().sum() == 3


def test_survivors_of_a_candidate_that_diverged_are_on_no_front() -> None:
    """The deepest diverges with all seeds but one, which is lucky."""

    def result(entry: TrialRecord) -> dict[str, Any]:
        if entry.values["stages.*.loops"] == 4:
            lucky = entry.seed == 0
            return complete(0.99) if lucky else {"state": "diverged", "reason": "nan"}
        return deeper_is_better(entry)

    made = run(written(SPACE, STUDY), result)
    facts, page = drawn(made)
    lucky = next(e.candidate for e in Results.read(made).entries if e.values["stages.*.loops"] == 4)
    assert lucky not in {member["candidate"] for member in facts["front"]}
    assert lucky not in Path("reports/made_up/front.md").read_text()
    assert facts["best"]["candidate"] != lucky
    assert facts["answer"]["best"]["candidate"] != lucky
    assert "Best: 99.0 %" not in page


def test_an_arm_that_lost_a_seed_gets_no_verdict() -> None:
    """The two seeds of four executions that are left are far ahead."""

    def result(entry: TrialRecord) -> dict[str, Any]:
        loops = entry.values["stages.*.loops"]
        if loops == 4 and entry.seed == 1:
            return {"state": "diverged", "reason": "nan"}
        return complete(0.8 + 0.1 * (loops == 4) + 1e-4 * entry.seed)

    arms = PLAIN_ARMS.replace("epochs: 4", "epochs: 4, weight_decay: 0.02")
    facts, page = drawn(run(written(SPACE, arms), result))
    deep = facts["depths"][-1]
    assert deep["executions"] == 16
    assert deep["verdict"] == "a seed diverged or failed: no verdict"
    assert deep["difference"] == pytest.approx(0.1)
    assert deep["difference_p"] is None
    assert "16 executions are better" not in page


def test_nothing_is_best_where_every_candidate_lost_a_seed() -> None:
    def result(entry: TrialRecord) -> dict[str, Any]:
        return {"state": "diverged", "reason": "nan"} if entry.seed == 1 else complete(0.9)

    facts, page = drawn(run(written(SPACE, STUDY), result))
    assert facts["answer"] is None
    assert facts["front"] == []
    assert "No candidate is complete: each has a seed that diverged or failed" in page


def test_a_study_that_minimises_loss_recommends_the_least_loss() -> None:
    def result(entry: TrialRecord) -> dict[str, Any]:
        loops = entry.values["stages.*.loops"]
        return complete(0.95 - 0.001 * loops) | {"val_loss": 0.2 / loops}

    made = run(written(SPACE, STUDY + "objectives: {loss: min, params: min}\n"), result)
    facts, page = drawn(made)
    assert facts["answer"]["measure"] == "loss"
    assert facts["answer"]["best"]["values"]["stages.*.loops"] == 4
    assert facts["best"]["values"]["stages.*.loops"] == 4
    assert [member["values"]["stages.*.loops"] for member in facts["front"]] == [4]
    assert "Best: loss 0.05" in page


def test_a_packed_ledger_draws_the_same_report() -> None:
    made = run(written(SPACE, ARMS), deeper_is_better)
    write_report(made, pack=True)
    folder = Path("reports/made_up")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    shutil.rmtree("runs")
    write_report(load_study("study.yaml"), pack=True)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert len(before["ledger.json.xz"]) < 40_000


def test_losses_that_are_no_numbers_choose_nothing() -> None:
    study = STUDY + "objectives: {loss: min, params: min}\n"
    endless = run(written(SPACE, study), lambda entry: complete(0.9, val_loss=float("inf")))
    facts, _ = drawn(endless)
    assert facts["answer"] is None
    assert facts["front"] == []


@pytest.mark.parametrize("content", [b"", b"no archive", b"\xfd7zXZ\x00"])
def test_a_damaged_packed_ledger_is_named(
    content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    from sret_search.__main__ import main

    written(SPACE, STUDY)
    Path("reports/made_up").mkdir(parents=True)
    Path("reports/made_up/ledger.json.xz").write_bytes(content)
    assert main(["report", "study.yaml"]) == 2
    assert "ledger.json.xz: the packed ledger cannot be read" in capsys.readouterr().err
