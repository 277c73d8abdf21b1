"""What a trial costs outside its training, beside Ray Tune as it comes, in one run.

    python benchmarks/trial_overhead.py                 # 2 CPU cores: some 3 minutes
    python benchmarks/trial_overhead.py --soak 10000    # 10,000 trials: some 20 minutes more

Trials train nothing: the worker writes a made-up result as a real one is written. All else is as
always: the sampler's ask, the ledger's commits, the trial's folders, Ray, progress, and the
driver's own work, for two trials at a time whose processes are warm. Ray Tune's default is a
function trainable with OptunaSearch, its loggers and folders, in the same run.

Writes benchmarks/results/trial_overhead_<hardware>_<date>.json and prints the same figures
last, as one JSON object. All are seconds of wall time from one end of a trial to the next, the
first ones left out; with two slots the machine spends twice that.

    seconds_per_trial              random sampling
    seconds_per_trial_tpe, _nsga2  the other samplers
    ray_default_seconds_per_trial  Ray Tune's default
    soak                           the driver's memory (MB) after 100 trials and at the end, the
                                   slowest percentile of ask plus tell (seconds), and how long
                                   the finished study takes to resume (seconds), for each sampler
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {low: 1, high: 8}
  stages.*.mlp_ratio: {low: 1.0, high: 4.0}
  residual.kind: {choices: [lrc, scaled, layerscale]}
  recipe.lr: {low: 1e-4, high: 1e-2, log: true}
  recipe.weight_decay: {low: 1e-3, high: 1e-1, log: true}
"""
STUDY = """\
study: NAME
space: space.yaml
search: {sampler: SAMPLER, trials: TRIALS}
compute: {concurrent: 2}
"""
_NSGA2 = "optuna.samplers:NSGAIISampler, options: {population_size: 16}"
_WARM = 20
"""Trials at the start that do not count: processes start meanwhile."""


def pretend(config: dict[str, Any]) -> None:
    """What a worker does for a trial, but the training."""
    from ray import tune

    from sret_search.artifacts.names import RESULT, WORKER
    from sret_search.execution import messages
    from sret_search.job import Job
    from sret_search.training.results import EpochMetrics, FinalEvaluation, TrainingResult
    from sret_search.writing import write_json

    order = messages.AttemptOrder.from_dict(config)
    attempt, job = Path(order.attempt), Job.from_dict(json.loads(order.job))
    write_json(attempt / WORKER, {"pid": os.getpid()})
    # As if lr 1e-3 and deep models were good, so that samplers have something to learn from.
    accuracy = 0.9 - abs(job.recipe.lr - 1e-3) + job.architecture.loops / 100
    epoch = EpochMetrics(
        epoch=1, step=1, train_loss=1.0, val_loss=1.0, val_accuracy=accuracy, seconds=0.0
    )
    tune.report(messages.to_dict(epoch))
    result = TrainingResult(
        end=FinalEvaluation(accuracy, 1.0, accuracy, 1.0, ()), job=job.identity, epochs=1, steps=1,
        seconds=0.0, train_macs=0, history=(epoch,), environment={"torch": "none"},
    )  # fmt: skip
    write_json(attempt / RESULT, result.to_dict())
    tune.report(messages.to_dict(messages.AttemptEnded()))


def study(name: str, sampler: str, trials: int) -> Any:
    from sret_search.study import load_study

    Path("space.yaml").write_text(SPACE)
    text = STUDY.replace("NAME", name).replace("SAMPLER", sampler).replace("TRIALS", str(trials))
    Path(f"{name}.yaml").write_text(text)
    return load_study(Path(f"{name}.yaml"))


@contextlib.contextmanager
def timed(spent: list[float], *functions: tuple[Any, str]) -> Iterator[None]:
    """Measure every call of some methods."""
    kept = [(owner, name, getattr(owner, name)) for owner, name in functions]
    for owner, name, method in kept:

        def measured(*args: Any, _method: Callable[..., Any] = method, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            try:
                return _method(*args, **kwargs)
            finally:
                spent.append(time.perf_counter() - begun)

        setattr(owner, name, measured)
    try:
        yield
    finally:
        for owner, name, method in kept:
            setattr(owner, name, method)


def ours(name: str, sampler: str, trials: int) -> float:
    """Seconds a trial."""
    from sret_search.execution.run import search
    from sret_search.trials import lease
    from sret_search.trials.ledger import Ledger

    made = study(name, sampler, trials)
    with lease.hold(made) as held:
        ledger = Ledger.create(made, held)
        outcome = search(made, ledger, pretend)
        assert outcome.complete, outcome
        ended = sorted(e.ended.timestamp() for e in ledger.entries() if e.ended is not None)
        ledger.close()
    return (ended[-1] - ended[_WARM]) / (len(ended) - 1 - _WARM)


def rays(trials: int) -> float:
    """Seconds a trial of Ray Tune's default."""
    code = f"""
import time, optuna, ray
from ray import tune
from ray.tune.search.optuna import OptunaSearch
optuna.logging.set_verbosity(optuna.logging.ERROR)
class Ended(tune.Callback):
    def on_trial_complete(self, iteration, trials, trial, **info):
        with open("{Path.cwd()}/ended", "a") as file:
            print(time.time(), file=file)
def trainable(config):
    tune.report({{"accuracy": config["lr"]}})
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
space = {{"lr": tune.loguniform(1e-4, 1e-2), "decay": tune.loguniform(1e-3, 1e-1),
         "loops": tune.randint(1, 9), "ratio": tune.uniform(1, 4),
         "residual": tune.choice(["lrc", "scaled", "layerscale"])}}
search = OptunaSearch(metric="accuracy", mode="max", sampler=optuna.samplers.RandomSampler())
tune.Tuner(trainable, param_space=space,
    tune_config=tune.TuneConfig(num_samples={trials}, search_alg=search, max_concurrent_trials=2),
    run_config=tune.RunConfig(storage_path="{Path.cwd()}/ray", verbose=0, callbacks=[Ended()])).fit()
ended = [float(line) for line in open("{Path.cwd()}/ended")]
print("SECONDS", (ended[-1] - ended[3]) / (len(ended) - 4))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    found = re.search(r"SECONDS (\S+)", done.stdout)
    if found is None:
        raise SystemExit(done.stderr)
    return float(found.group(1))


def apart(step: str, sampler: str, trials: int) -> dict[str, float]:
    """What a step prints, in a process of its own: Ray starts once in each."""
    code = f"import trial_overhead; trial_overhead.{step}({sampler!r}, {trials})"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    printed: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return printed


def timed_alone(sampler: str, trials: int) -> None:
    name = re.sub(r"\W+", "_", sampler).strip("_")
    print(json.dumps({"seconds": ours(name, sampler, trials)}))


def soaked(sampler: str, trials: int) -> None:
    from sret_search.execution.worker import resident_bytes
    from sret_search.search.samplers import build
    from sret_search.trials import ledger

    spent: list[list[float]] = [[], [], []]
    memory: list[float] = []
    kind = type(build.build(study("soak", sampler, trials)))
    tell = ledger.Ledger.tell

    def watched(self: Any, *args: Any) -> Any:
        memory.append(resident_bytes() / 1e6)
        return tell(self, *args)

    ledger.Ledger.tell = watched  # type: ignore[method-assign]
    with (
        timed(spent[0], (kind, "ask")),
        timed(spent[1], (ledger.Ledger, "begin")),
        timed(spent[2], (ledger.Ledger, "tell")),
    ):
        each = ours("soak", sampler, trials)
    last = [sum(sorted(s[-1000:])[len(s[-1000:]) // 2] for s in spent)]
    slow = sum(sorted(s[-1000:])[int(0.99 * len(s[-1000:]))] for s in spent)
    print(json.dumps({
        "seconds_per_trial": each, "megabytes_after_100": memory[100],
        "megabytes_at_end": memory[-1], "megabytes_most": max(memory),
        "ask_and_tell_median_of_last_1000": last[0], "ask_and_tell_99th_percentile": slow,
    }))  # fmt: skip


def resumed(sampler: str, trials: int) -> None:
    from sret_search.run import main

    begun = time.perf_counter()
    assert main(["soak.yaml"]) == 0
    print(json.dumps({"resume_seconds": time.perf_counter() - begun}))


def hardware() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    words = re.findall(r"[a-z0-9]+", model.group(1).lower()) if model else ["cpu"]
    return f"{'-'.join(words[:2])}-{len(os.sched_getaffinity(0))}-cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=300, help="of each sampler (300)")
    parser.add_argument("--soak", type=int, default=0, help="trials of the long run (none)")
    arguments = parser.parse_args()
    results = Path(__file__).parent / "results"
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        figures: dict[str, Any] = {
            "ray_default_seconds_per_trial": rays(20),
            "seconds_per_trial": apart("timed_alone", "random", arguments.trials)["seconds"],
            "seconds_per_trial_tpe": apart("timed_alone", "tpe", arguments.trials)["seconds"],
            "seconds_per_trial_nsga2": apart("timed_alone", _NSGA2, arguments.trials)["seconds"],
            "trials": arguments.trials,
        }
        if arguments.soak:
            figures["soak"] = {
                sampler: {"trials": arguments.soak} | soak(sampler, arguments.soak)
                for sampler in ("random", _NSGA2)
            }
        os.chdir(results)
    name = f"trial_overhead_{hardware()}_{datetime.date.today():%Y%m%d}.json"
    (results / name).write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))


def soak(sampler: str, trials: int) -> dict[str, float]:
    """Many trials, then the resume of the finished study, in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return apart("soaked", sampler, trials) | apart("resumed", sampler, trials)


if __name__ == "__main__":
    main()
