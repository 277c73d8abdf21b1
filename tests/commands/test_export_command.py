"""`sret-search export`: a folder that stands alone, and one line for what is wrong."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

import sret_search
from sret_search.__main__ import main
from sret_search.study import load_architecture, load_study
from sret_search.training import data
from sret_search.training.augment import normalize
from sret_search.training.train import train
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial_result import TrialResult

torch.set_num_threads(1)

SPACE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem_strides: [1, 2]
  stages: [{width: 8, heads: 2, unique: 2, loops: 4, groups: [4, 2]}]
  nll: {share: block}
  residual: {kind: scaled}
  permutation: official
axes:
  stages.0.mlp_ratio: {choices: [1.0, 2.0]}
"""
STUDY = """\
study: tiny
space: space.yaml
data: {name: digits, split_seed: 3, folds: 4, order: contiguous}
recipe: {epochs: 1, batch_size: 256, lr: 5e-3, depth_training: mixed}
search: {seeds: 2, seed: 1}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a study of four trials: three trained, one diverged."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _train(_written(STUDY))
    return folder


def _written(study, space=SPACE):
    Path("space.yaml").write_text(space)
    Path("study.yaml").write_text(study)
    return load_study(Path("study.yaml"))


def _train(study, diverged=(3,)):
    ledger = Ledger.create(study)
    jobs = [
        (c, study.file.search.seed + s) for s in range(study.file.search.seeds) for c in study.grid
    ]
    for candidate, seed in jobs:
        entry = ledger.begin(study.job(candidate, seed, "cpu"), candidate.values, 1258)
        attempt = Path(ledger.folders.new_attempt(entry.number))
        if entry.number in diverged:
            ledger.tell(
                entry, TrialResult.from_dict({"state": "diverged", "reason": "the loss became nan"})
            )
        else:
            result = train(entry.job, attempt, lambda metrics: None).to_dict()
            ledger.tell(entry, TrialResult.from_dict(result))
    ledger.close()


@pytest.fixture(autouse=True)
def here(trained, tmp_path, monkeypatch):
    """Each test has a copy, so that it may write and remove."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def _exported(*options, out="out"):
    assert main(["export", "study.yaml", "--out", out, *options]) == 0
    return Path(out)


def _entry(number):
    ledger = Ledger.read(load_study(Path("study.yaml")))
    try:
        return ledger.entries()[number]
    finally:
        ledger.close()


def _evaluated(capsys, *arguments):
    capsys.readouterr()
    assert main(["evaluate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_an_exported_trial_evaluates_to_the_accuracy_in_the_report(capsys):
    folder, entry = _exported("--trial", "2"), _entry(2)
    facts = _evaluated(capsys, str(folder))
    # The model draws permutations, and the second seed has the second fold.
    assert entry.job.data.fold == 1
    assert (facts["part"], facts["accuracy"]) == ("val", entry.result.val_accuracy)
    assert (facts["fold"], facts["trained_on"]) == (1, 0)
    assert facts["loss"] == pytest.approx(entry.result.val_loss, rel=1e-6)
    again = _evaluated(capsys, str(folder), "--part", "test")
    assert again["accuracy"] == entry.result.test_accuracy
    assert f"{100 * facts['accuracy']:.2f} ± " in (folder / "README.md").read_text()


def test_another_depth_is_exported_with_its_own_accuracy(capsys):
    folder, entry = _exported("--trial", "0", "--depth", "4"), _entry(0)
    facts = _evaluated(capsys, str(folder))
    shallow = {run.executions: run for run in entry.result.reruns}[4]
    assert (facts["executions"], facts["trained_on"]) == (4, 0)
    assert facts["accuracy"] == shallow.val_accuracy
    assert facts["loss"] == pytest.approx(shallow.val_loss, rel=1e-6)
    assert facts["loss"] != pytest.approx(entry.result.val_loss, rel=1e-4)
    architecture = load_architecture(str(folder / "architecture.yaml"))
    assert architecture == entry.job.architecture.at_loops(2)
    # The training is that of all depths.
    assert load_study(folder / "study.yaml").space.architecture == entry.job.architecture
    assert f"| 8 | {100 * entry.result.val_accuracy:.2f} |" in (folder / "README.md").read_text()


def test_three_lines_load_it():
    folder = _exported("--trial", "1")
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    split = data.load(_entry(1).job.data)
    images = next(split.val.batches([torch.arange(5)]))[0]
    named = {"images": images / 255 if images.dtype == torch.uint8 else images}
    torch.manual_seed(0)
    exec(code.replace('"."', f'"{folder}"'), named)
    torch.manual_seed(0)
    model = sret_search.load(folder)
    wanted = model(normalize(images, split.mean, split.std))
    torch.testing.assert_close(named["logits"], wanted, rtol=1e-5, atol=1e-5)
    assert not model.training


def test_its_study_trains_the_same_job_again():
    for number in (0, 2):
        folder, job = _exported("--trial", str(number), out=f"out{number}"), _entry(number).job
        study = load_study(folder / "study.yaml")
        (candidate,) = study.grid
        assert study.trials == 1
        assert study.job(candidate, study.file.search.seed, "cpu") == job


def test_of_a_choice_the_first_seed_is_exported_and_its_card_says_so(capsys):
    text = (_exported("--trial", "best") / "README.md").read_text()
    assert "trial 0" in text or "trial 1" in text
    assert "It is the best of " in text
    assert "No test accuracy is shown" in text
    assert "test accuracy" not in capsys.readouterr().out


def test_test_accuracy_is_shown_where_candidates_were_declared(capsys):
    study = _written(
        STUDY.replace("tiny", "arms").replace("seeds: 2", "seeds: 1")
        + "arms: {axis: stages.0.mlp_ratio, reference: 1.0}\n"
    )
    _train(study, diverged=())
    folder, entry = _exported("--trial", "1"), _entry(1)
    facts = _evaluated(capsys, str(folder))
    assert (facts["part"], facts["accuracy"]) == ("test", entry.result.test_accuracy)
    assert "No test accuracy" not in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        (["--trial", "9"], "--trial 9: tiny has no such trial; the last is 3"),
        (["--trial", "3"], "trial 3 is diverged, and has no weights to export"),
        (["--trial", "1"], "trial 1 no longer has model.safetensors in runs/tiny/trials"),
        (["--trial", "2"], "trial 2: the weights cannot be read: "),
        (["--trial", "0", "--depth", "5"], "were measured at 2, 4, 6, 8 executions"),
        (["--trial", "knee"], "the front of tiny has no knee"),
        (["--trial", "0", "--out", "full"], "--out full: the folder is not empty"),
        (["--trial", "0", "--out", "study.yaml"], "there is a file of that name"),
        (["--trial", "0", "--out", "study.yaml/out"], "--out study.yaml/out: "),
        (["--trial", "0", "--format", "torch_export"], "--format: permutation official draws"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(options, fragment, capsys):
    for file in Path("runs/tiny/trials/00001").rglob("model.safetensors"):
        file.unlink()
    for file in Path("runs/tiny/trials/00002").rglob("model.safetensors"):
        file.write_bytes(b"torn")
    Path("full").mkdir()
    Path("full/kept").touch()
    assert main(["export", "study.yaml", "--out", "out", *options]) == 2
    written = capsys.readouterr()
    assert fragment in written.err
    assert len(written.err.splitlines()) == 1
    assert written.out == ""
    assert not list(Path().glob("*.partial")) and not Path("out").exists()


def test_a_choice_that_there_is_not_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["export", "study.yaml", "--out", "out", "--trial", "bst"])
    assert "give a number, or did you mean best?" in capsys.readouterr().err


def test_a_study_that_never_ran_is_said_to_be_so(capsys):
    _written(STUDY.replace("tiny", "new"))
    assert main(["export", "study.yaml", "--out", "out", "--trial", "best"]) == 2
    assert "run it first" in capsys.readouterr().err


def test_evaluation_still_asks_for_data(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "sret_t:model.pth"])
    assert "--data" in capsys.readouterr().err


def test_the_folder_has_the_files_of_the_documentation():
    page = Path(sret_search.__file__).parents[1] / "docs/exporting.md"
    rows = [line.split("|")[1] for line in page.read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    there = {file.name for file in _exported("--trial", "0").iterdir()}
    assert there == {name for name in named if not name.startswith("trial_")}
