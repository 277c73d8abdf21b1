"""Faults at exact moments of a program that knows nothing of them, and a record of its steps.

Python imports a module of this name at the start of every process that has its folder on
PYTHONPATH: the driver, and Ray's workers, which inherit the variable. It does something only
where KILL_BOX names a folder, in which are

    faults.json   what is to happen, one after the other: each waits for the one before it
    fault-<i>     that fault i has happened, made so that it happens once, whoever comes first
    held-<i>, go-<i>   that fault i holds a process, and that it may go on
    events.jsonl  what trainings did: which attempt began, at which step, went on, saved, had
                  forced what it saved to disk, ended

A fault is {"where": "module:function:before" or ":after", "match": a pattern of one of its
arguments, "inside": a function that must be on the stack, "who": "driver" or "worker", "n": at
which such call, "of": "a later run" where it must not meet the run that the fault before it met, "do": [[action,
argument …], …]}.
"""

import functools
import importlib.abc
import importlib.machinery
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

_RECORDED = {
    "sret_search.training.train:train_as",
    "sret_search.training.trainer:Trainer.load_state_dict",
    "sret_search.training.trainer:Trainer.save",
    "sret_search.training.trainer:Trainer.steps",
    "os:replace",
}

attempt = ""


class Injector(importlib.abc.MetaPathFinder):
    """Wraps the functions that faults name, as soon as their modules are there."""

    def __init__(self, box: Path) -> None:
        self.box = box
        self.faults: list[dict[str, Any]] = json.loads((box / "faults.json").read_text())
        self.driver = int(os.environ.setdefault("KILL_DRIVER", str(os.getpid())))
        self.calls = [0] * len(self.faults)
        functions = _RECORDED | {fault["where"].rsplit(":", 1)[0] for fault in self.faults}
        self.wanted: dict[str, list[str]] = {}
        for module, name in (function.split(":") for function in functions):
            self.wanted.setdefault(module, []).append(name)
        for module in sys.modules.keys() & self.wanted.keys():
            self.wrap(sys.modules[module])

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self.wanted:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                self.hook(spec.loader)
                return spec
        return None

    def hook(self, loader: Any) -> None:
        execute = loader.exec_module

        def execute_and_wrap(module: ModuleType) -> None:
            execute(module)
            self.wrap(module)

        loader.exec_module = execute_and_wrap

    def wrap(self, module: ModuleType) -> None:
        for name in self.wanted[module.__name__]:
            owner: Any = module
            *outer, last = name.split(".")
            for part in outer:
                owner = getattr(owner, part)
            setattr(owner, last, self.wrapped(f"{module.__name__}:{name}", getattr(owner, last)))

    def wrapped(self, where: str, function: Callable[..., Any]) -> Callable[..., Any]:
        if where.endswith(":Trainer.steps"):
            return recording_steps(self, function)

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            self.record(where, "before", arguments)
            self.reach(f"{where}:before", arguments)
            result = function(*arguments, **named)
            self.record(where, "after", arguments)
            self.reach(f"{where}:after", arguments)
            return result

        return call

    def record(self, where: str, when: str, arguments: Sequence[Any]) -> None:
        """Write down what a training does."""
        global attempt
        name = where.rsplit(":", 1)[1]
        if (name, when) == ("train_as", "before"):
            attempt = str(arguments[4])
            self.log("begun")
        elif (name, when) == ("Trainer.load_state_dict", "after"):
            self.log("continued", arguments[0].step)
        elif (name, when) == ("Trainer.save", "after"):
            self.log("forced", arguments[0].step)
        elif (name, when) == ("replace", "after"):
            target = Path(str(arguments[1]))
            if target.match("checkpoint-*.pt"):
                self.log("saved", int(target.stem.removeprefix("checkpoint-")))
            elif target.name == "result.json":
                self.log("ended")

    def log(self, what: str, step: int = 0) -> None:
        event = {"what": what, "attempt": attempt, "step": step, "time": time.monotonic()}
        file = os.open(self.box / "events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{json.dumps(event)}\n".encode())
        os.close(file)

    def reach(self, where: str, arguments: Sequence[Any]) -> None:
        """Let the fault happen whose turn it is, if this is its moment."""
        for i, fault in enumerate(self.faults):
            if fault["where"] != where or (self.box / f"fault-{i}").exists():
                continue
            before = self.box / f"fault-{i - 1}"
            if i > 0 and not before.exists():
                return
            if fault.get("of") == "a later run":
                happened = before.read_text()
                if not happened or json.loads(happened)["driver"] == self.driver:
                    return
            # The driver works in a child of the process that was started.
            who = "driver" if self.driver in (os.getpid(), os.getppid()) else "worker"
            if who != fault.get("who", who) or not _matches(fault, arguments):
                return
            self.calls[i] += 1
            if self.calls[i] >= fault.get("n", 1):
                self.happen(i, fault, arguments)
            return

    def happen(self, i: int, fault: dict[str, Any], arguments: Sequence[Any]) -> None:
        try:
            file = os.open(self.box / f"fault-{i}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return
        told = {"time": time.monotonic(), "attempt": attempt, "pid": os.getpid()}
        told["driver"] = self.driver
        os.write(file, json.dumps(told).encode())
        os.close(file)
        at_hand = Path(str(arguments[fault["where"].endswith(":after")])) if arguments[1:] else None
        for action, *rest in fault["do"]:
            if action == "kill":
                self.kill(*rest)
            elif action == "truncate":
                assert at_hand is not None
                os.truncate(at_hand, int(at_hand.stat().st_size * rest[0]))
            elif action == "blank":
                assert at_hand is not None
                at_hand.write_bytes(bytes(at_hand.stat().st_size))
            elif action == "shorten":
                path, by = Path(rest[0]), rest[1]
                os.truncate(path, max(path.stat().st_size - by, 0))
            elif action == "fill":
                _fill(Path(rest[0]))
            elif action == "raise":
                raise OSError(*rest) if len(rest) > 1 else RuntimeError(*rest)
            elif action == "storm":
                self.storm()
            elif action == "hold":
                (self.box / f"held-{i}").touch()
                while not (self.box / f"go-{i}").exists():
                    time.sleep(0.02)
            else:
                raise ValueError(action)

    def storm(self) -> None:
        """Ask the driver to stop, again and again until it has ended."""
        code = (
            "import os, sys, time, signal\n"
            "try:\n"
            "    while True: os.kill(int(sys.argv[1]), signal.SIGTERM); time.sleep(0.05)\n"
            "except ProcessLookupError: pass"
        )
        environment = {k: v for k, v in os.environ.items() if k != "KILL_BOX"}
        subprocess.Popen(
            [sys.executable, "-c", code, str(self.driver)], env=environment, start_new_session=True
        )

    def kill(self, who: str) -> None:
        """Kill this process, it and those beside it, the driver, a server of Ray by its name, or
        all that there is."""
        if who == "self":
            os.kill(os.getpid(), signal.SIGKILL)
        elif who == "ranks":
            for pid in _descendants(os.getppid()):
                if pid != os.getpid():
                    os.kill(pid, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        elif who == "driver":
            os.kill(self.driver, signal.SIGKILL)
        else:
            others = [pid for pid in _descendants(self.driver) if pid != os.getpid()]
            for pid in others:
                with suppress(OSError):
                    name = Path(f"/proc/{pid}/comm").read_text().strip()
                    if who in ("all", name):
                        os.kill(pid, signal.SIGKILL)
            if who == "all":
                os.kill(self.driver, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)


def recording_steps(injector: Injector, steps: Callable[..., Iterator[None]]) -> Any:
    @functools.wraps(steps)
    def recorded(trainer: Any) -> Iterator[None]:
        for _ in steps(trainer):
            injector.log("step", trainer.step)
            yield

    return recorded


def _matches(fault: dict[str, Any], arguments: Sequence[Any]) -> bool:
    if "match" in fault and not any(fnmatch(str(a), fault["match"]) for a in arguments):
        return False
    frame = sys._getframe() if "inside" in fault else None
    while frame is not None and frame.f_code.co_name != fault["inside"]:
        frame = frame.f_back
    return "inside" not in fault or frame is not None


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found: list[int] = []
    queue = [pid]
    while queue:
        queue += (new := children.get(queue.pop(), []))
        found += new
    return found


def _fill(path: Path) -> None:
    """Take all the room that a disk has left."""
    with path.open("wb") as file, suppress(OSError):
        for size in (2**20, 2**12):
            with suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)


if "KILL_BOX" in os.environ:
    sys.meta_path.insert(0, Injector(Path(os.environ["KILL_BOX"])))
