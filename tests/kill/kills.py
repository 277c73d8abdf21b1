"""A study that is run, disturbed by faults, and held against one that nothing disturbed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import postgres_server
from optuna.storages import RDBStorage

HERE = Path(__file__).parent
STUDIES = ("grid_eager", "grid_strict", "random_eager", "random_strict", "tpe_strict",
           "nsga2_strict")  # fmt: skip
"""Study files. Samplers that learn need strict order for a table that is always the same."""
SCHEDULED = "mo_asha_strict"
"""Another one, under a scheduler, where each promotion is another attempt."""

RANKED = "ranked"
"""Another one, whose trials are trained by two processes each."""

INTERVAL = 0.05
"""Seconds between checkpoints, as the study files have it."""
_SLACK = 0.1
_PATIENCE = 600.0
"""Seconds that a run may take on a machine that does other things, too."""

_FULL = 60.0
"""Seconds that a disk stays full where the run does not say so."""

Fault = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """How a run of the command ended."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass
class Box:
    """A study in a working folder of its own.

    Args:
        folder: for what is noted of the runs, and for the working folder.
        study: the name of a study file.
        faults: what happens to it, one after the other, over all runs; see `faults/`.
        work: another working folder.
        server: a PostgreSQL server that keeps the ledger, instead of a file.

    Attributes:
        refused: seconds after which a second driver ended, each time.
        pauses: what was said while the disk was full or the server away, each time.
        paused: lines of that kind so far in the run.
    """

    folder: Path
    study: str
    faults: Sequence[Fault] = ()
    work: Path = Path()
    server: postgres_server.Server | None = None
    runs: list[Run] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    pauses: list[str] = field(default_factory=list)
    paused: int = 0

    def __post_init__(self) -> None:
        if self.work == Path():
            self.work = self.folder / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        self.control = self.folder / "control"
        self.control.mkdir(parents=True)
        faults = json.dumps(self.faults).replace("{work}", str(self.work))
        (self.control / "faults.json").write_text(faults.replace("{state}", str(self.state)))
        self.file = HERE / "studies" / f"{self.study}.yaml"
        self.url = f"sqlite:///{self.state / 'study.db'}"
        if self.server is not None:
            self.url = self.server.url()
            text = self.file.read_text().replace("space: ", f"space: {HERE}/studies/")
            self.file = self.folder / self.file.name
            self.file.write_text(f"{text}storage: {{url: '{self.url}'}}\n")

    @property
    def state(self) -> Path:
        return self.work / "runs" / self.study

    def start(self, *, disturbed: bool = True) -> subprocess.Popen[str]:
        """Start the command; what it says goes into files, which orphans may hold open."""
        environment = dict(os.environ)
        if disturbed:
            environment["KILL_BOX"] = str(self.control)
            paths = [str(HERE / "faults"), os.environ.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        number = len(list(self.control.glob("*.out")))
        files = [self.control / f"{number}.{kind}" for kind in ("out", "err")]
        with files[0].open("w") as out, files[1].open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "sret_search.run", str(self.file)],
                cwd=self.work, env=environment, stdout=out, stderr=err, text=True,
            )  # fmt: skip
        process.said = files  # type: ignore[attr-defined]
        process.began = time.monotonic()  # type: ignore[attr-defined]
        return process

    def end(self, process: subprocess.Popen[str]) -> Run:
        """Wait for the end of a run; answer meanwhile what faults wait for."""
        deadline = time.monotonic() + _PATIENCE
        while process.poll() is None:
            if time.monotonic() > deadline:
                process.kill()
                raise AssertionError(f"the run did not end: {said(process)}")
            self.start_second_drivers(process)
            self.make_room(process)
            self.stop_server(process)
            time.sleep(0.05)
        seconds = time.monotonic() - process.began  # type: ignore[attr-defined]
        self.runs.append(Run(process.returncode, *said(process), seconds))
        return self.runs[-1]

    def start_second_drivers(self, first: subprocess.Popen[str]) -> None:
        """While a fault holds the first driver, start a second: it is told who is there."""
        if self.server is not None:
            return
        for held in self.control.glob("held-*"):
            go_on = held.with_name(held.name.replace("held", "go"))
            if not go_on.exists():
                second = self.start(disturbed=False)
                code = second.wait(_PATIENCE)
                out, err = said(second)
                assert code == 3, (out, err)
                assert f"{self.study} is held by process {first.pid} on " in err
                assert len(err.splitlines()) == 1
                self.refused.append(time.monotonic() - second.began)  # type: ignore[attr-defined]
                go_on.touch()

    def make_room(self, process: subprocess.Popen[str]) -> None:
        """Where a fault filled the disk, wait until the run says so; then take the filler away."""
        filler = self.work / "filler"
        if not filler.exists():
            return
        if (line := self.new_pause(process)) or time.time() - filler.stat().st_mtime > _FULL:
            time.sleep(1.0)
            filler.unlink()
            self.pauses.append(line)

    def stop_server(self, process: subprocess.Popen[str]) -> None:
        """Where a fault waits for the server to be away, stop it until the run says so."""
        for waits in self.control.glob("held-*"):
            go_on = waits.with_name(waits.name.replace("held", "go"))
            if self.server is not None and not go_on.exists():
                self.server.stop()
                go_on.touch()
                deadline = time.monotonic() + _FULL
                while not (line := self.new_pause(process)) and time.monotonic() < deadline:
                    time.sleep(0.05)
                self.pauses.append(line)
                self.server.start()

    def new_pause(self, process: subprocess.Popen[str]) -> str:
        """The first line that the run said of a pause since the last one; empty if none."""
        lines = [line for line in said(process)[0].splitlines() if line.startswith("paused: ")]
        new = lines[self.paused :]
        self.paused = len(lines)
        return new[0] if new else ""

    def finish(self) -> Run:
        """Run the command until the study is complete; only faults may end it before."""
        while True:
            before = len(self.fired)
            run = self.end(self.start())
            if run.code == 0:
                assert run.err == ""
                break
            assert run.code in (-signal.SIGKILL, 3), run
            assert len(self.fired) > before, f"ended by itself: {run}"
            assert "Traceback" not in run.err, run.err
        assert len(self.fired) == len(self.faults), f"happened: {self.fired}, of {self.faults}"
        return run

    @property
    def fired(self) -> list[dict[str, Any]]:
        """The faults that happened."""
        paths = (self.control / f"fault-{i}" for i in range(len(self.faults)))
        return [json.loads(path.read_text()) for path in paths if path.exists()]

    @property
    def torn(self) -> set[str]:
        """The attempts that a fault damaged the last file of."""
        happened = zip(self.faults, self.fired, strict=False)
        damaging = {"truncate", "blank"}
        return {
            told["attempt"]
            for fault, told in happened
            if fault["where"].endswith(":after") and damaging & {do[0] for do in fault["do"]}
        }

    @property
    def seconds(self) -> float:
        return sum(run.seconds for run in self.runs)

    # What there is of the study

    def table(self) -> pd.DataFrame:
        """The table of the report, as text, without what a kill may change: how long a trial
        took, and how often it was begun."""
        table = pd.read_csv(self.work / "reports" / self.study / "trials.csv", dtype=str)
        return table.drop(columns=["seconds", "attempts"])

    def ledger(self) -> list[dict[str, Any]]:
        """The trials in the database, but for the same."""
        storage = RDBStorage(self.url)
        study = optuna.load_study(study_name=self.study, storage=storage)
        rows = []
        for trial in study.trials:
            notes = {
                name: trial.user_attrs[name] for name in trial.user_attrs.keys() - {"failures"}
            }
            outcome = dict(notes.pop("outcome"))
            for name in ("seconds", "attempts", "ended", "digest"):
                outcome.pop(name)
            outcome["history"] = [dict(e, seconds=None) for e in outcome.get("history", [])]
            for told in (notes, outcome):
                rungs = told.get("rungs", {}).items()
                told["rungs"] = {epoch: dict(rung, seconds=None) for epoch, rung in rungs}
            rows.append(
                {"number": trial.number, "state": trial.state.name, "values": trial.values,
                 "params": trial.params, "notes": notes, "outcome": outcome}
            )  # fmt: skip
        storage.remove_session()
        storage.engine.dispose()
        return rows

    def weights(self) -> dict[str, str]:
        """Digests of the trained weights, by trial."""
        found = {}
        for result in sorted(self.state.glob("trials/*/*/result.json")):
            weights = (result.parent / "model.safetensors").read_bytes()
            found[result.parent.parent.name] = hashlib.sha256(weights).hexdigest()
        return found

    def attempts(self) -> dict[int, int]:
        """How often each trial was begun, by its folders."""
        counts: dict[int, int] = defaultdict(int)
        for worker in self.state.glob("trials/*/*/worker.json"):
            counts[int(worker.parent.parent.name)] += 1
        return dict(counts)

    def check_same(self, golden: Box) -> None:
        """The table of the undisturbed study to the last bit, each trial told once, its attempts
        counted, and none begun again that had a whole result."""
        pd.testing.assert_frame_equal(self.table(), golden.table())
        assert self.ledger() == golden.ledger()
        assert self.weights() == golden.weights()
        table = pd.read_csv(self.work / "reports" / self.study / "trials.csv")
        assert dict(zip(table.trial, table.attempts, strict=True)) == self.attempts()
        assert list((self.state / "trials").glob("*/*/*.partial")) == []
        self.check_nothing_left()

    def check_nothing_left(self) -> None:
        """Every process of the runs ends, also where its driver was killed."""
        deadline = time.monotonic() + 90
        while found := self.processes():
            assert time.monotonic() < deadline, f"still there: {found}"
            time.sleep(0.1)

    def processes(self) -> dict[int, str]:
        """Processes that were started by the runs."""
        mark = f"KILL_BOX={self.control}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "comm").read_text().strip()
        return found

    # What was lost

    def events(self) -> list[dict[str, Any]]:
        """What trainings did, in the order of time, as `faults/` recorded it."""
        path = self.control / "events.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return sorted((json.loads(line) for line in lines), key=lambda event: event["time"])

    def check_lost(self) -> float:
        """The most seconds of training that a kill took from a trial; no more than a step beyond
        the interval between two checkpoints. Where the last one was torn, the one before it
        counts."""
        torn = self.torn
        trials: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        for event in self.events():
            trials[str(Path(event["attempt"]).parent)][event["attempt"]].append(event)
        most = 0.0
        for attempts in trials.values():
            numbered = sorted(attempts, key=lambda name: int(name.rsplit("-", 1)[1]))
            for i, name in enumerate(numbered[1:], 1):
                begun, *rest = attempts[name]
                assert begun["what"] == "begun"
                if not rest:
                    continue  # it was killed, with all others, before it looked where to go on
                start = next((e for e in rest if e["what"] == "continued"), {"step": 0} | begun)
                earlier = [event for other in numbered[:i] for event in attempts[other]]
                ended = [e for e in earlier if e["what"] == "ended" and e["time"] < begun["time"]]
                assert not ended or ended[-1]["attempt"] in torn, "a whole result, and begun again"
                most = max(most, _lost(earlier, begun["time"], start, torn))
        return most


def _lost(
    earlier: list[dict[str, Any]], begun: float, start: dict[str, Any], torn: set[str]
) -> float:
    """Seconds of training that earlier attempts did beyond where the next one went on."""
    saved = [e for e in earlier if e["what"] == "saved"]
    # A worker without a driver goes on for a while, perhaps until after the next one looked.
    known = sorted({e["step"] for e in saved if e["time"] < begun})
    possible = {0} | {e["step"] for e in saved if e["time"] < start["time"]}
    damaged = {e["attempt"]: e["step"] for e in saved if e["attempt"] in torn}
    newest = known[-1] if known else 0
    if damaged and newest == max(damaged.values()):
        whole = [e["step"] for e in saved if damaged.get(e["attempt"]) != e["step"]]
        # Of some the result was torn, not the last checkpoint.
        assert start["step"] in (max(whole, default=0), newest), "the newest whole checkpoint"
        return 0.0
    assert start["step"] >= newest, f"went on at {start['step']}, though {newest} was saved"
    assert start["step"] in possible
    last = earlier[-1]["attempt"]
    steps = [e for e in earlier if e["what"] == "step" and e["attempt"] == last]
    steps = [e for e in steps if e["step"] > start["step"] and e["time"] < begun]
    if not steps:
        return 0.0
    # The interval to the next checkpoint begins when this one is forced to disk, which takes as
    # long as others keep the disk busy.
    own = [
        event["time"]
        for event in earlier
        if event["what"] in ("saved", "forced")
        and (event["attempt"], event["step"]) == (last, start["step"])
    ]
    since = max(own, default=steps[0]["time"])
    if len(steps) > 1:
        assert steps[-2]["time"] - since <= INTERVAL + _SLACK, "more than an interval is lost"
    return steps[-1]["time"] - since


def said(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What a run has said so far: its output and its errors."""
    out, err = process.said  # type: ignore[attr-defined]
    return out.read_text(), err.read_text()


Golden = Callable[[str], Box]
"""The box of a study that nothing disturbed."""
Told = Callable[[str, list[str], Box], dict[str, Any]]
"""Puts a row into the table of the matrix; what comes into the row later is shown, too."""
