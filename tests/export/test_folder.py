"""The study in an exported folder trains the same job, whatever it is a function of."""

import io
from dataclasses import replace

import pytest
import torch
from candidates import candidates

from sret_search.architecture import NLL, Architecture, Stage
from sret_search.export.card import Origin
from sret_search.export.folder import write_folder
from sret_search.job import Augment, Data, Distill, Job, Parent, Recipe
from sret_search.job.seeds import CONFIRMATION
from sret_search.model import SReT, save
from sret_search.planning import preflight
from sret_search.study import load_architecture, load_study

torch.set_num_threads(1)

TINY = Architecture(
    image_size=8, in_channels=1, classes=10, stem_strides=(2,), stages=(Stage(4, 2, loops=2),),
    nll=NLL("block"),
)  # fmt: skip
JOB = Job(TINY, Recipe(), Data(), seed=7, latency=None)


def _origin(job, architecture=None, before=()):
    return Origin(
        study="a" * 64, trial=12, job=job, architecture=architecture or job.architecture,
        before=before, images=(1258, 180, 359), accuracy={"val": 0.9}, seeds=1, means={"val": 0.9},
        depths=[], chosen="", steps=10, seconds=1.0, train_macs=10**9, ended=None,
        environment={"torch": "2"},
    )  # fmt: skip


def _weights(architecture):
    file = io.BytesIO()
    save(SReT(architecture), file)
    return file.getvalue()


def _written(folder, job, others=None, before=()):
    write_folder(folder, _weights(job.architecture), _origin(job, before=before), others or {})
    study = load_study(folder / "study.yaml")
    (candidate,) = study.grid
    return study, candidate


@pytest.mark.parametrize(
    "job",
    [
        JOB,
        replace(JOB, recipe=Recipe(steps=100, warmup=3, lr=1e-5, lr_end=1.5e-7, optimizer="sgd")),
        replace(JOB, recipe=Recipe(epochs=2.5, schedule="wsd", decay=0.5, ema=0.99, init="a.pth")),
        replace(JOB, recipe=Recipe(samples=10**6, depth_training="sampled", depths=(1, 2))),
        replace(JOB, recipe=Recipe(
            macs=2e12, depth_training={"kind": "curriculum", "grow": [[0, 1], [0.5, "all"]]}
        )),
        replace(JOB, recipe=Recipe(
            augment=Augment(crop=(0.5, 1), zoom=1.1, flip=True), weight_decay=0, clip_grad_norm=None,
            distill=Distill("torchvision:resnet18", 2), precision="bf16", batch_size=64, accumulate=2,
        )),
        replace(JOB, data=Data(split_seed=2, val=0.2, folds=5, fold=3), threads=2),
        replace(JOB, monitor=True, deterministic=False, latency=3),
        replace(JOB, data=Data(name="cifar10", root="where/cifar"), architecture=replace(
            TINY, in_channels=3, image_size=32
        )),
    ],
)  # fmt: skip
def test_a_job_is_trained_again(job, tmp_path):
    study, candidate = _written(tmp_path / "out", job)
    assert study.trials == 1
    again = study.job(candidate, study.file.search.seed, "cpu")
    assert replace(again, reruns=()) == job
    assert study.name == "a" * 50 + "_trial_12"


def test_every_architecture_is_written(tmp_path):
    for i, architecture in enumerate(candidates(10, seed=1)):
        out = tmp_path / str(i)
        job = replace(JOB, architecture=architecture)
        data = Data(name="digits", image_size=architecture.image_size)
        write_folder(out, _weights(architecture), _origin(replace(job, data=data)), {})
        assert load_architecture(str(out / "architecture.yaml")) == architecture
        assert load_architecture(str(out / "space.yaml")) == architecture


def test_weights_of_another_trial_come_along(tmp_path):
    job = replace(JOB, recipe=Recipe(init="trial 3", distill=Distill("trial 5")))
    study, candidate = _written(tmp_path / "out", job, {3: b"three", 5: b"five"})
    assert candidate.recipe.init == str(tmp_path / "out/trial_00003.safetensors")
    assert (tmp_path / "out/trial_00005.safetensors").read_bytes() == b"five"
    assert candidate.recipe.distill.teacher.endswith("out/trial_00005.safetensors")
    preflight.check(study)


def test_what_went_on_from_another_trial_is_a_branch(tmp_path):
    before = [Recipe(epochs=3), Recipe(epochs=4)]
    job = replace(JOB, recipe=Recipe(epochs=5), parent=Parent(1, "name"))
    study, candidate = _written(tmp_path / "one", job, before=before[:1])
    assert candidate.recipe == before[0]
    assert [(b.trial, b.recipe) for b in study.file.branches] == [(0, job.recipe)]
    study, _ = _written(tmp_path / "two", job, before=before)
    assert [b.recipe for b in study.file.branches] == [before[1]]
    text = (tmp_path / "two/study.yaml").read_text()
    assert (
        '# Once trial 1 has ended, add to branches: {"trial": 1, "recipe": {"epochs": 5}}' in text
    )


def test_a_confirmation_comes_after_what_it_confirms(tmp_path):
    data = Data(folds=3, fold=1)
    job = replace(JOB, whole=True, seed=CONFIRMATION + 4, data=data)
    study, candidate = _written(tmp_path / "out", job)
    search, confirm = study.file.search, study.file.confirm
    assert (search.seed + CONFIRMATION, confirm.on) == (job.seed, "train+val")
    again = study.job(candidate, job.seed, "cpu", compared=False)
    assert replace(again, whole=True) == job


def test_channels_are_normalised_one_by_one_where_there_are_several(tmp_path, monkeypatch):
    class Known:
        mean, std = (0.1, 0.2, 0.3), (1.0, 2.0, 3.0)

    monkeypatch.setattr("sret_search.training.data.load", lambda what: Known)
    job = replace(JOB, architecture=replace(TINY, in_channels=3, image_size=32))
    write_folder(tmp_path / "out", _weights(job.architecture), _origin(job), {})
    code = (tmp_path / "out/README.md").read_text().split("```python\n")[1].split("```")[0]
    named = {"images": torch.rand(2, 3, 32, 32)}
    exec(code.replace('"."', f'"{tmp_path / "out"}"'), named)
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (Known.mean, Known.std))
    wanted = named["model"]((named["images"] - mean) / std)
    torch.testing.assert_close(named["logits"], wanted)


def test_nothing_is_left_of_a_folder_that_cannot_be_written_whole(tmp_path):
    job = replace(JOB, architecture=replace(
        TINY, permutation="official", stages=(Stage(4, 2, loops=2, groups=(1, 4)),)
    ))  # fmt: skip
    with pytest.raises(Exception, match="permutation official"):
        write_folder(
            tmp_path / "out", _weights(job.architecture), _origin(job), {}, ["torch_export"]
        )
    assert list(tmp_path.iterdir()) == []
