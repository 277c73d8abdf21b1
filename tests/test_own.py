"""The page about a user's own code does as it says: data that are read, losses that are minimised,
callbacks that are told."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import made_up
import pytest
import torch

from sret_search.__main__ import main
from sret_search.job import Recipe
from sret_search.planning.user_inputs import check_inputs
from sret_search.run import run
from sret_search.study import StudyError, load_study
from sret_search.trials.trial import TrialRecord

PAGE = Path(__file__).parents[1] / "docs" / "own.md"
FILES = re.findall(
    r"```\w+\n# (\w+\.(?:py|yaml))\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
)


@pytest.fixture(autouse=True)
def page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, text in FILES:
        Path(name).write_text(text, encoding="utf-8")
    yield
    for name, _ in FILES:
        sys.modules.pop(Path(name).stem, None)


def changed(old, new):
    text = Path("study.yaml").read_text(encoding="utf-8")
    assert old in text
    Path("study.yaml").write_text(text.replace(old, new), encoding="utf-8")
    return load_study("study.yaml")


def test_the_data_are_read_when_the_study_runs_and_not_before(capsys):
    assert main(["plan", "study.yaml"]) == 0
    assert "study rings" in capsys.readouterr().out
    study = load_study("study.yaml")
    assert study.sizes == (0, 0, 0)
    assert "shapes" not in sys.modules
    assert check_inputs(study).sizes == (560, 80, 160)
    assert "shapes" in sys.modules


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("shapes:rings", "shapes:rigns", "study.yaml:3:14: .*no rigns; did you mean rings?"),
        ("shapes:rings", "shape:rings", "study.yaml:3:14: no module shape, neither"),
        ("seed: 1", "sead: 1", r"study.yaml:3:37: shapes:rings takes .*argument 'sead'"),
        ("seed: 1", "seed: -1", r"study.yaml:3:14: shapes:rings failed: ValueError: .*shapes.py:6"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(old, new, said):
    with pytest.raises(StudyError, match=said):
        check_inputs(changed(old, new))


def test_data_that_do_not_fit_the_architecture_are_refused():
    text = Path("space.yaml").read_text(encoding="utf-8")
    Path("space.yaml").write_text(text.replace("classes: 2", "classes: 3"), encoding="utf-8")
    with pytest.raises(StudyError, match=r"study.yaml:3:14: shapes:rings has 2 classes, but"):
        check_inputs(load_study("study.yaml"))


def with_callback(path):
    return changed("study: rings", f'study: rings\ncompute: {{callbacks: ["{path}"]}}')


def entry_of(study):
    job = study.job(study.grid[1], 0, "cpu")
    entry = TrialRecord.begun(3, job, study.grid[1].values, 560, "origin")
    return lambda trial_id: {"a": entry}[trial_id]


EPOCH = {
    "epoch": 1, "step": 5, "train_loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.75, "seconds": 2.0,
    "training_iteration": 1,
}  # fmt: skip
TRIAL = SimpleNamespace(trial_id="a", config={"job": "{}"})


def told(study, name):
    from sret_search.execution import callbacks

    said = []
    (callback,) = callbacks.named(study)
    return callbacks.CallbackAdapter(callback, name, entry_of(study), said.append), said


def test_the_callback_of_the_page_is_told_of_trials_as_the_ledger_has_them():
    callback, said = told(with_callback("lines:Lines"), "lines:Lines")
    callback.setup(stop=None)
    callback.on_trial_start(0, [TRIAL], TRIAL)
    callback.on_trial_result(1, [TRIAL], TRIAL, EPOCH)
    callback.on_trial_result(1, [TRIAL], TRIAL, {"ended": True})
    callback.on_trial_complete(1, [TRIAL], TRIAL)
    callback.on_experiment_end([TRIAL])
    assert Path("lines.txt").read_text() == "3 2 0.75\n"
    assert said == []


RECORDER = """
from ray.tune import Callback

class Recorder(Callback):
    calls = []
    def on_trial_start(self, iteration, trials, trial, **info):
        self.calls.append(("start", str(trial), trial.config, trial.trial_id))
    def on_trial_result(self, iteration, trials, trial, result, **info):
        self.calls.append(("result", result))
    def on_trial_complete(self, iteration, trials, trial, **info):
        self.calls.append("complete")
    def on_trial_error(self, iteration, trials, trial, **info):
        self.calls.append("error")

class Failing(Recorder):
    def on_trial_result(self, iteration, trials, trial, result, **info):
        raise OSError("no server")

def broken():
    raise KeyError("token")
"""
ENDS = [
    # results, the hook that Ray calls, and what a callback is told
    ([{"ended": True}], "on_trial_complete", "complete"),
    ([{"ended": True}], "on_trial_error", "complete"),
    ([{"failed": "error", "reason": "x"}, {"ended": True}], "on_trial_complete", "error"),
    ([{"failed": "error", "reason": "x"}], "on_trial_error", "error"),
    ([], "on_trial_error", "error"),
]


@pytest.mark.parametrize(("results", "hook", "end"), ENDS)
def test_a_callback_gets_config_metrics_and_the_true_end(results, hook, end):
    Path("lines.py").write_text(RECORDER)
    callback, said = told(with_callback("lines:Recorder"), "lines:Recorder")
    callback.on_trial_start(0, [TRIAL], TRIAL)
    for result in (EPOCH, *results):
        callback.on_trial_result(1, [TRIAL], TRIAL, result)
    getattr(callback, hook)(1, [TRIAL], TRIAL)
    start, result, last = sys.modules["lines"].Recorder.calls
    assert start[1] == "trial_3"
    assert start[3] == "a"
    assert {"trial": 3, "seed": 0, "stages.loops": 2}.items() <= start[2].items()
    assert {"candidate", "params", "macs", "executions"} <= start[2].keys()
    assert result == ("result", EPOCH | {"config": start[2]})
    assert last == end
    assert said == []


def test_a_callback_that_fails_is_named_once_and_told_no_more():
    Path("lines.py").write_text(RECORDER)
    callback, said = told(with_callback("lines:Failing"), "lines:Failing")
    callback.on_trial_start(0, [TRIAL], TRIAL)
    for _ in range(2):
        callback.on_trial_result(1, [TRIAL], TRIAL, EPOCH)
    callback.on_trial_complete(1, [TRIAL], TRIAL)
    assert len(sys.modules["lines"].Recorder.calls) == 1
    (line,) = said
    assert line.startswith(
        "the callback lines:Failing failed in on_trial_result: OSError: no server ("
    )
    assert "lines.py:17)" in line


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("lines:Recoder", "study.yaml:2:23: .*no Recoder; did you mean Recorder?"),
        ("lines:broken", "study.yaml:2:23: lines:broken cannot be made: KeyError: 'token'"),
        ("lines:dict", "study.yaml:2:23: .*has no dict"),
        ("shapes:rings", "study.yaml:2:23: shapes:rings makes a dict, not a ray.tune.Callback"),
    ],
)
def test_a_callback_that_is_none_is_refused_with_its_place(path, said):
    from sret_search.execution import callbacks

    Path("lines.py").write_text(RECORDER)
    with pytest.raises(StudyError, match=said):
        callbacks.named(with_callback(path))


def test_a_wrong_form_is_refused_when_the_study_is_loaded():
    with pytest.raises(StudyError, match=r"study.yaml:2:23: \"lines\" is not of the form"):
        with_callback("lines")


def own(tmp_path, recipe):
    """The job of the page's study with another recipe, and a folder to train it in."""
    study = load_study("own_training.yaml")
    job = study.job(study.grid[1], 0, "cpu")
    return replace(job, recipe=replace(job.recipe, **recipe)), tmp_path / "trial" / "attempt-1"


def test_the_loss_of_the_page_is_minimised_by_the_optimizer_that_is_named(tmp_path):
    from sret_search.training.trainer import Trainer

    job, attempt = own(tmp_path, {"epochs": None, "steps": 3})
    trainer = Trainer(job, attempt)
    import losses

    seen = []
    trainer.objective.user_loss = lambda *given: seen.append(given) or losses.steady(*given)
    assert sum(1 for _ in trainer.steps()) == 3
    assert isinstance(trainer.optimizer, torch.optim.RAdam)
    assert [group["weight_decay"] for group in trainer.optimizer.param_groups] == [0.05, 0]
    assert all(model is trainer.model for model, *_ in seen)
    assert [(images.shape, targets.shape) for _, images, targets in seen] == [
        ((32, 1, 16, 16), (32,))
    ] * 3
    assert trainer.end_epoch().train_loss > 0


def test_an_own_training_goes_on_where_it_was_stopped_to_the_same_bits(tmp_path):
    from sret_search.training.train import train

    job, attempt = own(tmp_path, {"epochs": 2})
    whole = train(job, attempt, lambda metrics: None).to_dict()
    first, second = (tmp_path / "other" / f"attempt-{i}" for i in (1, 2))
    assert train(job, first, lambda metrics: None, until=1).to_dict()["state"] == "rung"
    again = train(job, second, lambda metrics: None, [first]).to_dict()
    assert whole["state"] == again["state"] == "complete"
    for name in ("val_loss", "test_loss"):
        assert whole[name] == again[name]


WRONG_LOSSES = """
def number(model, images, targets): return 1.0
def each(model, images, targets): return model(images).sum(1)
def unmoved(model, images, targets): return model(images).mean().detach()
"""


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"loss": "wrong:number"}, "wrong:number returned a value of type float; the mean loss"),
        ({"loss": "wrong:each"}, r"wrong:each returned a tensor of shape \(32,\); the mean"),
        (
            {"loss": "wrong:unmoved"},
            "wrong:unmoved returned a tensor that does not depend on any w",
        ),
        ({"optimizer": "builtins:dict"}, "builtins:dict returned a dict; a torch.optim.Optimizer"),
    ],
)
def test_what_returns_something_else_is_named(recipe, said, tmp_path):
    from sret_search.training.train import train

    Path("wrong.py").write_text(WRONG_LOSSES)
    with pytest.raises(TypeError, match=said):
        train(*own(tmp_path, recipe), lambda metrics: None)
    sys.modules.pop("wrong", None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("losses:steady", "losses:stead", r"own_training.yaml:4:27: .*did you mean steady\?"),
        ("optim:RAdam", "optim:RAdm", r"own_training.yaml:4:53: .*no RAdm"),
        ("losses:steady", "steady", r"own_training.yaml:4:9: 'steady' is not of the form package"),
        ("torch.optim:RAdam", "adam", r"own_training.yaml:4:9: unknown optimizer 'adam'; .*adamw"),
        (
            "epochs: 4,",
            "label_smoothing: 0.1,",
            r"`label_smoothing` cannot be used with your own `loss`",
        ),
        ("epochs: 4,", "distill: {teacher: trial 0},", "soft labels are the whole loss"),
        ("epochs: 4,", "depth_training: sandwich,", "`depth_training: sandwich` defines its"),
    ],
)
def test_a_training_that_cannot_be_is_refused_with_its_place(old, new, said):
    path = Path("own_training.yaml")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(StudyError, match=said):
        check_inputs(load_study(path))


def test_a_loss_may_be_an_axis():
    space = Path("space.yaml")
    axis = '  recipe.loss: {choices: [null, "losses:steady"]}\n'
    space.write_text(space.read_text() + axis)
    study = check_inputs(load_study("study.yaml"))
    assert {c.recipe.loss for c in study.grid} == {None, "losses:steady"}
    assert len({c.name for c in study.grid}) == 6
    space.write_text(space.read_text().replace("steady", "steadier"))
    with pytest.raises(StudyError, match=r"space.yaml:9:33: .*no steadier"):
        check_inputs(load_study("study.yaml"))


def test_jobs_without_a_loss_of_their_own_keep_their_names():
    assert "loss" not in Recipe().to_dict()
    assert "loss" not in Recipe().built(1)
    assert Recipe.from_dict(Recipe(loss="a:b").to_dict()).loss == "a:b"


def test_a_study_that_cannot_run_is_not_kept_aside():
    study = load_study("own_training.yaml")
    made_up.run(study, lambda entry: made_up.complete(0.5))
    Path("losses.py").unlink()
    with pytest.raises(StudyError, match=r"own_training.yaml:4:27: no module losses"):
        run(study, fresh=True)
    assert [folder.name for folder in Path("runs").iterdir()] == ["steady"]
