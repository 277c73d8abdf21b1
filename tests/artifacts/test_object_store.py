"""The folders of trials in an object store: a real server of the S3 protocol, on this machine."""

import json
import logging
import os
import random
import socket
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.artifacts import object_store, staging
from sret_search.artifacts.names import PREDICTIONS, RESULT, WEIGHTS
from sret_search.artifacts.object_store import Objects, StoreError
from sret_search.artifacts.trial_folders import TrialFolders
from sret_search.job import Data, Job, Recipe
from sret_search.study import StudyError
from sret_search.training import train
from sret_search.training.results import CheckpointSaved
from sret_search.training.trainer import Trainer

moto = pytest.importorskip("moto", reason="moto, a server of the S3 protocol, is not installed")

JOB = Job(
    Architecture(
        image_size=8, in_channels=1, classes=10, stem_strides=(1, 2),
        stages=(Stage(width=8, heads=2, unique=1, loops=2, groups=(2, 1), mlp_ratio=2.0),),
        nll=NLL("block"), residual=Residual("lrc"), permutation="official", drop_path=0.2,
    ),
    Recipe(epochs=3, batch_size=100, lr=1e-2, schedule="wsd", warmup=0, decay=1),
    Data(val=0.1, test=0.7),
    seed=5,
)  # fmt: skip


class Killed(BaseException):
    """Nothing catches it, as nothing catches a signal."""


@pytest.fixture(scope="module")
def endpoint():
    """The address of a server, and of its bucket."""
    server_module = pytest.importorskip("moto.server", reason="moto's server is not installed")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            bucket = urllib.request.Request(f"http://{host}:{port}/bucket", method="PUT")
            urllib.request.urlopen(bucket, timeout=10).close()
            yield f"{host}:{port}"
        finally:
            server.stop()


@pytest.fixture
def url(endpoint, request):
    """A folder of its own for each test."""
    name = f"{request.node.originalname}-{random.getrandbits(32)}"
    return f"s3://bucket/{name}/study?scheme=http&endpoint_override={endpoint}"


@pytest.fixture
def folders(url):
    return TrialFolders(url)


@pytest.fixture
def store(url):
    return Objects(url)


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where scratch folders are made; nothing may be left of them."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr(os, "fsync", lambda file: None)
    return folder


def _key(attempt):
    return "/".join(attempt.partition("?")[0].split("/")[-2:])


def _put(store, tmp_path, attempt, name, content):
    (tmp_path / "sent").write_bytes(content)
    store.send(tmp_path / "sent", f"{_key(attempt)}/{name}")


def test_a_store_that_can_be_used_is_left_as_it_was(folders, store):
    assert folders.is_remote
    folders.check()
    assert store.sizes() == {}


def test_attempts_carry_the_parameters_of_the_url(folders, url):
    made = [folders.new_attempt(7) for _ in range(11)]
    place, parameters = url.split("?")
    assert made == [f"{place}/00007/attempt-{k}?{parameters}" for k in range(1, 12)]
    other = folders.new_attempt(123456)
    folders.ask_to_stop()
    assert folders.attempts(7) == made
    assert folders.attempts(8) == []
    assert folders.all_attempts() == {7: made, 123456: [other]}
    assert not folders.has_begun(made[0])


def test_no_two_attempts_are_the_same_though_nothing_there_is_exclusive(url):
    got, start = [], threading.Barrier(4)

    def ask():
        folders = TrialFolders(url)
        start.wait()
        got.extend(folders.new_attempt(1) for _ in range(2))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got)) == 8
    assert set(got) == set(TrialFolders(url).attempts(1))


def test_who_sees_another_claim_steps_back(folders, store, monkeypatch):
    put = Objects.put

    def put_beside(self, name, content):
        put(self, name, content)
        monkeypatch.setattr(Objects, "put", put)
        put(self, "00004/attempt-1/claim-of-another", b"")

    monkeypatch.setattr(Objects, "put", put_beside)
    assert _key(folders.new_attempt(4)) == "00004/attempt-2"
    assert [n for n in store.sizes() if "attempt-1" in n] == ["00004/attempt-1/claim-of-another"]


def test_files_are_seen_read_and_removed(folders, store, tmp_path):
    attempt = folders.new_attempt(2)
    content = json.dumps({"state": "complete"}).encode()
    _put(store, tmp_path, attempt, "result.json", content)
    assert folders.read_json(attempt, "result.json") == {"state": "complete"}
    assert folders.exists(attempt, "result.json")
    assert folders.size(attempt, "result.json") == len(content)
    assert folders.open(attempt, "result.json").read() == content
    for _ in range(2):
        folders.remove(attempt, "result.json")
        assert not folders.exists(attempt, "result.json")
    assert folders.size(attempt, "result.json") == 0
    assert folders.read_json(attempt, "result.json") is None
    with pytest.raises(FileNotFoundError):
        folders.open(attempt, "result.json")
    assert [name for name in store.sizes() if "result" in name] == []


@pytest.mark.parametrize("torn", ["no manifest", "no object", "shorter", "other", "not a manifest"])
def test_what_is_not_what_its_manifest_says_is_absent(folders, store, tmp_path, torn):
    attempt, name = folders.new_attempt(2), "checkpoint-00000004.pt"
    key = f"{_key(attempt)}/{name}"
    content = b'{"whole": true}'
    _put(store, tmp_path, attempt, name, content)
    assert folders.read_json(attempt, name) == {"whole": True}
    if torn == "no manifest":
        store.remove(key)
        store.put(key, content)
    if torn == "no object":
        manifest = store.get(f"{key}.manifest")
        store.remove(key)
        store.put(f"{key}.manifest", manifest)
    if torn == "shorter":
        store.put(key, content[:-1])
    if torn == "other":
        store.put(key, b'{"whole":false}')
    if torn == "not a manifest":
        store.put(f"{key}.manifest", b'{"size": 15')
    assert folders.read_json(attempt, name) is None
    assert not store.fetch(key, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()
    with pytest.raises(FileNotFoundError):
        folders.open(attempt, name)
    # Large files are not read only to be seen: their sizes are compared.
    assert folders.exists(attempt, name) == (torn == "other")
    if torn == "no manifest":
        assert folders.checkpoints(attempt) == []


def test_an_upload_that_is_cut_short_does_not_count(folders, store, tmp_path, monkeypatch):
    attempt = folders.new_attempt(2)
    _put(store, tmp_path, attempt, "stable.pt", b"old")
    (tmp_path / "new").write_bytes(b"new")
    with monkeypatch.context() as patch:
        patch.setattr(object_store, "_copied", _cut_short)
        with pytest.raises(Killed):
            store.send(tmp_path / "new", f"{_key(attempt)}/stable.pt")
    assert not folders.exists(attempt, "stable.pt")
    store.send(tmp_path / "new", f"{_key(attempt)}/stable.pt")
    assert folders.open(attempt, "stable.pt").read() == b"new"


def _cut_short(source, target):
    target.write(source.read(1))
    raise Killed


def test_a_stop_is_asked_for_seen_and_cleared(folders, url):
    other = TrialFolders(url)
    for _ in range(2):
        folders.clear_stop()
        assert not other.stop_asked()
        folders.ask_to_stop()
        assert other.stop_asked()


def test_everything_can_be_set_aside(folders, store, tmp_path):
    assert folders.set_aside("old") is None
    _put(store, tmp_path, folders.new_attempt(3), "result.json", b"{}")
    aside = TrialFolders(folders.set_aside("old"))
    assert folders.all_attempts() == {}
    assert aside.read_json(aside.attempts(3)[0], "result.json") == {}


def test_a_server_that_is_not_there_is_named_in_one_line(monkeypatch):
    monkeypatch.setattr(object_store, "_TRIES", 1)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{unused.getsockname()[1]}"
        url = f"s3://bucket/study?scheme=http&endpoint_override={place}"
        with pytest.raises(StudyError) as raised:
            TrialFolders(url).check()
        assert str(raised.value) == f"{url}: it cannot be reached"
        with pytest.raises(StoreError, match="it cannot be reached"):
            TrialFolders(url).attempts(3)


def test_a_bucket_that_is_not_there_is_named_and_not_made(endpoint):
    url = f"s3://missing/study?scheme=http&endpoint_override={endpoint}"
    for _ in range(2):
        with pytest.raises(StudyError, match=r"^s3://missing/study\S*: there is no such bucket$"):
            TrialFolders(url).check()


def test_wrong_credentials_are_told_without_them(folders, monkeypatch):
    from moto.core.authorization import ActionAuthenticatorMixin

    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
    monkeypatch.setattr(ActionAuthenticatorMixin, "request_count", 0)
    with pytest.raises(StudyError, match=r": access is denied: check the credentials$") as raised:
        folders.check()
    assert "hidden" not in str(raised.value) and "nobody" not in str(raised.value)


def _train(job, folders, number, kill_at=None):
    """An attempt as a worker makes it; the steps that it took."""
    earlier, attempt = folders.attempts(number), folders.new_attempt(number)
    taken, take = [], Trainer._take_step

    def counted(trainer, *args):
        taken.append(trainer.step)
        take(trainer, *args)

    with (
        pytest.MonkeyPatch.context() as patch,
        staging.attempt(attempt, earlier) as (path, earlier_paths, upload),
    ):
        patch.setattr(Trainer, "_take_step", counted)

        def report(progress):
            if isinstance(progress, CheckpointSaved):
                upload()
                if progress.step == kill_at:
                    raise Killed

        train.train(job, path, report, earlier_paths)
    return taken


def test_a_training_goes_on_from_the_store_to_the_same_bits(folders, store, tmp_path, temporary):
    whole = tmp_path / "trials" / "00003" / "attempt-1"
    wanted = train.train(JOB, whole, lambda metrics: None).to_dict()
    with pytest.raises(Killed):
        _train(JOB, folders, 3, kill_at=4)
    with pytest.raises(Killed):
        _train(JOB, folders, 3, kill_at=8)
    first, second = folders.attempts(3)
    assert folders.checkpoints(first) == ["checkpoint-00000004.pt"]
    assert folders.checkpoints(second) == ["checkpoint-00000008.pt"]
    assert not folders.exists(first, "stable.pt") and folders.exists(second, "stable.pt")
    # The newest checkpoint is replaced by something of its size: the one before counts.
    newest = f"{_key(second)}/checkpoint-00000008.pt"
    store.put(newest, b"x" * store.sizes()[newest])
    store.remove(f"{_key(second)}/stable.pt")

    assert _train(JOB, folders, 3) == list(range(4, 12))
    last = folders.attempts(3)[-1]
    result = folders.read_json(last, RESULT)
    assert _timeless(result) == _timeless(json.loads(json.dumps(wanted)))
    assert folders.open(last, WEIGHTS).read() == (whole / WEIGHTS).read_bytes()
    with np.load(folders.open(last, PREDICTIONS)) as one, np.load(whole / PREDICTIONS) as two:
        assert set(one.files) == set(two.files)
        assert all(np.array_equal(one[name], two[name]) for name in two.files)
    kept = [folders.checkpoints(attempt) for attempt in folders.attempts(3)]
    assert kept == [[], [], ["checkpoint-00000008.pt", "checkpoint-00000012.pt"]]
    assert not [name for name in store.sizes() if name.endswith(("hang.txt", ".partial"))]
    assert list(temporary.iterdir()) == []


def _timeless(result):
    history = [{k: v for k, v in m.items() if k != "seconds"} for m in result["history"]]
    return {k: v for k, v in result.items() if k != "seconds"} | {"history": history}


def test_a_longer_training_takes_what_it_goes_on_from_of_another_trial(folders, store, tmp_path):
    earlier = folders.new_attempt(1)
    for name in ("checkpoint-00000004.pt", "checkpoint-00000012.pt", "stable.pt", "result.json"):
        _put(store, tmp_path, earlier, name, name.encode())
    skipped = folders.new_attempt(1)
    _put(store, tmp_path, skipped, "checkpoint-00000013.pt", b"not asked for")
    with staging.attempt(folders.new_attempt(2), [earlier]) as (path, (fetched,), _):
        assert path.parent.parent == fetched.parent.parent
        assert path.relative_to(path.parent.parent) == Path("00002/attempt-1")
        found = sorted(file.name for file in fetched.iterdir())
        assert found == ["checkpoint-00000012.pt", "stable.pt"]
        assert (fetched / "stable.pt").read_bytes() == b"stable.pt"
        assert not (fetched.parent / "attempt-2").exists()
        (path / "checkpoint-00000016.pt").write_bytes(b"new")
    assert len(folders.checkpoints(earlier)) == 2


def test_the_weights_of_a_trial_are_there_under_its_name(folders, store, tmp_path):
    for content in (b"old", b"new"):
        _put(store, tmp_path, folders.new_attempt(12), WEIGHTS, content)
    torn = folders.new_attempt(12)
    store.put(f"{_key(torn)}/{WEIGHTS}", b"torn")
    assert folders.weights(12) == folders.attempts(12)[1]
    with staging.attempt(folders.new_attempt(2), [], [12]) as (path, _, _):
        (found,) = (path.parent.parent / "00012").glob(f"attempt-*/{WEIGHTS}")
        assert found.read_bytes() == b"new"


def test_only_what_changed_is_sent_and_outcomes_last(folders, store, monkeypatch):
    sent, send = [], Objects.send
    attempt = folders.new_attempt(2)
    monkeypatch.setattr(
        Objects, "send", lambda self, file, name: (sent.append(file.name), send(self, file, name))
    )
    with staging.attempt(attempt, []) as (path, _, upload):
        for name in ("result.json", "worker.json", "predictions.npz", "x.partial"):
            (path / name).write_bytes(b"1")
        (path / "tensorboard").mkdir()
        (path / "tensorboard" / "events").write_bytes(b"1")
        (path / "hang.txt").touch()
        upload()
        assert sent == ["predictions.npz", "events", "worker.json", "result.json"]
        upload()
        assert len(sent) == 4
        with (path / "tensorboard" / "events").open("ab") as file:
            file.write(b"2")
        upload()
        assert sent[4:] == ["events"]
        (path / "result.json").write_bytes(b'{"late": 1}')
    assert sent[5:] == ["result.json"]
    assert folders.read_json(attempt, RESULT) == {"late": 1}
    assert store.whole(f"{_key(attempt)}/tensorboard/events") == b"12"


def test_a_store_that_fails_for_a_while_loses_nothing(folders, monkeypatch):
    monkeypatch.setattr(staging, "_PAUSE", 0.0)
    attempt, put, fails = folders.new_attempt(2), Objects.put, [True] * 3

    def sometimes(self, name, content):
        if fails and fails.pop():
            raise StoreError("the store is away")
        put(self, name, content)

    monkeypatch.setattr(Objects, "put", sometimes)
    with staging.attempt(attempt, []) as (path, _, upload):
        (path / "checkpoint-00000004.pt").write_bytes(b"4")
        upload()
        assert folders.checkpoints(attempt) == []
        (path / "result.json").write_bytes(b"{}")
    assert fails == []
    assert folders.checkpoints(attempt) == ["checkpoint-00000004.pt"]
    assert folders.read_json(attempt, RESULT) == {}


def test_a_store_that_fails_for_long_ends_the_attempt(folders, monkeypatch, temporary):
    def away(self, name, content):
        raise StoreError("the store is away")

    attempt = folders.new_attempt(2)
    monkeypatch.setattr(staging, "_PATIENCE", 0.01)
    monkeypatch.setattr(staging, "_PAUSE", 0.01)
    monkeypatch.setattr(Objects, "put", away)
    with staging.attempt(attempt, []) as (path, _, upload):
        (path / "worker.json").write_bytes(b"{}")
        upload()
        time.sleep(0.02)
        with pytest.raises(StoreError):
            upload()
        (path / "worker.json").unlink()
    with pytest.raises(StoreError), staging.attempt(attempt, []) as (path, _, _):
        (path / "worker.json").write_bytes(b"{}")
    assert list(temporary.iterdir()) == []


def test_scratch_of_killed_workers_goes_and_that_of_others_stays(folders, temporary):
    left = temporary / "sret-scratch-left"
    left.mkdir()
    (left / "lock").touch()
    with staging.attempt(folders.new_attempt(1), []) as (path, _, _):
        assert not left.exists()
        with staging.attempt(folders.new_attempt(1), []) as (other, _, _):
            assert path.exists() and other.exists()
    assert list(temporary.iterdir()) == []
