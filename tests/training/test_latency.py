"""How long a forward pass takes, on a clock that is made up, and once on a real one."""

import pytest
import torch

from sret_search.architecture import Architecture, Stage
from sret_search.job import Data, Job, Recipe
from sret_search.training import latency, train

torch.set_num_threads(1)


class Machine:
    """Each pass takes what the list says, over and over; nothing else takes any time."""

    def __init__(self, *seconds):
        self.seconds, self.now, self.passes = seconds, 0.0, 0

    def run(self):
        self.now += self.seconds[self.passes % len(self.seconds)]
        self.passes += 1

    def timed(self):
        return latency.timed(self.run, lambda: self.now)


def test_a_steady_machine_is_measured_at_once():
    machine = Machine(0.01)
    found = machine.timed()
    assert found.ms == pytest.approx(10)
    assert found.spread == pytest.approx(0, abs=1e-9)
    assert machine.now < 0.3 + 10 * 0.06 + 0.05


def test_the_first_passes_do_not_count():
    slow_start = [0.5, 0.2, 0.1] + [0.01] * 10_000
    assert Machine(*slow_start).timed().ms == pytest.approx(10)


def test_what_interrupts_now_and_then_does_not_count():
    found = Machine(*[0.001] * 40, 0.03).timed()
    assert found.ms == pytest.approx(1)
    assert found.spread < 0.03


def test_it_goes_on_until_the_machine_calms_down():
    restless = [0.06, 0.09] * 40
    machine = Machine(*restless, *[0.06] * 10_000)
    found = machine.timed()
    assert found.spread < 0.03
    assert found.ms == pytest.approx(60)
    assert sum(restless) < machine.now < sum(restless) + 10 * 0.06 + 0.1


def test_a_machine_that_never_calms_down_is_not_waited_for():
    machine = Machine(*([0.06] * 3 + [0.09] * 3))
    found = machine.timed()
    assert found.spread > 0.03
    assert 20 < machine.now < 21


def test_a_pass_that_takes_long_is_repeated_all_the_same():
    machine = Machine(30.0)
    assert machine.timed().ms == pytest.approx(30_000)
    assert machine.passes == 3 + 3


def test_a_training_ends_with_its_latency_and_is_the_same_without(tmp_path):
    a = Architecture(8, 1, 10, (1, 2), (Stage(8, 2),))
    job = Job(a, Recipe(steps=2, batch_size=64), Data(), seed=0, latency=4)
    timed = train.train(job, tmp_path / "timed", lambda metrics: None).to_dict()
    assert 0 < timed["latency_ms"] < 1000
    assert timed["latency_spread"] >= 0
    plain = Job(a, Recipe(steps=2, batch_size=64), Data(), seed=0)
    result = train.train(plain, tmp_path / "plain", lambda metrics: None).to_dict()
    assert "latency_ms" not in result
    assert result["test_loss"] == timed["test_loss"]
    assert job.identity != plain.identity
    assert job.trajectory == plain.trajectory
    assert Job.from_dict(job.to_dict()) == job
