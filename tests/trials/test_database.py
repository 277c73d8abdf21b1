"""The ledger's database as a file, what is refused, and what no message may show."""

import errno
import os
import sqlite3
import sys
import threading
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from sret_search.config.problems import Problem, masked
from sret_search.study import Study, StudyError, load_study
from sret_search.trials import database, sqlite
from sret_search.trials.database import (
    DiskFullError,
    LedgerLostError,
    open_storage,
    read_storage,
    set_aside,
    writing,
)
from sret_search.trials.lease import hold
from sret_search.trials.sqlite import network_file_system

DATABASE = Path("runs/s/study.db")
ATTRIBUTES = [(i, "job", '"' + "x" * 500 + '"') for i in range(100)]
MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
/dev/vdb /home/me/local xfs rw 0 0
me@host: /home/me/with\\040space fuse.sshfs rw 0 0
systemd-1 /data autofs rw 0 0
mds@o2ib:/scratch /data lustre rw 0 0
store /mnt/fuse fuse.mergerfs rw 0 0
"""


pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def made() -> Study:
    return study("")


def study(extra: str) -> Study:
    Path("space.yaml").write_text("architecture: sret_digits\naxes: {}\n")
    Path("s.yaml").write_text(f"study: s\nspace: space.yaml\n{extra}")
    return load_study(Path("s.yaml"))


def close(opened: RDBStorage) -> None:
    opened.remove_session()
    opened.engine.dispose()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """The bytes of the closed database of a study with 100 trials."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        opened = open_storage(study(""))
        optuna.create_study(storage=opened, study_name="s")
        with opened.engine.begin() as connection:
            for table, columns, values in (
                ("trials", "trial_id, number, study_id, state", [(i, i, 1, 1) for i in range(100)]),
                ("trial_user_attributes", "trial_id, key, value_json", ATTRIBUTES),
            ):
                marks = ", ".join("?" * len(values[0]))
                connection.exec_driver_sql(
                    f"INSERT INTO {table} ({columns}) VALUES ({marks})", values
                )
        close(opened)
        return DATABASE.read_bytes()


@pytest.fixture
def filled(whole, made) -> bytes:
    """The same, where the study's own should lie."""
    DATABASE.parent.mkdir(parents=True)
    DATABASE.write_bytes(whole)
    return whole


def refused(made: Study, match: str) -> None:
    """Both ways to open say so in one line, and change neither file nor folder."""
    before = {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}
    for opened in (open_storage, read_storage):
        with pytest.raises(StudyError, match=match) as raised:
            opened(made)
        assert "\n" not in str(raised.value)
    assert {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()} == before


def test_what_is_written_is_there_after_a_power_cut_and_readers_do_not_lock(made):
    opened = open_storage(made)
    with opened.engine.connect() as connection:
        found = [
            connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        ]
    assert found == ["wal", 2, 60_000]
    stored = optuna.create_study(storage=opened, study_name="s")
    reader = read_storage(made)
    with reader.engine.connect() as reading:
        assert reading.execute(text("SELECT count(*) FROM trials")).scalar_one() == 0
        with writing():
            stored.add_trial(create_trial(value=1.0))
    assert [trial.value for trial in reader.get_all_trials(1)] == [1.0]
    close(reader)
    close(opened)


@pytest.mark.parametrize("patience", [60.0, 0.1])
def test_a_lock_of_another_process_is_waited_for_and_then_stops_in_one_line(
    made, patience, monkeypatch
):
    monkeypatch.setattr(sqlite, "_PATIENCE", patience)
    opened = open_storage(made)
    stored = optuna.create_study(storage=opened, study_name="s")
    other = sqlite3.connect(DATABASE, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(1.0, other.rollback)
    release.start()
    if patience < 1:
        with pytest.raises(LedgerLostError, match="database is locked") as lost, writing():
            stored.set_user_attr("x", 1)
        assert "\n" not in str(lost.value)
        release.join()
    with writing():
        stored.set_user_attr("x", 1)
    release.join()
    other.close()
    assert stored.user_attrs == {"x": 1}
    close(opened)


@pytest.mark.parametrize("name", ["a b", "50%", "q?x#y", "{SCHEMA_VERSION}"])
def test_a_working_directory_may_have_any_name(made, name, monkeypatch, tmp_path):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    close(open_storage(made))
    assert (tmp_path / name / DATABASE).stat().st_size > 0
    assert [path.name for path in (tmp_path / name).iterdir()] == ["runs"]


def test_reading_a_study_that_never_ran_makes_nothing(made):
    nothing = r"^runs/s has no study yet; run it first$"
    with pytest.raises(StudyError, match=nothing):
        read_storage(made)
    assert not Path("runs").exists()
    DATABASE.parent.mkdir(parents=True)
    DATABASE.touch()
    with pytest.raises(StudyError, match=nothing):
        read_storage(made)
    assert DATABASE.stat().st_size == 0
    close(open_storage(made))
    with pytest.raises(StudyError, match=nothing):
        read_storage(made)


def test_a_study_in_a_file_is_set_aside_by_its_folder_alone(made, filled):
    assert set_aside(made, "s.old") is False
    opened = read_storage(made)
    assert [found.study_name for found in opened.get_all_studies()] == ["s"]
    close(opened)


def test_a_file_of_no_bytes_is_a_new_database(made):
    DATABASE.parent.mkdir(parents=True)
    DATABASE.touch()
    close(open_storage(made))
    assert DATABASE.stat().st_size > 0


def test_a_database_that_was_not_closed_is_opened_with_all_that_was_written(made):
    opened = open_storage(made)
    optuna.create_study(storage=opened, study_name="s").ask()
    side = {path: path.read_bytes() for path in DATABASE.parent.glob("study.db*")}
    close(opened)
    for path, content in side.items():
        path.write_bytes(content)
    assert side.keys() >= {DATABASE, Path(f"{DATABASE}-wal")}
    again = read_storage(made)
    assert again.get_n_trials(1) == 1
    close(again)


def test_a_file_that_is_no_database_is_refused(made):
    DATABASE.parent.mkdir(parents=True)
    DATABASE.write_text("not a database, but long enough to look like one" * 40)
    refused(made, r"^runs/s/study.db: not a study's database \(file is not a database\)$")


@pytest.mark.parametrize("left", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("off", [0, 100])
def test_a_database_that_was_cut_is_refused(made, filled, left, off):
    pages = len(filled) // 4096
    DATABASE.write_bytes(filled[: int(pages * left) * 4096 + off])
    refused(made, r"^runs/s/study.db: the database is damaged \(.+\): put a copy of it back, or")


def test_a_database_with_pages_overwritten_in_the_middle_is_refused(made, filled):
    middle = len(filled) // 2 // 4096 * 4096
    DATABASE.write_bytes(filled[:middle] + b"\xa5" * 3 * 4096 + filled[middle + 3 * 4096 :])
    refused(made, r"^runs/s/study.db: the database is damaged \(.+\): put a copy of it back, or")


def test_the_tables_of_a_newer_optuna_are_left_alone(made, filled):
    with sqlite3.connect(DATABASE) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9.0.0.a'")
        connection.execute("DROP TABLE trial_heartbeats")
    connection.close()
    refused(made, r"^runs/s/study.db: .* version v9\.0\.0\.a, are not those of Optuna 5\.\d+\.\d+")


@pytest.mark.parametrize("locked", ["runs/s", "runs/s/study.db"])
def test_what_may_not_be_written_is_refused(made, filled, locked, monkeypatch):
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != locked and access(path, mode))
    refused(made, rf"^{locked}: cannot be written: no permission$")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
@pytest.mark.parametrize("locked", ["runs/s", "runs/s/study.db"])
def test_permissions_that_are_missing_are_seen(made, filled, locked):
    mode = Path(locked).stat().st_mode
    Path(locked).chmod(mode & 0o555)
    refused(made, rf"^{locked}: cannot be written: no permission$")
    Path(locked).chmod(mode)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/root/runs/s", None),
        ("/home/me/runs/s", "nfs4"),
        ("/home/me/local/runs/s", None),
        ("/home/me/localized", "nfs4"),
        ("/home/me/with space/runs", "fuse.sshfs"),
        ("/data/runs/s", "lustre"),
        ("/mnt/fuse/runs", None),
        ("/", None),
    ],
)
def test_the_deepest_mount_above_a_folder_decides(folder, kind):
    assert network_file_system(Path(folder), MOUNTS) == kind


@pytest.mark.parametrize("kind", ["nfs", "cifs", "9p", "fuse.glusterfs"])
def test_nothing_is_made_on_a_network_file_system(made, kind, monkeypatch, tmp_path):
    line = f"server:/x {str(tmp_path).replace(' ', chr(92) + '040')} {kind} rw 0 0\n"
    monkeypatch.setattr(sqlite, "mounts", lambda: MOUNTS + line)
    for opened in (open_storage, lambda study: hold(study).__enter__()):
        with pytest.raises(StudyError) as raised:
            opened(made)
        message = str(raised.value)
        assert message.startswith(f"runs/s: lies on a network file system ({kind}), where SQLite")
        assert "by this line in s.yaml: storage: {url: postgresql://USER@HOST/DATABASE}" in message
    assert not Path("runs").exists()


def test_links_do_not_hide_a_network_file_system(made, monkeypatch, tmp_path):
    (tmp_path / "far").mkdir()
    Path("runs").symlink_to(tmp_path / "far")
    line = f"server:/x {tmp_path}/far nfs rw 0 0\n"
    monkeypatch.setattr(sqlite, "mounts", lambda: MOUNTS + line)
    with pytest.raises(StudyError, match=r"network file system \(nfs\)"):
        open_storage(made)


def test_the_mounts_of_this_machine_can_be_read():
    network_file_system(Path.cwd(), sqlite.mounts())
    if sys.platform == "linux":
        assert " / " in sqlite.mounts()


def test_a_full_disk_is_told_from_a_broken_one_and_the_write_tried_again(made, monkeypatch):
    opened = open_storage(made)
    stored = optuna.create_study(storage=opened, study_name="s")

    def limit(pages: int) -> None:
        with opened.engine.connect() as connection:
            connection.execute(text(f"PRAGMA max_page_count = {pages}"))

    limit(1)
    with pytest.raises(DiskFullError) as full, writing():
        stored.set_user_attr("x", "y" * 100_000)
    assert str(full.value) == "the disk of the study's database is full (database or disk is full)"
    limit(10_000)
    with writing():
        stored.set_user_attr("x", "z")
    assert opened.get_study_user_attrs(1) == {"x": "z"}
    close(opened)


@pytest.mark.parametrize(
    ("code", "raised"),
    [(errno.ENOSPC, DiskFullError), (errno.EDQUOT, DiskFullError), (errno.EIO, LedgerLostError)],
)
def test_an_error_of_the_disk_is_a_full_disk_only_where_nothing_else_can_be_written(
    code, raised, monkeypatch, tmp_path
):
    def broken(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    with pytest.raises(LedgerLostError, match="disk I/O error"), writing(tmp_path):
        raise OperationalError("INSERT", {}, error)
    monkeypatch.setattr(database.os, "fsync", broken)
    with pytest.raises(raised, match="disk I/O error"), writing(tmp_path):
        raise OperationalError("INSERT", {}, error)


def test_a_database_that_is_taken_away_is_lost_in_one_line(made):
    opened = open_storage(made)
    stored = optuna.create_study(storage=opened, study_name="s")
    close(opened)
    Path("runs").rename("elsewhere")
    with pytest.raises(LedgerLostError) as lost, writing():
        stored.set_user_attr("x", 1)
    assert str(lost.value) == "the study's database is lost: unable to open database file"
    assert not Path("runs").exists()
    close(opened)


def test_mistakes_of_the_program_are_not_called_a_lost_database(made):
    opened = open_storage(made)
    stored = optuna.create_study(storage=opened, study_name="s")
    (trial,) = [stored.ask()._trial_id]
    opened.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError), writing():
        opened.set_trial_user_attr(trial, "x", 1)
    with pytest.raises(IntegrityError), writing(), opened.engine.begin() as connection:
        connection.execute(text("INSERT INTO studies (study_name) VALUES ('s')"))
    close(opened)


def test_a_missing_driver_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    far = study("storage: {url: 'postgresql://me:hunter2@127.0.0.1:1/db'}\n")
    for opened in (open_storage, read_storage, lambda study: hold(study).__enter__()):
        with pytest.raises(StudyError) as raised:
            opened(far)
        assert str(raised.value) == (
            "s.yaml:3:16: the database postgresql://me:***@127.0.0.1:1/db cannot be used:"
            " the driver psycopg is missing: pip install 'sret-search[postgres]'"
        )


def test_a_url_without_a_port_number_is_refused_where_it_stands():
    far = study("storage: {url: 'postgresql://me:hunter2@127.0.0.1:five/db'}\n")
    with pytest.raises(StudyError) as raised:
        open_storage(far)
    assert str(raised.value) == (
        "s.yaml:3:16: postgresql://USER@HOST:PORT/DATABASE is needed,"
        " but got postgresql://me:***@127.0.0.1:five/db"
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("postgresql://me:hunter2@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql+psycopg://me:hunter2@host", "postgresql+psycopg://me:***@host"),
        ("at postgresql://:hunter2@host/db: gone", "at postgresql://:***@host/db: gone"),
        ("postgresql://me:hun@ter/2@host/db", "postgresql://me:***@host/db"),
        ('got "mysql://me:hun ter2@host/db", sorry', 'got "mysql://me:***@host/db", sorry'),
        ('got "postgresql://me:hunter2hunter2..."', 'got "postgresql://me:***..."'),
        ("postgresql://h/db?password=hunter2&x=1", "postgresql://h/db?password=***&x=1"),
        ("s3://key:hunter2@store/x and pg://a:hunter2@b", "s3://key:***@store/x and pg://a:***@b"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("http://host:8265/x of a trial", "http://host:8265/x of a trial"),
        ("study.yaml:3:5: me@host", "study.yaml:3:5: me@host"),
    ],
)
def test_passwords_are_masked_wherever_they_stand(given, kept):
    assert masked(given) == kept
    assert masked(kept) == kept
    assert str(StudyError(given)) == kept
    assert Problem(given, Path("s.yaml"), 1, 2).message == kept


def test_a_wrong_url_in_a_file_is_quoted_without_its_password():
    wrong = "storage: {url: 'postgres://me:hunter2@host/db'}\n"
    with pytest.raises(StudyError) as raised:
        study(wrong)
    assert "hunter2" not in str(raised.value)
    assert 'postgres://me:***@host/db" is not of the form' in str(raised.value)
