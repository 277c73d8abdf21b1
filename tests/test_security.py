"""Nothing that lies in a study's folders is run, leads out of them, or gives a password away; and
what a study starts is reached from this machine only."""

import ast
import json
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

import numpy as np
import pytest
import torch

import sret_search
from sret_search.artifacts.trial_folders import TrialFolders
from sret_search.commands import evaluate
from sret_search.config import yaml_source
from sret_search.config.addresses import HIDDEN
from sret_search.reporting.write import write_report
from sret_search.study import Study, StudyError, load_study
from sret_search.training.checkpoints import newest_checkpoint
from sret_search.training.pretrained import PretrainedError, load_model
from sret_search.trials import compatibility, postgres
from sret_search.trials.database import explained, place, read_storage
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial_result import TrialResult

SPACE = """\
architecture: sret_digits
axes: {stages.*.loops: {choices: [1, 2]}}
"""
STUDY = """\
study: s
space: space.yaml
recipe: {epochs: 1}
arms: {axis: stages.*.loops, reference: 1}
"""
OUTCOME = {"state": "complete", "val_accuracy": 0.5, "val_loss": 1.0, "test_accuracy": 0.5}
READ = [
    "checkpoint-00000099.pt",
    "stable.pt",
    "model.safetensors",
    "predictions.npz",
    "result.json",
]
"""Files of an attempt that this program reads."""


pytestmark = pytest.mark.usefixtures("here")


def study(text: str = STUDY) -> Study:
    Path("space.yaml").write_text(SPACE)
    Path("s.yaml").write_text(text)
    return load_study(Path("s.yaml"))


def with_trials(made: Study) -> list[Path]:
    """Complete trials, one for each candidate; the folders of their attempts."""
    ledger, attempts = Ledger.create(made), []
    for candidate in made.grid:
        entry = ledger.begin(made.job(candidate, 0, "cpu"), candidate.values, 1258)
        attempts.append(Path(ledger.folders.new_attempt(entry.number)))
        ledger.tell(entry, TrialResult.from_dict(OUTCOME))
    ledger.close()
    return attempts


# What is read and never run.


class Hostile:
    """Makes a folder where it is unpickled by one who runs what a pickle says."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("hostile",)


def as_pickle(file: Path) -> None:
    file.write_bytes(pickle.dumps({"state": "complete", "model": Hostile()}))


def as_checkpoint(file: Path) -> None:
    torch.save({"state": "complete", "model": Hostile()}, file)


def as_arrays(file: Path) -> None:
    arrays = {name: np.array([Hostile()], object) for name in ("labels", "test")}
    with file.open("wb") as opened:
        np.savez(opened, **arrays)


CONTROLS = {
    as_pickle: lambda file: pickle.loads(file.read_bytes()),
    as_checkpoint: lambda file: torch.load(file, weights_only=False),
    as_arrays: lambda file: np.load(file, allow_pickle=True)["labels"],
}


@pytest.mark.parametrize("write", CONTROLS, ids=lambda write: write.__name__)
def test_a_hostile_file_in_a_trial_is_not_run(write) -> None:
    made = study()
    attempts = with_trials(made)
    write(Path("control"))
    CONTROLS[write](Path("control"))
    Path("hostile").rmdir()
    for attempt in attempts:
        for name in READ:
            write(attempt / name)

    job = made.job(made.grid[0], 0, "cpu")
    assert newest_checkpoint([attempts[0]], job, 1000) is None
    ledger = Ledger.read(made)
    assert [ledger.outcome(entry) for entry in ledger.entries()] == [None, None]
    ledger.close()
    for name in (str(attempts[0].parent), str(attempts[0] / "model.safetensors")):
        with pytest.raises(PretrainedError, match="cannot be loaded"):
            load_model(name)
        with pytest.raises(StudyError, match="cannot be loaded"):
            evaluate.main([name, "--data", "{name: digits}"], "evaluate")
    with pytest.raises(PretrainedError, match="is not a checkpoint"):
        load_model(f"sret_t:{attempts[0] / 'stable.pt'}")
    with suppress(StudyError):
        write_report(made)
    assert not Path("hostile").exists()


_LOADERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml"}
_BUILTINS = {"eval", "exec", "compile", "__import__"}


def unsafe_calls(source: str) -> Iterator[int]:
    """The lines of a module that may run what they read."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            names = [module] if module else [alias.name for alias in node.names]
            if any(name.split(".")[0] in _LOADERS for name in names):
                yield node.lineno
        elif isinstance(node, ast.Call) and _is_unsafe(node):
            yield node.lineno


def _is_unsafe(call: ast.Call) -> bool:
    # A value that is not written here is taken for the worst, as is all behind a double asterisk.
    keywords = {keyword.arg: getattr(keyword.value, "value", "?") for keyword in call.keywords}
    name = ast.unparse(call.func)
    if name in _BUILTINS or name == "os.system" or keywords.get("shell", False) is not False:
        return True
    if name in ("torch.load", "torch.hub.load", "torch.jit.load"):
        return name != "torch.load" or keywords.get("weights_only") is not True
    if name in ("np.load", "numpy.load"):
        allowed = keywords.get("allow_pickle", False) is not False
        return allowed or None in keywords or len(call.args) > 2
    return name.rpartition(".")[2] == "YAML" and keywords.get("typ") != "safe"


def test_no_module_runs_what_it_reads() -> None:
    root = Path(sret_search.__file__).parent
    found = [
        f"{path.relative_to(root)}:{line}"
        for path in sorted(root.rglob("*.py"))
        for line in unsafe_calls(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml",
        "import joblib.numpy_pickle",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=how)",
        "torch.load(path, **how)",
        "torch.hub.load('a/b', 'c')",
        "np.load(path, allow_pickle=True)",
        "np.load(path, None, True)",
        "np.load(path, **how)",
        "YAML(typ='unsafe')",
        "YAML(typ=kind)",
        "YAML()",
        "ruamel.yaml.YAML(typ='unsafe')",
        "eval(text)",
        "exec(text)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_unsafe_calls_are_seen(source: str) -> None:
    assert list(unsafe_calls(source)) == [1]


@pytest.mark.parametrize(
    "source",
    ["torch.load(p, weights_only=True)", "np.load(p)", "YAML(typ='safe')", "model.eval()"],
)
def test_safe_calls_are_not_taken_for_unsafe(source: str) -> None:
    assert list(unsafe_calls(source)) == []


# Names and paths.


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "..", ".", "", "x" * 100, "a\0b", "a\n", "/tmp/x", "-x", "a\\b", "~", "a b"],
    ids=repr,
)
def test_a_name_that_is_no_plain_word_is_refused(name: str) -> None:
    with pytest.raises(StudyError) as refused:
        study(STUDY.replace("study: s", f"study: {json.dumps(name)}"))
    assert len(str(refused.value).splitlines()) == 1
    assert str(refused.value).startswith("s.yaml:1:8: ")
    assert sorted(path.name for path in Path().iterdir()) == ["s.yaml", "space.yaml"]


def test_trials_lie_in_a_folder_of_the_study_wherever_that_is() -> None:
    made = study(f"{STUDY}storage: {{trials: elsewhere/../trials}}\n")
    (attempt, *_) = with_trials(made)
    assert attempt.resolve() == Path("trials/s/00000/attempt-1").resolve()


def test_nothing_in_a_trial_is_reached_from_outside_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    folders = TrialFolders(str(tmp_path / "trials"))
    attempt = folders.new_attempt(0)
    for name in ("../secret.json", "../../secret.json", str(tmp_path / "secret.json"), "..", ""):
        with pytest.raises(ValueError, match="is not a file name"):
            folders.read_json(attempt, name)
    for folder in (str(tmp_path), f"{attempt}/../..", str(tmp_path / "00000" / "attempt-1")):
        with pytest.raises(ValueError, match="is not an attempt"):
            folders.read_json(folder, "secret.json")


def test_folders_may_be_links(tmp_path: Path) -> None:
    made = study()
    for name in ("runs", "reports"):
        (tmp_path / "large disk" / name).mkdir(parents=True)
        Path(name).symlink_to(tmp_path / "large disk" / name)
    with_trials(made)
    write_report(made)
    assert (tmp_path / "large disk/runs/s/study.db").is_file()
    assert (tmp_path / "large disk/reports/s/report.html").is_file()


# Passwords.

SECRET = "s3cr3t"
WITH_SECRET = {
    "another database": f"storage: {{url: 'mysql://me:{SECRET}@host/db'}}",
    "a misspelt database": f"storage: {{url: 'postgre://me:{SECRET}@host/db'}}",
    "one slash": f"storage: {{url: 'postgresql:/me:{SECRET}@host/db'}}",
    "an unknown key": f"storage: {{url: 'postgresql://me:{SECRET}@host/db', trails: x}}",
    "a misspelt key": f"storage: {{ulr: 'postgresql://me:{SECRET}@host/db'}}",
    "no key": f"storage: postgresql://me:{SECRET}@host/db",
    "a list": f"storage: {{url: ['postgresql://me:{SECRET}@host/db']}}",
    "a long list": f"storage: {{url: [{'x, ' * 9}'postgresql://me:{SECRET}@host/db']}}",
    "a mapping": f"storage: {{url: {{postgresql://me:{SECRET}@host/db: x}}}}",
    "a key of its own": f"postgresql://me:{SECRET}@host/db: x",
    "no closing quote": f"storage: {{url: 'postgresql://me:{SECRET}@host/db}}",
    "a driver": f"storage: {{url: 'postgresql+psycopg://me:{SECRET}@host/db'}}",
    "a blank": f"storage: {{url: 'postgresql://me:{SECRET} x@host/db'}}",
    "an @": f"storage: {{url: 'postgre://me:a@{SECRET}@host/db'}}",
    "a slash": f"storage: {{url: 'postgre://me:a/{SECRET}@host/db'}}",
    "no user": f"storage: {{url: 'postgre://:{SECRET}@host/db'}}",
    "a parameter": f"storage: {{url: 'postgre://me@host/db?password={SECRET}'}}",
    "the wrong place": f"storage: {{trials: 'postgresql://me:{SECRET}@host/db', quota: x}}",
    "the name of a space": f"space: postgresql://me:{SECRET}@host/db",
    "the address of a cluster": f"compute: {{address: 'postgresql://me:{SECRET}@host/db'}}",
    "a user with an @": f"storage: {{url: 'postgre://me@host:{SECRET}@server/db'}}",
    "a user with an @ and a blank": f"storage: {{url: 'postgresql://me@host:x {SECRET}@server/db'}}",
    "two slashes in it": f"storage: {{url: 'postgre://me:a//{SECRET}@host/db'}}",
    "two slashes alone": f"storage: {{url: '//me:{SECRET}@host/db'}}",
    "no scheme": f"storage: {{url: 'me:a {SECRET}@host/db'}}",
    "a question mark": f"storage: {{url: 'postgre://me:a?{SECRET}@host/db'}}",
    "a number sign": f"storage: {{url: 'postgre://me:a#{SECRET}@host/db'}}",
    "a quote": f'storage: {{url: "postgre://me:a\'{SECRET}@host/db"}}',
    "a double quote": f"storage: {{url: 'postgre://me:a\"{SECRET}@host/db'}}",
    "an @ in a parameter": f"storage: {{url: 'postgre://h:1/db?password=a@{SECRET}'}}",
    "an unknown parameter": f"storage: {{url: 'postgre://me@host/db?pw={SECRET}'}}",
    "a nameless parameter": f"storage: {{url: 'postgre://me@host/db?{SECRET}'}}",
    "a blank in a parameter": f"storage: {{url: 'postgre://h/db?sslpassword=x {SECRET}'}}",
    "words of libpq": f"storage: {{url: \"host=h password='x {SECRET}' user=me\"}}",
    "beyond what is quoted": f"storage: {{url: 'postgre://me:{'x' * 30}{SECRET}@host/db'}}",
    "cut in two": f"storage: {{url: 'postgre://me:{'x' * 36}{SECRET}@host/db'}}",
    "no host": f"storage: {{url: 'postgre://me:{SECRET}'}}",
    "a key without a scheme": f"me:{SECRET}@host/db: x",
    "a key that stands twice": f"me:{SECRET}@host/db: x\nme:{SECRET}@host/db: y",
    "a choice": f"search: {{sampler: 'me:{SECRET}@host/db'}}",
}


@pytest.mark.parametrize("wrong", WITH_SECRET, ids=lambda wrong: wrong.replace(" ", "-"))
def test_no_message_about_a_study_has_its_password(wrong: str) -> None:
    text = STUDY.replace("space: space.yaml\n", "") if "space: " in wrong else STUDY
    with pytest.raises(StudyError) as refused:
        study(f"{text}{WITH_SECRET[wrong]}\n")
    assert SECRET not in str(refused.value)
    assert SECRET not in repr(refused.value)
    assert all(SECRET not in repr(problem) for problem in refused.value.problems)


@pytest.mark.parametrize(
    "url", [f"me:{SECRET}@127.0.0.1:1/db", f"127.0.0.1:1/db?password={SECRET}"]
)
def test_a_server_that_is_not_there_is_named_without_its_password(url: str) -> None:
    pytest.importorskip("psycopg", reason="no psycopg: pip install 'sret-search[postgres]'")
    made = study(f"{STUDY}storage: {{url: 'postgresql://{url}'}}\n")
    for use in (Ledger.create, Ledger.read, read_storage):
        with pytest.raises(StudyError, match=r"127\.0\.0\.1:1") as refused:
            use(made)
        assert SECRET not in str(refused.value)
        assert len(str(refused.value).splitlines()) == 1


STORED = {
    "an Azure user": f"url: postgresql://me@host:{SECRET}@server/db",
    "a slash": f"url: postgresql://me:a/{SECRET}@host/db",
    "two slashes": f"url: postgresql://me:a//{SECRET}@host/db",
    "a colon": f"url: postgresql://me:a:{SECRET}@host/db",
    "a number sign": f"url: 'postgresql://me:a#{SECRET}@host/db'",
    "a question mark": f"url: 'postgresql://me:a?{SECRET}@host/db'",
    "a quote": f"url: postgresql://me:a'{SECRET}@host/db",
    "a quote written twice": f"url: 'postgresql://me:a''{SECRET}@host/db'",
    "a double quote": f"url: 'postgresql://me:a\"{SECRET}@host/db'",
    "an encoded blank": f"url: postgresql://me:a%20{SECRET}@host/db",
    "a parameter": f"url: postgresql://me@host/db?password={SECRET}&sslmode=require",
    "a parameter with a blank": f"url: postgresql://me@host/db?password=a%20{SECRET}",
    "a parameter of a key": f"url: postgresql://me@host/db?sslmode=require&sslpassword={SECRET}",
    "a parameter that is not known": f"url: postgresql://me@host/db?pw={SECRET}",
    "an @ in a parameter": f"url: postgresql://host:1/db?password=a@{SECRET}",
    "a key of a store": f"trials: s3://bucket/folder?secret_key={SECRET}",
    "an upper-case key": f"trials: s3://bucket/folder?AWS_SECRET_ACCESS_KEY={SECRET}",
    "an access key": f"trials: s3://AKIA:a/{SECRET}@bucket/folder",
    "a signature": f"trials: abfss://c@account.dfs.core.windows.net/x?sig={SECRET}",
    "a comment": f"quota: 1GB # postgresql://me@host:{SECRET}@server/db",
    "a comment with a blank": f"quota: 1GB # url: 'postgresql://me:x {SECRET}@server/db'",
    "a comment of a variable": f"quota: 1GB # PGPASSWORD='a {SECRET}' sret-search run s.yaml",
    "over two lines": f'url: "postgresql://me:\\\n    {SECRET}@host/db"',
    "an anchor": f"url: &u postgresql://me@host:{SECRET}@server/db",
}


@pytest.mark.parametrize("line", STORED.values(), ids=lambda line: "")
def test_no_form_of_a_secret_is_stored_or_said(line: str) -> None:
    made = study(f"{STUDY}storage:\n  {line}\n")
    described = json.dumps(compatibility.describe(made).to_json())
    assert SECRET not in described
    assert HIDDEN in described
    assert SECRET not in place(made)
    if made.file.storage.trials is not None:
        with pytest.raises(StudyError, match="holds a secret") as refused:
            TrialFolders(made.trials_root)
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "password"),
    [
        (f"me@host:{SECRET}@server/db", SECRET),
        (f"me:a%20{SECRET}@host/db", f"a {SECRET}"),
        (f"me@host/db?password=a%20{SECRET}", f"a {SECRET}"),
        (f"me@host/db?pw={SECRET}", SECRET),
    ],
)
def test_what_a_driver_says_is_told_without_the_password(url: str, password: str) -> None:
    made = study(f"{STUDY}storage: {{url: 'postgresql://{url}'}}\n")
    for spelt in (password, quote(password), quote_plus(password), json.dumps(password)):
        with pytest.raises(StudyError, match=r"no option .* is known") as refused, explained(made):
            raise OSError(f"no option {spelt} is known")
        assert SECRET not in str(refused.value)


def test_a_parameter_with_an_at_sign_is_refused_and_not_taken_for_a_host() -> None:
    made = study(f"{STUDY}storage: {{url: 'postgresql://host:1/db?password=a@{SECRET}'}}\n")
    with pytest.raises(
        StudyError, match=r"s\.yaml:5:16: an @ in .* is written %40, .* %3F"
    ) as refused:
        postgres.server(made)
    assert SECRET not in str(refused.value)


def test_a_secret_that_an_earlier_program_stored_is_shown_to_nobody_and_removed(
    monkeypatch,
) -> None:
    made = study(f"{STUDY}# postgresql://me@host:{SECRET}@server/db\n")
    with monkeypatch.context() as patched:
        patched.setattr(yaml_source, "without_secrets", lambda text: text)
        with_trials(made)
        write_report(made)
    files = [made.folder / "study.db", made.report_folder / "report.html"]
    assert [path for path in files if SECRET.encode() not in path.read_bytes()] == []

    ledger = Ledger.read(made)
    assert SECRET not in json.dumps(ledger.description.to_json())
    assert [d for d in ledger.declarations if SECRET in json.dumps(d.to_json())] == []
    ledger.close()
    Ledger.create(made).close()
    write_report(made)
    kept = [path for path in Path().rglob("*") if path.is_file() and path.name != "s.yaml"]
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []
    assert b"me@host:***@server" in files[0].read_bytes()


def test_neither_the_ledger_nor_the_report_has_a_password() -> None:
    line = f"{{url: 'postgresql://me:{SECRET}@host/db'}}"
    described = json.dumps(compatibility.describe(study(f"{STUDY}storage: {line}\n")).to_json())
    assert SECRET not in described
    assert "postgresql://me:***@host/db" in described

    made = study(f"{STUDY}# storage: {line}\n")
    with_trials(made)
    write_report(made)
    kept = [path for path in Path().rglob("*") if path.is_file() and path.name != "s.yaml"]
    assert {"study.db", "report.html", "summary.json"} <= {path.name for path in kept}
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []
    assert "postgresql://me:***@host/db" in (made.report_folder / "report.html").read_text()


# Sockets.

MARK = "SRET_SEARCH_TEST_MARK"


def marked(mark: str) -> dict[int, str]:
    """All processes that were started, however indirectly, with a mark in their environment."""
    names, parents, found = {}, {}, set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            pid = int(folder.name)
            name, fields = (folder / "stat").read_text().rsplit(")", 1)
            names[pid], parents[pid] = name.partition("(")[2], int(fields.split()[1])
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.add(pid)
    # One that gives itself another title writes it over its environment: its parent has the mark.
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: names[pid] for pid in found}


def listening(pids: Iterable[int]) -> dict[int, set[str]]:
    """Addresses on which processes wait for TCP connections."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A":
                sockets[f"socket:[{rest[5]}]"] = address(local.split(":")[0])
    found: dict[int, set[str]] = {pid: set() for pid in pids}
    for pid, addresses in found.items():
        with suppress(OSError):
            for file in os.scandir(f"/proc/{pid}/fd"):
                with suppress(OSError, KeyError):
                    addresses.add(sockets[os.readlink(file)])
    return found


def address(text: str) -> str:
    """An address of /proc/net/tcp or tcp6: words of four bytes in the machine's order."""
    words = [int(text[i : i + 8], 16) for i in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="no /proc/net/tcp on this system")
@pytest.mark.slow
def test_all_that_a_study_starts_listens_on_the_loopback_only() -> None:
    study()
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-m", "sret_search.run", "s.yaml"],
        env=os.environ | {MARK: mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    addresses: dict[str, set[str]] = {}
    try:
        while process.poll() is None:
            names = marked(mark)
            for pid, found in listening(names).items():
                addresses.setdefault(names[pid], set()).update(found)
            time.sleep(0.5)
        _, error = process.communicate()
        assert process.returncode == 0, error
    finally:
        for pid in marked(mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
    servers = {name for name, found in addresses.items() if found}
    assert {"gcs_server", "raylet", "ray::RuntimeEnv", "ray::ImplicitFu"} <= servers
    loopback = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    elsewhere = {name: found - loopback for name, found in addresses.items() if found - loopback}
    assert elsewhere == {}


def test_listening_sockets_are_seen() -> None:
    with socket.socket() as everywhere, socket.socket() as here:
        everywhere.bind(("0.0.0.0", 0))
        here.bind(("127.0.0.1", 0))
        assert listening([os.getpid()]) == {os.getpid(): set()}
        everywhere.listen()
        here.listen()
        assert listening([os.getpid()]) == {os.getpid(): {"0.0.0.0", "127.0.0.1"}}
