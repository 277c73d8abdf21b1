"""How many trials run at a time, on machines that are only numbers here."""

from dataclasses import replace
from pathlib import Path

import pytest

from sret_search.config.problems import shown
from sret_search.cost import MEMORY_BUDGET, train_memory
from sret_search.execution import resources as module
from sret_search.execution.resources import Room, Slots, needed_memory, part_of_gpu, slots
from sret_search.study import Study, StudyError, load_study

GB = 10**9
SMOKE = load_study(Path(__file__).parents[2] / "studies" / "smoke.yaml")


def study(**compute: object) -> Study:
    changed = SMOKE.file.compute.model_copy(update=compute)
    return replace(SMOKE, file=SMOKE.file.model_copy(update={"compute": changed}))


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> list[Room]:
    """The nodes of the cluster, which a test may change at any time."""
    there: list[Room] = []
    monkeypatch.setattr(module, "_rooms", lambda measure, left_out: list(there))
    return there


@pytest.mark.parametrize(
    ("room", "cpus", "gpus", "fits"),
    [
        (Room(8), 1, 0, 8),
        (Room(7), 2, 0, 3),
        (Room(1), 2, 0, 0),
        (Room(8, 1), 1, 1, 1),
        (Room(8, 2), 1, 1 / 4, 8),
        (Room(3, 2), 1, 1 / 4, 3),
        (Room(64, 1), 1, 1 / 16, 16),
        (Room(64, 2), 1, 0.6, 2),  # 0.8 of a GPU is left over, but on two of them
        (Room(64, 4), 4, 2, 2),
        (Room(64), 1, 1, 0),
    ],
)
def test_what_fits_a_node(room, cpus, gpus, fits):
    assert room.fits(cpus, gpus) == fits


@pytest.mark.parametrize(
    ("gigabytes", "cpus", "limit", "part"),
    [
        (60, 16, None, 1),
        (41, 16, None, 1),
        (40, 16, None, 1 / 2),
        (20, 16, None, 1 / 4),
        (1, 16, None, 1 / 16),
        (1, 64, None, 1 / 16),  # no smaller
        (1, 6, None, 1 / 4),  # six CPUs have no use for eighths
        (1, 16, 1, 1),
        (1, 16, 2, 1 / 2),
        (1, 16, 3, 1 / 2),
        (100, 16, None, 1),  # more than there is: it may still fit, or fail and say so
    ],
)
def test_the_part_of_a_gpu_that_holds_a_trial(gigabytes, cpus, limit, part):
    rooms = [Room(4), Room(cpus, 1, 80 * GB)]
    assert part_of_gpu(rooms, 1, 1, gigabytes * GB, limit) == part


def test_the_smallest_gpu_decides_and_all_of_them_count():
    rooms = [Room(16, 2, 80 * GB), Room(16, 2, 24 * GB)]
    assert part_of_gpu(rooms, 1, 1, 10 * GB, None) == 1 / 2
    assert part_of_gpu(rooms, 1, 1, 1 * GB, 8) == 1 / 2
    assert part_of_gpu(rooms, 1, 1, 1 * GB, None) == 1 / 8


def test_gpus_of_nodes_without_the_processors_of_a_trial_do_not_count():
    rooms = [Room(1, 4, 4 * GB), Room(16, 1, 80 * GB)]
    assert part_of_gpu(rooms, 2, 1, 10 * GB, None) == 1 / 8
    assert part_of_gpu(rooms, 1, 1, 10 * GB, None) == 1
    assert part_of_gpu(rooms, 32, 1, 10 * GB, None) == 1  # none counts: it is refused


def test_a_part_of_a_gpu_smaller_than_cuda_is_refused(rooms):
    rooms += [Room(16, 2, 8 * GB), Room(16, 2, 4 * GB), Room(16, 1)]
    with pytest.raises(
        StudyError, match=r"0\.1 of a GPU of 3\.73 GiB is 0\.37 GiB.*more than 0\.16"
    ):
        slots(study(gpus_per_trial=0.1))
    assert slots(study(gpus_per_trial=0.2)).gpus == 0.2
    rooms[:] = [Room(16, 1)]
    assert slots(study(gpus_per_trial=0.1)).gpus == 0.1


def test_a_gpu_for_each_process_and_a_whole_one_where_its_memory_is_not_known():
    assert part_of_gpu([Room(16, 4, 80 * GB)], 2, 2, GB, None) == 2
    assert part_of_gpu([Room(16, 4)], 1, 1, GB, None) == 1
    assert part_of_gpu([Room(16)], 1, 1, GB, None) == 0


def test_the_largest_candidate_decides():
    small, *_, large = sorted(SMOKE.grid, key=lambda c: train_memory(c.architecture, 64).total)
    need = needed_memory([small, large], 1)
    assert need == needed_memory([large], 1) > needed_memory([small], 1)
    assert need > 1.2 * train_memory(large.architecture, 64, MEMORY_BUDGET).total + 0.6 * GB
    halved = replace(large, recipe=replace(large.recipe, accumulate=2))
    assert needed_memory([halved], 1) == needed_memory([large], 2) < need


def test_the_number_follows_nodes_that_come_and_go(rooms):
    given = study(address="auto", gpus_per_trial=0.5)
    rooms += [Room(4, 1)]
    found = slots(given)
    assert found == Slots(2, 1, 0.5)
    rooms += [Room(4, 2), Room(16)]
    assert slots(given, found) == Slots(6, 1, 0.5)
    rooms.clear()
    assert slots(given, found) == Slots(1, 1, 0.5)


def test_what_a_trial_takes_stays_as_it_was_when_the_run_began(rooms):
    given = study(address="auto")
    rooms += [Room(4)]
    found = slots(given)
    rooms += [Room(4, 1, 80 * GB)]
    assert slots(given, found) == Slots(8, 1, 0)
    assert slots(given).gpus == 1 / 4


def test_a_number_is_not_doubted_on_a_cluster(rooms):
    given = study(address="auto", concurrent=40, cpus_per_trial=8, gpus_per_trial=1.0)
    assert slots(given) == Slots(40, 8, 1)
    rooms += [Room(2)]
    assert slots(given) == Slots(40, 8, 1)


def test_a_number_is_a_maximum_on_one_machine(rooms):
    rooms += [Room(4)]
    assert slots(study(concurrent=3)).number == 3
    assert slots(study(concurrent=30)).number == 4


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (
            {"cpus_per_trial": 8},
            "a trial asks for 8 CPUs and 0 GPUs, this machine has 4 and 0",
        ),
        (
            {"address": "auto", "gpus_per_trial": 1.0},
            "a trial asks for 1 CPUs and 1 GPUs, no node has both; the largest have 4 and 0; to wait"
            " for such a node, give compute.concurrent a number",
        ),
    ],
)
def test_what_no_node_has_is_refused(rooms, compute, message):
    rooms += [Room(4), Room(2)]
    with pytest.raises(StudyError) as refused:
        slots(study(**compute))
    assert str(refused.value) == f"{shown(SMOKE.path)}: {message}"
