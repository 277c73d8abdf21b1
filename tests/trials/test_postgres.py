"""The ledger's database and the lease on a real PostgreSQL server."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import optuna
import postgres_server
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial
from postgres_server import USER
from sqlalchemy import text

from sret_search import run as command
from sret_search.architecture.variants import VARIANTS
from sret_search.commands import export
from sret_search.execution.run import search
from sret_search.study import Study, StudyError, load_study
from sret_search.trials import postgres
from sret_search.trials.database import (
    LedgerAwayError,
    LedgerLostError,
    open_storage,
    read_storage,
    set_aside,
    writing,
)
from sret_search.trials.lease import StudyHeldError, hold
from sret_search.trials.ledger import Ledger
from sret_search.trials.trial_result import TrialResult
from sret_search.writing import yaml_text

psycopg = pytest.importorskip("psycopg")
pytestmark = [
    pytest.mark.skipif(bool(postgres_server.MISSING), reason=postgres_server.MISSING),
    pytest.mark.usefixtures("here"),
]

HOLDER = """
import sys, time
from pathlib import Path
from sret_search.trials.lease import hold
from sret_search.study import load_study
with hold(load_study(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(600)
"""
OUTCOME = {"state": "complete", "val_accuracy": 0.5, "val_loss": 1.0, "test_accuracy": 0.5}
RUNNING = create_trial(
    state=TrialState.RUNNING,
    params={"recipe.lr": 0.01},
    distributions={"recipe.lr": FloatDistribution(0.001, 0.1)},
    user_attrs={"job": {"seed": 3}},
)


@pytest.fixture(scope="module")
def server():
    with postgres_server.running() as server:
        yield server


@pytest.fixture
def made(server, request):
    """A study of its own in the server's only database."""
    return study(server.url(), re.sub(r"\W", "_", request.node.name)[:60])


def study(url: str, name: str = "s") -> Study:
    Path("space.yaml").write_text("architecture: sret_digits\naxes: {}\n")
    path = Path(f"{name}.yaml")
    path.write_text(f"study: {name}\nspace: space.yaml\nstorage:\n  url: {url}\n")
    return load_study(path)


def close(storage) -> None:
    storage.remove_session()
    storage.engine.dispose()


def begin(storage, made: Study) -> tuple[int, int]:
    """The study and a trial of it that runs, by their keys."""
    stored = optuna.create_study(
        storage=storage, study_name=made.name, directions=["maximize", "minimize"]
    )
    return stored._study_id, storage.create_new_trial(stored._study_id, template_trial=RUNNING)


def hides(error: BaseException) -> str:
    """The message, once it is seen to be one line without the password."""
    shown = [str(error), str(error.__cause__)]
    assert not [said for said in shown if re.search("ret@1|ret%401|hunter2", said)]
    assert "\n" not in str(error)
    return str(error)


def test_what_is_written_is_read_by_another_connection(made):
    storage = open_storage(made)
    _, trial = begin(storage, made)
    with writing():
        storage.set_trial_state_values(trial, TrialState.COMPLETE, [0.9, 4e4])
    close(storage)

    storage = read_storage(made)
    (found,) = optuna.load_study(storage=storage, study_name=made.name).trials
    close(storage)
    assert (found.number, found.state, found.values) == (0, TrialState.COMPLETE, [0.9, 4e4])
    assert (found.params, found.user_attrs) == ({"recipe.lr": 0.01}, {"job": {"seed": 3}})


def test_a_study_that_never_ran_is_not_made_by_reading(server, made):
    with postgres.server(study(server.url())).connect() as connection:
        connection.execute(text("CREATE DATABASE empty"))
    empty = study(server.url("empty"))
    for _ in range(2):
        with pytest.raises(
            StudyError, match=r"^study s in .*/empty has no study yet; run it first"
        ):
            read_storage(empty)
    assert not set_aside(empty, "s.old")
    with postgres.server(empty).connect() as connection:
        tables = text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert connection.execute(tables).scalar_one() == 0
    close(open_storage(made))
    with pytest.raises(StudyError, match="has no study yet; run it first"):
        read_storage(made)


def test_two_that_make_the_tables_at_once_both_succeed(server):
    with postgres.server(study(server.url())).connect() as connection:
        connection.execute(text("CREATE DATABASE together"))
    failures = []

    def make(own: Study) -> None:
        try:
            with hold(own):
                close(open_storage(own))
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    studies = [study(server.url("together"), f"s{i}") for i in range(4)]
    threads = [threading.Thread(target=make, args=[own]) for own in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("opened", [open_storage, read_storage, lambda s: hold(s).__enter__()])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "hunter2"}, f'password authentication failed for user "{USER}"'),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
        ({"port": 1}, 'connection to server at "127.0.0.1", port 1 failed: Connection refused'),
        ({"password": "sec/ret@1"}, "an @ in a password is written %40, but got"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_in_one_line(server, change, said, opened):
    port = change.pop("port", None)
    url = server.url(**change)
    if port is not None:
        url = url.replace(str(server.port), str(port))
        change["port"] = port
    with pytest.raises(StudyError) as raised:
        opened(study(url))
    message = hides(raised.value)
    assert message.startswith("s.yaml:4:8: ")
    assert f"postgresql://{USER}:***@127.0.0.1:{port or server.port}/" in message
    assert said in message
    assert not Path("runs").exists()


def test_tables_that_may_not_be_made_are_named(server):
    with postgres.server(study(server.url())).connect() as connection:
        connection.execute(text("CREATE ROLE guest LOGIN PASSWORD 'hunter2'"))
        connection.execute(text("CREATE DATABASE closed"))
    url = f"postgresql://guest:hunter2@127.0.0.1:{server.port}/closed"
    for opened in (open_storage, lambda s: hold(s).__enter__()):
        with pytest.raises(StudyError) as raised:
            opened(study(url))
        assert "permission denied for schema public" in hides(raised.value)


def test_the_tables_of_a_newer_optuna_are_left_alone(server):
    with postgres.server(study(server.url())).connect() as connection:
        connection.execute(text("CREATE DATABASE newer"))
    newer = study(server.url("newer"))
    close(open_storage(newer))
    with postgres.server(newer).connect() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v9.0.0.a'"))
        connection.execute(text("DROP TABLE trial_heartbeats"))
    with pytest.raises(StudyError, match=r"its tables, version v9.0.0.a, are not those of Optuna"):
        open_storage(newer)
    with postgres.server(newer).connect() as connection:
        table = text("SELECT to_regclass('trial_heartbeats')")
        assert connection.execute(table).scalar_one() is None


def test_a_study_that_is_set_aside_leaves_its_name_free(made):
    storage = open_storage(made)
    begin(storage, made)
    assert set_aside(made, f"{made.name}.old")
    assert not set_aside(made, f"{made.name}.old")
    begin(storage, made)
    with pytest.raises(StudyError, match=r"there is a study \w+\.old already"):
        set_aside(made, f"{made.name}.old")
    names = [found.study_name for found in storage.get_all_studies()]
    close(storage)
    assert {made.name, f"{made.name}.old"} <= set(names)


def test_the_second_driver_is_told_who_is_first_and_follows_a_killed_one(made):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, made.path], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        who = rf"is held by process {holder.pid} on \S+ since {time.strftime('%Y-%m-%d')} "
        with pytest.raises(StudyHeldError, match=who) as raised, hold(made):
            pass
        message = hides(raised.value)
        assert message.startswith(f"study {made.name} in postgresql://{USER}:***@127.0.0.1")
        with hold(study(made.file.storage.url, "another")) as other:
            other.check()
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    end = time.monotonic() + 30
    while True:
        with suppress(StudyHeldError), hold(made) as lease:
            lease.check()
            return
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_lease_whose_connection_ended_is_noticed_and_free(made):
    with hold(made) as lease:
        lease.check()
        with postgres.server(made).connect() as admin:
            ended = text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks"
                " WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
            assert list(admin.execute(ended).scalars()) == [True]
        with hold(made) as second:
            for _ in range(2):
                with pytest.raises(
                    StudyHeldError, match=r"connection that held .* is gone"
                ) as lost:
                    lease.check()
            hides(lost.value)
            second.check()


def test_a_lease_that_another_has_taken_over_names_the_other(made):
    with hold(made) as lease:
        lease._connection.execute(text("SELECT pg_advisory_unlock_all()"))
        with hold(made), pytest.raises(StudyHeldError, match=r"was taken over by process \d+ on"):
            lease.check()


def test_the_server_watches_over_the_connection_that_holds(made):
    with hold(made) as lease:
        show = text("SELECT name, setting FROM pg_settings WHERE name ~ '^tcp_|^idle_session'")
        set_to = dict(lease._connection.execute(show).tuples().all())
    assert {name: int(value) for name, value in set_to.items()} == {
        "tcp_keepalives_idle": 5,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        "idle_session_timeout": 0,
    }


def test_a_commit_whose_answer_is_lost_is_not_made_twice(made, monkeypatch):
    """The server has the trial, the driver does not know: it stops instead of trying again."""
    storage = open_storage(made)
    study_id, _ = begin(storage, made)
    commit = storage.engine.dialect.do_commit

    def lose_the_answer(connection) -> None:
        commit(connection)
        connection.dbapi_connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    def interrupt(connection) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(storage.engine.dialect, "do_commit", lose_the_answer)
        with pytest.raises(LedgerLostError) as lost, writing():
            storage.create_new_trial(study_id, template_trial=RUNNING)
        hides(lost.value)
        patched.setattr(storage.engine.dialect, "do_commit", interrupt)
        with pytest.raises(KeyboardInterrupt), writing():
            storage.create_new_trial(study_id, template_trial=RUNNING)
    assert storage.get_n_trials(study_id) == 2
    close(storage)


def test_a_server_that_stops_loses_lease_and_ledger_in_one_line(server, made):
    storage = open_storage(made)
    _, trial = begin(storage, made)
    try:
        with hold(made) as lease:
            server.stop()
            with pytest.raises(StudyHeldError, match=r"connection that held .* is gone") as held:
                lease.check()
            hides(held.value)
            for _ in range(2):
                with pytest.raises(LedgerLostError) as lost, writing():
                    storage.set_trial_user_attr(trial, "x", 1)
                assert "study's database is lost: " in hides(lost.value)
            with pytest.raises(StudyError, match="Connection refused"):
                read_storage(made)
    finally:
        server.start()
    with hold(made), writing():
        storage.set_trial_user_attr(trial, "x", 2)
    assert storage.get_trial(trial).user_attrs["x"] == 2
    close(storage)


def test_a_study_that_goes_on_in_another_folder_says_what_it_lacks(server, capsys, monkeypatch):
    made = study(server.url(), "moved")
    ledger = Ledger.create(made)
    candidate = made.grid[0]
    entry = ledger.begin(made.job(candidate, 0, "cpu"), candidate.values, 1258)
    Path(ledger.folders.new_attempt(0), "worker.json").write_text("{}")
    ledger.tell(entry, TrialResult.from_dict(OUTCOME))
    ledger.close()
    before = Path("runs/moved/trials").absolute()
    Path("other").mkdir()
    monkeypatch.chdir("other")
    made = study(server.url(), "moved")
    ledger = Ledger.create(made)
    assert search(made, ledger).complete
    ledger.close()
    said = capsys.readouterr().err
    assert "runs/moved/trials lacks the folders of 1 of 1 trials (0): " in said
    assert f"they were in {before} when it last ran: name one place for all as storage.t" in said


def secret_places(folders: list[Path], secret: bytes) -> set[str]:
    """Where a secret can be read: in files, and in the command lines of this machine."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files += Path("/proc").glob("[0-9]*/cmdline")
    found = set()
    for path in files:
        with suppress(OSError):
            if path.stat().st_size < 2**22 and secret in path.read_bytes():
                found.add(str(path))
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_password_is_nowhere_while_a_study_runs_nor_after_it(server):
    with postgres.server(study(server.url())).connect() as connection:
        connection.execute(text("CREATE ROLE \"me@host\" LOGIN SUPERUSER PASSWORD 's3cr3t word'"))
    url = f"postgresql://me@host:s3cr3t%20word@127.0.0.1:{server.port}/postgres"
    made = study(url, "azure")
    with made.path.open("a") as file:
        file.write("recipe: {epochs: 1}\n")
    # Ray's sockets need a short path.
    with (
        tempfile.TemporaryDirectory(prefix="sret", dir="/tmp") as scratch,
        Path("out").open("w") as out,
    ):
        command = [sys.executable, "-m", "sret_search.run", "azure.yaml"]
        environment = os.environ | {"TMPDIR": scratch}
        run = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
        found: set[str] = set()
        while run.poll() is None:
            found |= secret_places([Path.cwd(), Path(scratch)], b"s3cr3t")
            time.sleep(0.2)
    said = Path("out").read_text()
    assert run.returncode == 0, said
    export.main(["azure.yaml", "--trial", "0", "--out", "exported"], "export")
    found |= secret_places([Path.cwd()], b"s3cr3t")
    assert found == {str(made.path.resolve())}
    with postgres.server(made).connect() as connection:
        kept = connection.execute(text("SELECT value_json FROM study_user_attributes")).scalars()
        kept = [
            *kept,
            *connection.execute(text("SELECT value_json FROM trial_user_attributes")).scalars(),
        ]
    assert len(kept) > 5
    assert [value for value in kept if "s3cr3t" in value] == []
    assert "me@host:***@127.0.0.1" in "".join(kept)


def begun(made: Study, ledger: Ledger):
    candidate = made.grid[0]
    return ledger.begin(made.job(candidate, 0, "cpu"), candidate.values, 1258)


def test_a_driver_goes_on_where_its_server_was_away(server, made):
    with hold(made) as lease:
        ledger = Ledger.create(made, lease)
        said = []

        def wait(away):
            said.append(hides(away))
            if len(said) == 2:
                server.start()

        ledger.wait_for_server = wait
        server.stop()
        entry = begun(made, ledger)
        assert len(said) >= 2
        assert not [message for message in said if "Connection is closed" in message]
        assert [message for message in said if "that held " in message and " is gone" in message]
        said.clear()
        server.stop()
        ledger.tell(entry, TrialResult.from_dict(OUTCOME))
        assert [found.state for found in ledger.entries()] == ["complete"]
        lease.check()
        with pytest.raises(StudyHeldError, match="is held by process"), hold(made):
            pass
        ledger.close()


def test_a_driver_that_waits_for_nothing_stops_where_its_server_is_away(server, made):
    with hold(made) as lease:
        ledger = Ledger.create(made, lease)
        server.stop()
        try:
            with pytest.raises(LedgerLostError, match=r"connection that held .* is gone"):
                begun(made, ledger)
        finally:
            server.start()
        ledger.close()


def test_a_write_whose_answer_is_lost_is_made_once(made, monkeypatch):
    with hold(made) as lease:
        ledger = Ledger.create(made, lease)
        dialect = ledger._storage.engine.dialect
        commit, waits, lost = dialect.do_commit, [], []

        def lose_the_answer(connection) -> None:
            commit(connection)
            if lost:
                connection.dbapi_connection.close()
                raise psycopg.OperationalError(lost.pop())

        ledger.wait_for_server = waits.append
        monkeypatch.setattr(dialect, "do_commit", lose_the_answer)
        for write in ("begin", "fail", "tell"):
            lost.append("server closed the connection unexpectedly")
            if write == "begin":
                entry = begun(made, ledger)
            elif write == "fail":
                entry = ledger.fail(entry, "worker died")
            else:
                ledger.tell(entry, TrialResult.from_dict(OUTCOME))
        monkeypatch.undo()
        assert (len(waits), lost) == (3, [])
        (found,) = ledger.entries()
        assert (found.number, found.state) == (0, "complete")
        assert found.failures == {"worker died": 1}
        ledger.close()


def test_a_trial_whose_end_is_lost_on_the_way_back_is_ended_once(made, monkeypatch):
    with hold(made) as lease:
        ledger = Ledger.create(made, lease)
        entry = begun(made, ledger)
        end, waits = ledger._storage.set_trial_state_values, []

        def lose_the_answer(*arguments):
            end(*arguments)
            monkeypatch.undo()
            raise LedgerAwayError("the server closed the connection unexpectedly")

        ledger.wait_for_server = waits.append
        monkeypatch.setattr(ledger._storage, "set_trial_state_values", lose_the_answer)
        assert ledger.tell(entry, TrialResult.from_dict(OUTCOME)).state == "complete"
        assert len(waits) == 1
        assert [found.state for found in ledger.entries()] == ["complete"]
        ledger.close()


def test_a_study_that_another_held_meanwhile_is_not_held_again(made):
    with hold(made) as lease:
        lease._connection.close()
        with hold(made):
            pass
        with pytest.raises(
            StudyHeldError, match=r"is gone .*, and process \d+ on .* held it"
        ) as held:
            lease.check()
        assert not isinstance(held.value, LedgerLostError)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [("port", 3), ("full", 3), ("full database", 3), ("password", 2), ("database", 2), ("host", 2)],
)
def test_a_server_that_may_come_back_is_told_from_what_is_to_be_mended(server, wrong, code, capsys):
    role = f"role_{wrong}".replace(" ", "_")
    with postgres.server(study(server.url())).connect() as admin:
        limit = 0 if wrong == "full" else -1
        admin.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'hunter2' CONNECTION LIMIT {limit}"))
        if wrong == "full database":
            admin.execute(text("CREATE DATABASE full_one CONNECTION LIMIT 0"))
    host = "host.invalid" if wrong == "host" else "127.0.0.1"
    port = 1 if wrong == "port" else server.port
    password = "hunter3" if wrong == "password" else "hunter2"
    database = {"database": "nowhere", "full database": "full_one"}.get(wrong, "postgres")
    url = f"postgresql://{role}:{password}@{host}:{port}/{database}"
    study(url, "away")
    assert command._main(command.parser("run").parse_args(["away.yaml"])) == code
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f"away.yaml:4:8: the database postgresql://{role}:***@{host}:{port}/")
    resume = (
        "stopped before the study was complete; resume with: python -m sret_search.run away.yaml"
    )
    assert said[1:] == ([resume] if code == 3 else [])
    assert not [line for line in said if "hunter" in line]


def waited(process: subprocess.Popen, path: Path, word: str, count: int = 1) -> None:
    end = time.monotonic() + 400
    while path.read_text().count(word) < count:
        assert time.monotonic() < end and process.poll() is None, path.read_text()
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_run_waits_for_its_server_and_stops_in_order_where_that_stays_away(server):
    made = study(server.url(), "waits")
    with made.path.open("a") as file:
        file.write("recipe: {epochs: 1}\nsearch: {seeds: 3}\ncompute: {concurrent: 1}\n")
    small = VARIANTS["sret_digits"].at_loops(1).to_dict()
    Path("space.yaml").write_text(yaml_text({"architecture": small}))
    with Path("out").open("w") as out:
        run = subprocess.Popen(
            [sys.executable, "-m", "sret_search.run", made.path],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            waited(run, Path("out"), "2 running")
            server.stop()
            waited(run, Path("out"), "paused: ")
            server.start()
            waited(run, Path("out"), "% on validation")
            server.stop()
            waited(run, Path("out"), "paused: ", 2)
            run.send_signal(signal.SIGTERM)
            assert run.wait(150) == 3, Path("out").read_text()
        finally:
            run.kill()
            run.wait()
            server.stop()
            server.start()
    said = Path("out").read_text()
    assert "it goes on when its server answers" in said
    assert "resume with: python -m sret_search.run waits.yaml" in said
    assert "Traceback" not in said
    again = subprocess.run(
        [sys.executable, "-m", "sret_search.run", made.path], capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    ledger = Ledger.read(made)
    assert [(e.number, e.state) for e in ledger.entries()] == [(n, "complete") for n in range(3)]
    ledger.close()
