"""Measured steps: that they are whole ones, after the first, in as many processes as are asked."""

import itertools
from dataclasses import replace

import pytest
import torch
from PIL import Image

from sret_search.architecture import Architecture, Stage
from sret_search.job import Data, Job, Recipe
from sret_search.training import speed
from sret_search.training.trainer import Trainer

torch.set_num_threads(1)

JOB = Job(
    Architecture(8, 1, 10, (1, 2), (Stage(8, 2),)), Recipe(steps=1, batch_size=500), Data(), 0
)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(speed, "_SECONDS", 0.1)


def test_a_candidate_is_measured_however_short_its_training():
    found = speed.measure(JOB)
    assert 0 < found.evaluation < found.step < 10
    assert 1 <= found.images <= 180


def test_the_smaller_step_at_the_end_of_an_epoch_does_not_count(tmp_path, monkeypatch):
    seen = []
    take = Trainer._take_step

    def watched(self, images, *rest):
        seen.append(images)
        take(self, images, *rest)

    monkeypatch.setattr(Trainer, "_take_step", watched)
    trainer = Trainer(replace(JOB, recipe=Recipe(epochs=9, batch_size=500)), tmp_path)
    counted = []
    for _ in itertools.islice(speed._steps(trainer), 5):
        counted.append(seen[-1])
    assert set(seen) == {500, len(trainer.train_part) % 500}
    assert counted == [500] * 5


def test_the_first_ones_do_not_count_and_some_always_do():
    times = iter([9.0, 9.0, 1.0, 2.0, 3.0, 4.0])
    assert speed._mean(times, 0.1, 2, 3) == 2.0
    assert next(times) == 4.0
    assert speed._mean(iter([1.0] * 30), 5.5, 0, 1) == 1.0


@pytest.mark.slow
def test_processes_measure_at_once_and_say_what_does_not_run():
    wrong = replace(JOB, architecture=Architecture(16, 1, 10, (1, 2), (Stage(8, 2),)))
    assert [found.images for found in speed.speeds([JOB, JOB], 2, 0)] == [180, 180]
    with pytest.raises(speed.MeasuringError, match="8 pixels a side, but the architecture has 16"):
        list(speed.speeds([JOB, wrong], 2, 0))


@pytest.mark.slow
def test_images_that_other_processes_read_are_measured_too(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(40):
            Image.new("L", (8, 8), i).save(tmp_path / name / f"{i}.png")
    data = Data(imagefolder=str(tmp_path), image_size=8)
    two = Architecture(8, 3, 2, (1, 2), (Stage(8, 2),))
    streamed = replace(JOB, architecture=two, recipe=Recipe(batch_size=8), data=data)
    (found,) = speed.speeds([streamed], 1, 0)
    assert found.step > 0


def test_gpus_are_taken_in_turn(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5")
    assert [speed._visible(i, 2) for i in range(3)] == ["3", "5", "3"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [speed._visible(i, 2) for i in range(3)] == ["0", "1", "0"]
    assert speed._visible(1, 0) is None
