"""The disk of a study: the estimate, the pause on a full one, and what is kept of ended trials."""

import os
import random
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sret_search.artifacts.trial_folders import TrialFolders
from sret_search.execution import disk_space
from sret_search.execution.disk_space import Watermark, check_space
from sret_search.job import Job
from sret_search.job.disk import checkpoint_bytes
from sret_search.machine.file_system import free
from sret_search.planning.disk_usage import estimate_disk_usage
from sret_search.study import Study, StudyError, load_study
from sret_search.trials.retention import Keeper, only_retrainable, quota
from sret_search.trials.trial import TrialRecord
from sret_search.trials.trial_result import TrialResult

SPACE = "architecture: sret_digits\naxes: {stages.*.width: {choices: [16, 32, 64]}}\n"
OTHERS = 50 * 10**6
"""Bytes that are left free for others."""


def study(folder: Path, extra: str = "", space: str = SPACE) -> Study:
    (folder / "space.yaml").write_text(space)
    text = f"study: s\nspace: space.yaml\ncompute: {{concurrent: 2}}\n{extra}"
    (folder / "study.yaml").write_text(text)
    return load_study(folder / "study.yaml")


pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def disk_of(monkeypatch):
    """Sets how many bytes every disk has free."""
    there = shutil.disk_usage(Path.cwd())

    def of(size: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: there._replace(free=size))

    return of


# What a study needs.


def of_widths(made: Study) -> dict[int, int]:
    return {
        c.values["stages.*.width"]: checkpoint_bytes(c.architecture, c.recipe, 10)
        for c in made.grid
    }


def test_a_grid_needs_what_its_largest_candidates_need_at_a_time(tmp_path):
    made = study(tmp_path)
    size = of_widths(made)
    asked = estimate_disk_usage(made)
    assert asked.live == 2
    assert asked.kept == 2 * (size[64] + size[32])
    assert asked.checkpoints == sum(size.values())
    assert asked.writing > size[64] + size[32]
    assert asked.total > asked.kept + asked.checkpoints
    again = estimate_disk_usage(study(tmp_path, "search: {seeds: 2}\n"))
    assert again.kept == 2 * 2 * size[64]
    assert again.checkpoints == 2 * asked.checkpoints
    assert again.ended == 2 * asked.ended
    assert again.ledger == 2 * asked.ledger > 0
    assert estimate_disk_usage(made, 99).live == 3
    assert estimate_disk_usage(made, 99).kept == 2 * sum(size.values())


def test_a_checkpoint_before_the_decay_is_one_more(tmp_path):
    cosine, wsd = (
        estimate_disk_usage(study(tmp_path)),
        estimate_disk_usage(study(tmp_path, "recipe: {schedule: wsd}\n")),
    )
    assert 2 * wsd.kept == 3 * cosine.kept
    assert wsd.checkpoints == 2 * cosine.checkpoints
    assert wsd.writing == cosine.writing


def test_the_quota_limits_what_ended_trials_take(tmp_path):
    made = study(tmp_path, "storage: {quota: 1MB}\n")
    assert estimate_disk_usage(made).checkpoints == quota(made) == 10**6
    assert estimate_disk_usage(made).total < estimate_disk_usage(study(tmp_path)).total


def test_no_quota_limits_what_waits_at_rungs(tmp_path):
    rungs = "search: {sampler: random, trials: 9}\nscheduler: {name: mo_asha}\n"
    plain = estimate_disk_usage(study(tmp_path, rungs))
    assert estimate_disk_usage(study(tmp_path, f"{rungs}storage: {{quota: 1MB}}\n")) == plain
    assert plain.checkpoints > 10**6


def test_drawn_candidates_are_as_large_as_the_largest_of_some(tmp_path):
    size = of_widths(study(tmp_path))
    made = study(tmp_path, "search: {sampler: random, trials: 5}\n")
    asked = estimate_disk_usage(made)
    assert asked.kept == 2 * 2 * size[64]
    assert asked.checkpoints == 5 * size[64]
    assert estimate_disk_usage(study(tmp_path, "search: {sampler: random, trials: 1}\n")).live == 1


def test_what_is_free_is_told_of_folders_that_are_not_there_yet(tmp_path):
    there = free(tmp_path)
    assert there > 0
    assert free(tmp_path / "not" / "there") == pytest.approx(there, rel=0.05)


def test_a_disk_without_room_is_refused_with_both_numbers(tmp_path, disk_of):
    made = study(tmp_path)
    asked = estimate_disk_usage(made)
    least = asked.kept + asked.writing + asked.ledger + OTHERS
    disk_of(least)
    total = f"{asked.total / 1e6:.3g} MB"
    assert check_space(made) == f"needs up to {total} of disk ({least / 1e6:.3g} MB free)"
    disk_of(least - 1)
    with pytest.raises(StudyError) as caught:
        check_space(made)
    assert str(caught.value) == (
        f"study.yaml: 2 trials at a time need {least / 1e6:.3g} MB of disk in runs/s, where"
        f" {(least - 1) / 1e6:.3g} MB are free; make room there, name another place as"
        " storage.trials, or run fewer at a time (compute.concurrent)"
    )


def test_trials_in_an_object_store_need_room_only_on_their_way(tmp_path, disk_of, monkeypatch):
    made = study(tmp_path, "storage: {trials: 's3://bucket/folder?region=eu'}\n")
    assert check_space(made).endswith(" in s3://bucket/folder?region=eu")
    disk_of(OTHERS)
    with pytest.raises(StudyError, match="2 trials at a time need"):
        check_space(made)


def test_a_full_disk_is_seen_within_a_second_and_so_is_that_it_is_no_more(
    tmp_path, disk_of, monkeypatch
):
    now, looks = 100.0, []
    monkeypatch.setattr(time, "monotonic", lambda: now)
    made = study(tmp_path)
    watermark = Watermark(made)
    asked = estimate_disk_usage(made)
    reserve = asked.writing + asked.ledger + OTHERS
    disk_of(reserve)
    assert not watermark.full
    disk_of(reserve - 1)
    monkeypatch.setattr(
        disk_space, "free", lambda folder, real=free: looks.append(folder) or real(folder)
    )
    now += 0.9
    assert not watermark.full
    now += 0.2
    assert [watermark.full for _ in range(50)] == [True] * 50
    assert len(looks) == 1
    assert str(watermark) == (
        f"runs/s has {(reserve - 1) / 1e6:.3g} MB of disk free, and running trials may need"
        f" {reserve / 1e6:.3g} MB"
    )
    disk_of(reserve)
    now += 1.1
    assert not watermark.full


# What is kept of ended trials.


SIZE = 1000
WIDTHS = (16, 32, 64, 128)
"""Of candidates whose parameters rise."""


@pytest.mark.parametrize(
    ("files", "left", "lacks"), [(10**6, 10**5, False), (10**6, 3, True), (0, 0, False)]
)
def test_a_disk_without_inodes_is_a_full_one(tmp_path, monkeypatch, files, left, lacks):
    there = os.statvfs(tmp_path)
    now = [0.0]
    monkeypatch.setattr(disk_space.time, "monotonic", lambda: now[0])
    made = study(tmp_path)
    watermark = Watermark(made)
    assert not watermark.full

    class Said:
        f_files, f_favail = files, left
        f_bavail, f_blocks, f_bfree, f_frsize = (
            there.f_bavail, there.f_blocks, there.f_bfree, there.f_frsize,
        )  # fmt: skip

    monkeypatch.setattr(os, "statvfs", lambda folder: Said)
    now[0] += 2
    assert watermark.full == lacks
    assert ("fewer than 500 inodes left" in str(watermark)) == lacks
    if lacks:
        with pytest.raises(StudyError, match="inodes"):
            check_space(made)
    else:
        check_space(made)


def entry(
    number: int, width: int = 16, accuracy: float = 0.5, seed: int = 0, state: str = "complete",
    schedule: str = "cosine",
) -> TrialRecord:  # fmt: skip
    made = _candidate(width, schedule)
    job = replace(made, seed=seed)
    begun = TrialRecord.begun(number, job, {}, 1258, "here")
    reached = accuracy if state == "complete" else None
    return replace(begun, result=TrialResult(state, val_accuracy=reached))


def _candidate(width: int, schedule: str) -> Job:
    folder = Path.cwd()
    made = study(
        folder, f"recipe: {{schedule: {schedule}}}\n",
        SPACE.replace("[16, 32, 64]", f"[{width}]"),
    )  # fmt: skip
    return made.job(made.grid[0], 0, "cpu")


def write(number: int, *names: str, attempt: int = 1) -> None:
    folder = Path("trials") / f"{number:05d}" / f"attempt-{attempt}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(bytes(SIZE))


def left() -> list[str]:
    """Every checkpoint, by trial, attempt and step."""
    found = []
    for file in sorted(Path("trials").rglob("*.pt")):
        trial, attempt, name = int(file.parts[1]), file.parts[2].split("-")[1], file.stem
        step = name if name == "stable" else int(name.split("-")[1])
        found.append(f"{trial}/{attempt}/{step}")
    return found


def keeper(trials_kept: int, needed: tuple[int, ...] = ()) -> Keeper:
    return Keeper(TrialFolders("trials"), trials_kept * SIZE, needed)


def test_of_all_attempts_the_furthest_checkpoint_is_kept():
    write(3, "checkpoint-00000010.pt", "checkpoint-00000020.pt", "worker.json")
    write(3, "checkpoint-00000030.pt", "checkpoint-00000040.pt", attempt=2)
    write(3, "checkpoint-00000025.pt", "stable.pt", attempt=10)
    write(4, "checkpoint-00000010.pt", "checkpoint-00000020.pt")
    kept = keeper(9)
    kept.ended(entry(3))
    assert left() == ["3/2/40", "4/1/10", "4/1/20"]
    kept.ended(entry(4, state="diverged"))
    assert left() == ["3/2/40", "4/1/20"]
    assert (Path("trials") / "00003" / "attempt-1" / "worker.json").exists()


def test_that_before_the_decay_is_kept_too():
    write(0, "checkpoint-00000010.pt", "stable.pt")
    write(0, "checkpoint-00000020.pt", "checkpoint-00000030.pt", "stable.pt", attempt=2)
    write(0, "checkpoint-00000040.pt", attempt=3)
    keeper(9).ended(entry(0, schedule="wsd"))
    assert left() == ["0/2/stable", "0/3/40"]


def test_beyond_the_quota_the_oldest_off_the_front_go_first_and_those_on_it_last():
    # Trial 1 is beaten by 2; 3 failed, although its candidate is on the front.
    ended = [
        entry(0, 16, 0.5), entry(1, 64, 0.6), entry(2, 32, 0.7), entry(3, 32, 0.1, state="failed"),
        entry(4, 128, 0.9),
    ]  # fmt: skip
    for number in range(5):
        write(number, "checkpoint-00000010.pt")
    kept = keeper(5)
    for each in ended:
        kept.ended(each)
    assert left() == ["0/1/10", "1/1/10", "2/1/10", "3/1/10", "4/1/10"]
    gone = {4: "1", 3: "3", 2: "0", 1: "2", 0: "4"}
    there = {"0", "1", "2", "3", "4"}
    for room, first in gone.items():
        there -= {first}
        kept = keeper(room)
        kept.restore(ended)
        assert {name[0] for name in left()} == there
    assert only_retrainable(
        TrialFolders("trials"), TrialFolders("trials").all_attempts(), ended
    ) == [
        0,
        1,
        2,
        4,
    ]


def test_seeds_of_a_candidate_are_on_the_front_together_by_their_mean():
    # The mean of the larger one is 0.55, that of the smaller one 0.65.
    ended = [
        entry(0, 32, 0.9, 0), entry(1, 32, 0.2, 1), entry(2, 16, 0.6, 0), entry(3, 16, 0.7, 1),
    ]  # fmt: skip
    for number in range(4):
        write(number, "checkpoint-00000010.pt")
    kept = keeper(2)
    for each in ended:
        kept.ended(each)
    assert [name[0] for name in left()] == ["2", "3"]


def test_equal_candidates_are_on_the_front_together():
    ended = [entry(0, 64, 0.5), entry(1, 16, 0.5), entry(2, 16, 0.5, schedule="wsd")]
    for number in range(3):
        write(number, "checkpoint-00000010.pt")
    kept = keeper(2)
    for each in ended:
        kept.ended(each)
    assert [name[0] for name in left()] == ["1", "2"]


def test_a_checkpoint_before_the_decay_counts_too():
    for number in range(2):
        write(number, "checkpoint-00000010.pt", "stable.pt")
    kept = keeper(3)
    kept.ended(entry(0, 16, 0.5, schedule="wsd"))
    kept.ended(entry(1, 32, 0.6, schedule="wsd"))
    assert left() == ["1/1/10", "1/1/stable"]


def test_what_others_are_to_go_on_from_goes_last():
    for number in range(3):
        write(number, "checkpoint-00000010.pt")
    kept = keeper(1, needed=(0,))
    kept.restore([entry(0, 64, 0.1), entry(1, 32, 0.8), entry(2, 16, 0.9)])
    assert left() == ["0/1/10"]


def test_a_restart_tidies_up_and_leaves_running_trials_alone():
    write(0, "checkpoint-00000010.pt", "checkpoint-00000020.pt")
    write(1, "checkpoint-00000010.pt", "checkpoint-00000020.pt")
    write(7, "checkpoint-00000010.pt")
    ended = entry(0)
    kept = keeper(1)
    kept.restore([ended, entry(1, state="running")])
    assert left() == ["0/1/20", "1/1/10", "1/1/20", "7/1/10"]
    kept.ended(ended)
    assert left() == ["0/1/20", "1/1/10", "1/1/20", "7/1/10"]
    kept.ended(replace(entry(1), result=TrialResult("complete", val_accuracy=0.9)))
    assert left() == ["1/1/20", "7/1/10"]


def test_a_study_without_trials_has_nothing_to_tidy():
    keeper(1).restore([])
    assert only_retrainable(TrialFolders("trials"), {}, []) == []
    kept = keeper(0)
    kept.ended(entry(0))
    assert left() == []


def test_what_cannot_be_removed_does_not_stop_a_study(monkeypatch):
    def refuse(*file: str) -> None:
        raise PermissionError("no")

    write(0, "checkpoint-00000010.pt")
    folders = TrialFolders("trials")
    monkeypatch.setattr(folders, "remove", refuse)
    Keeper(folders, 0).ended(entry(0))
    assert left() == ["0/1/10"]


@dataclass
class Counted:
    """Folders of very many trials, and how often anything was asked of them."""

    trials: int
    asked: dict[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def __getattr__(self, name: str) -> Any:
        self.asked[name] = self.asked.get(name, 0) + 1
        return {
            "all_attempts": lambda: {n: [f"{n}/1"] for n in range(self.trials)},
            "attempts": lambda number: [f"{number}/1"],
            "checkpoints": lambda a: [] if a in self.gone else ["checkpoint-00000010.pt"],
            "exists": lambda a, file: False,
            "unfinished": lambda a: [],
            "size": lambda a, file: SIZE,
            "remove": lambda a, file: self.gone.add(a),
        }[name]


def test_ten_thousand_ended_trials_cost_nothing_but_a_sort():
    rng, trials = random.Random(5), 10_000
    some = [entry(0, width) for width in WIDTHS]
    ended = [
        replace(
            rng.choice(some),
            number=n,
            candidate=f"{n // 3}",
            result=TrialResult("complete", val_accuracy=rng.random()),
        )
        for n in range(trials + 20)
    ]
    folders: Any = Counted(trials)
    kept = Keeper(folders, trials // 2 * SIZE)
    kept.restore(ended[:trials])
    assert len(folders.gone) == trials // 2
    assert folders.asked["all_attempts"] == 1
    folders.asked.clear()
    began = time.process_time()
    for each in ended[trials:]:
        kept.ended(each)
    assert folders.asked == {
        "attempts": 20, "checkpoints": 20, "exists": 20, "size": 20, "remove": 20,
        "unfinished": 20,
    }  # fmt: skip
    assert len(folders.gone) == trials // 2 + 20
    assert (time.process_time() - began) / 20 < 0.2
