"""The folders of trials: on a disk, and what a URL may not be."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from sret_search.artifacts import staging
from sret_search.artifacts.backends import Disk
from sret_search.artifacts.trial_folders import TrialFolders
from sret_search.config.yaml_source import SourceFile
from sret_search.job import Distill, Recipe
from sret_search.job.paths import located
from sret_search.study import StudyError
from sret_search.study.study import Study


@pytest.fixture
def folders(tmp_path):
    return TrialFolders(str(tmp_path / "trials"))


def test_attempts_are_listed_by_their_number_and_by_nothing_else(folders):
    made = [folders.new_attempt(7) for _ in range(11)]
    assert made == [f"{folders.root}/00007/attempt-{k}" for k in range(1, 12)]
    for name in ("attempt-x", "attempt-0", "attempt-03", "attempt-3.old", "notes"):
        Path(folders.root, "00007", name).mkdir()
    assert folders.attempts(7) == made
    assert folders.attempts(8) == []


def test_one_look_finds_the_attempts_of_every_trial(folders):
    assert folders.all_attempts() == {}
    numbers = (123456, 3, 0, 3, 99999)
    for number in numbers:
        folders.new_attempt(number)
    Path(folders.root, "00005").mkdir()
    Path(folders.root, "other", "attempt-1").mkdir(parents=True)
    folders.ask_to_stop()
    found = folders.all_attempts()
    assert list(found) == sorted(set(numbers))
    assert found == {number: folders.attempts(number) for number in numbers}


def test_no_two_attempts_share_a_folder(folders):
    got, start = [], threading.Barrier(8)

    def ask():
        start.wait()
        got.extend(folders.new_attempt(1) for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got)) == 80
    assert sorted(got) == sorted(folders.attempts(1))


def test_an_attempt_that_another_made_meanwhile_is_left_to_it(folders, monkeypatch):
    listed = [[], ["attempt-1"]]
    folders.new_attempt(4)
    monkeypatch.setattr(Disk, "attempts_at", lambda self, trial: listed.pop(0))
    assert folders.new_attempt(4).endswith("/00004/attempt-2")


@pytest.mark.parametrize(
    "content", [None, b"", b'{"state": "comp', b"\xff\xfe\x00", b"[1, 2]", b"null", b"\x00" * 50]
)
def test_json_that_is_absent_torn_or_damaged_is_none(folders, content):
    attempt = folders.new_attempt(0)
    if content is not None:
        Path(attempt, "result.json").write_bytes(content)
    assert folders.read_json(attempt, "result.json") is None
    Path(attempt, "result.json").write_text(json.dumps({"state": "complete"}))
    assert folders.read_json(attempt, "result.json") == {"state": "complete"}


def test_files_are_seen_read_and_removed(folders):
    attempt = folders.new_attempt(2)
    assert not folders.has_begun(attempt)
    Path(attempt, "worker.json").write_text("{}")
    Path(attempt, "hang.txt").touch()
    Path(attempt, "predictions.npz").write_bytes(b"some bytes")
    assert folders.has_begun(attempt)
    assert folders.exists(attempt, "hang.txt") and folders.size(attempt, "hang.txt") == 0
    assert folders.size(attempt, "predictions.npz") == 10
    assert folders.open(attempt, "predictions.npz").read() == b"some bytes"
    for _ in range(2):
        folders.remove(attempt, "predictions.npz")
        assert not folders.exists(attempt, "predictions.npz")
        assert folders.size(attempt, "predictions.npz") == 0
    with pytest.raises(FileNotFoundError):
        folders.open(attempt, "predictions.npz")


def test_checkpoints_are_those_that_are_whole_by_step(folders):
    attempt = folders.new_attempt(2)
    names = ["checkpoint-00000090.pt", "checkpoint-00000100.pt"]
    others = ["stable.pt", "checkpoint-00000110.pt.partial", "model.safetensors"]
    for name in (*reversed(names), *others):
        Path(attempt, name).write_bytes(b"x")
    assert folders.checkpoints(attempt) == names
    assert folders.unfinished(attempt) == ["checkpoint-00000110.pt.partial"]


def test_the_newest_attempt_with_weights_counts(folders):
    assert folders.weights(5) is None
    first, second, _ = (folders.new_attempt(5) for _ in range(3))
    assert folders.weights(5) is None
    for attempt in (first, second):
        Path(attempt, "model.safetensors").write_bytes(b"x")
        assert folders.weights(5) == attempt


def test_a_stop_is_asked_for_seen_and_cleared(folders):
    other = TrialFolders(folders.root)
    for _ in range(2):
        folders.clear_stop()
        assert not other.stop_asked()
        folders.ask_to_stop()
        assert other.stop_asked()


@pytest.mark.parametrize("name", ["", ".", "..", "../result.json", "/etc/passwd", "a/b"])
def test_no_name_leads_out_of_an_attempt(folders, name):
    attempt = folders.new_attempt(1)
    for use in (folders.read_json, folders.exists, folders.size, folders.open, folders.remove):
        with pytest.raises(ValueError, match="is not a file name"):
            use(attempt, name)


@pytest.mark.parametrize(
    "ending", ["", "/00001", "/00001/attempt-1/..", "/../00001/attempt-1", ".old/00001/attempt-1"]
)
def test_only_attempts_in_the_root_are_touched(folders, ending):
    folders.new_attempt(1)
    for use in (folders.has_begun, folders.checkpoints):
        with pytest.raises(ValueError, match="is not an attempt"):
            use(folders.root + ending)


def test_checking_leaves_nothing_behind(folders):
    folders.check()
    assert list(Path(folders.root).iterdir()) == []


def test_a_file_in_place_of_the_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StudyError, match=r"^file/trials: Not a directory$"):
        TrialFolders("file/trials").check()


def test_the_root_is_absolute_and_may_be_a_file_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").mkdir()
    attempt = TrialFolders("a b").new_attempt(3)
    assert attempt == f"{tmp_path}/a b/00003/attempt-1"
    by_url = TrialFolders(f"file://{tmp_path}/a%20b")
    assert not by_url.is_remote
    assert by_url.attempts(3) == [attempt]
    with pytest.raises(StudyError, match="three slashes"):
        TrialFolders("file://host/folder")


def test_everything_can_be_set_aside(folders):
    assert folders.set_aside("old") is None
    Path(folders.new_attempt(3), "result.json").write_text("{}")
    aside = folders.set_aside("old")
    assert folders.attempts(3) == []
    assert (
        TrialFolders(aside).read_json(f"{TrialFolders(aside).root}/00003/attempt-1", "result.json")
        == {}
    )
    folders.new_attempt(3)
    assert folders.set_aside("old") != aside


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/folder", "ftp:// is not a known store"),
        ("s3:///folder", "s3://BUCKET/FOLDER is needed"),
        ("gs://bucket/", "gs://BUCKET/FOLDER is needed"),
        ("gs://bucket/folder?endpoint=x", "Unexpected query parameter .*'endpoint'"),
        ("s3://KEY:hidden@bucket/folder", "holds a secret"),
        ("s3://bucket/folder?secret_key=hidden", "holds a secret"),
        ("abfss://box@account.dfs.core.windows.net/folder?sig=hidden", "holds a secret"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_one_line(url, message):
    with pytest.raises(StudyError, match=message) as raised:
        TrialFolders(url)
    assert "\n" not in str(raised.value) and "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "root"),
    [
        (None, "runs/depth/trials"),
        ("/data/trials/", "/data/trials/depth"),
        ("s3://bucket/", "s3://bucket/depth"),
        (
            "s3://bucket/a/?scheme=http&endpoint_override=host:9000",
            "s3://bucket/a/depth?scheme=http&endpoint_override=host:9000",
        ),
    ],
)
def test_a_study_has_its_own_part_of_a_place(given, root):
    storage = SimpleNamespace(trials=given)
    file = SimpleNamespace(study="depth", storage=storage)
    assert Study(SourceFile(Path("depth.yaml"), {}), None, file, None).trials_root == root


def test_trials_that_a_recipe_reads_are_known_by_number():
    recipe = Recipe(init="trial 12", distill=Distill("trial 3", 1.0))
    assert recipe.trials_read == [12, 3]
    assert Recipe(init="runs/a/trials/00003").trials_read == []
    assert located("trial 12", Path("t")) == "t/00012"


def test_on_a_disk_a_worker_works_where_the_attempt_is(folders):
    attempt, earlier = folders.new_attempt(1), [folders.new_attempt(2)]
    with staging.attempt(attempt, earlier, [2]) as (path, earlier_paths, upload):
        assert path == Path(attempt) and earlier_paths == [Path(earlier[0])]
        (path / "result.json").write_text("{}")
        upload()
    assert folders.read_json(attempt, "result.json") == {}


def test_on_a_disk_nothing_heavy_is_loaded():
    code = (
        "import sys, sret_search.artifacts.staging\n"
        "from sret_search.artifacts.trial_folders import TrialFolders\n"
        "TrialFolders('.').all_attempts()\n"
        "print(sorted({'torch', 'ray', 'pyarrow'} & {n.split('.')[0] for n in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
