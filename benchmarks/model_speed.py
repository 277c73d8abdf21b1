"""Training and inference speed of the model beside a plain eager SReT, in one run.

    python benchmarks/model_speed.py                 # 2 CPU cores: some 10 minutes, 20 GB
    python benchmarks/model_speed.py --device cuda   # bfloat16 autocast on both sides

Needs torch alone. Writes benchmarks/results/model_speed_<hardware>_<date>.json
and prints the same figures last, as one JSON object:

    train_speedup      SReT-T at 224 pixels, batch 16: seconds of the plain model's training step
                       over ours; medians of steps that were taken in turn
    matmul_efficiency  multiply-adds of our step a second, over those of large matrix products
                       that were timed between the steps
    deep_memory_ratio  1000 executions of width 64 on 64 tokens, batch 32: our peak over the
                       plain model's; resident memory of a process of its own (or of the GPU)
    deep_speedup       the same network: seconds of the plain model's steps over ours, without
                       the first one; `deep_first_speedup` is of the first, in which the
                       system hands out the memory
    backprop_time_ratio, backprop_memory_ratio
                       1000 loops of one such block, with its NLL: a training step with
                       gradients through the last 50 loops over one through all, both with all
                       activations kept; each in a process of its own
    latency            milliseconds of one forward pass at batches 1 and 64
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))  # a checkout will do, without installing

from plain_sret import PlainSReT

from sret_search.architecture import NLL, Architecture, Stage
from sret_search.architecture.variants import VARIANTS
from sret_search.cost import cost
from sret_search.machine.allocator import variables
from sret_search.model import SReT, map_large_blocks

RESULTS = Path(__file__).parent / "results"
KINDS = ("plain", "ours")
SRET_T = VARIANTS["sret_t"]
DEEP = Architecture(
    image_size=64, in_channels=3, classes=1000, stem_strides=(2, 2, 2),
    stages=(Stage(width=64, heads=2, unique=10, loops=100, mlp_ratio=3.6),),
)  # fmt: skip
LOOPED = replace(DEEP, stages=(replace(DEEP.stages[0], unique=1, loops=1000),), nll=NLL("block"))
BACKPROP = {"all": None, "last_50": 50}
DEEP_BUDGET = 2**28
DEEP_STEPS = 3
MATRIX = 2048


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    if arguments.serve:
        serve(arguments.serve, arguments.device)
        return
    if arguments.looped:
        print(json.dumps(looped(arguments.looped, arguments.device)))
        return
    if arguments.deep:
        print(json.dumps(deep(arguments.deep, arguments.device)))
        return
    figures: dict[str, Any] = {"hardware": hardware(arguments.device)}
    figures["allocator"] = "jemalloc" if variables() else "the system's"
    say("training and inference of SReT-T")
    figures |= training(arguments)
    if arguments.device == "cuda":
        figures |= deep_on_a_gpu()
    say("1000 executions")
    figures |= deep_in_processes(arguments)
    say("1000 loops, with gradients through all and through the last 50")
    figures |= looped_in_processes(arguments)
    RESULTS.mkdir(exist_ok=True)
    name = re.sub(r"\W+", "-", figures["hardware"]["name"].lower()).strip("-")
    path = RESULTS / f"model_speed_{name}_{datetime.date.today():%Y%m%d}.json"
    path.write_text(json.dumps(figures, indent=1) + "\n")
    say(f"written: {path}")
    print(json.dumps(figures))


def build(kind: str, a: Architecture, device: str, budget: int = 2**40) -> nn.Module:
    """The plain model, or ours as it is meant to run on the device."""
    torch.manual_seed(0)
    if kind == "plain":
        return PlainSReT(a).to(device)
    model = SReT(a, budget).to(device)
    if device == "cuda":
        model.compile_blocks()
    return model


def command(arguments: argparse.Namespace) -> list[str]:
    """The start of a command of this script, with the same device and threads."""
    named = ["--device", arguments.device, "--threads", str(arguments.threads)]
    return [sys.executable, __file__, *named]


def batch_of(a: Architecture, batch: int, device: str) -> tuple[Tensor, Tensor]:
    images = torch.randn(batch, a.in_channels, a.image_size, a.image_size, device=device)
    return images, torch.randint(a.classes, (batch,), device=device)


def step(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Forward and backward pass."""
    model.zero_grad()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
        loss = F.cross_entropy(model(images), labels)
    loss.backward()


def matrix_side(device: str) -> int:
    """Rows of the large matrices."""
    return MATRIX if device == "cpu" else 4 * MATRIX


def seconds(run: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


class Child:
    """A process with one of the models, which does and times what it is told.

    Ours has the allocator that workers of a study have. Ray brings it: without Ray, as on a machine
    with torch alone, it has the system's, as the plain model always has.
    """

    def __init__(self, kind: str, arguments: argparse.Namespace) -> None:
        self.process = subprocess.Popen(
            [*command(arguments), "--serve", kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=os.environ | (variables() if kind == "ours" else {}),
        )  # fmt: skip

    def seconds(self, *words: object) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(*words, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def end(self) -> None:
        self.process.communicate()


def serve(kind: str, device: str) -> None:
    """Time what lines of the standard input name: `step`, `matmul`, or `forward` and a batch."""
    model = build(kind, SRET_T, device)
    batches = {16, 1, 64} if device == "cpu" else {256, 1, 64}
    inputs = {batch: batch_of(SRET_T, batch, device) for batch in batches}
    size = matrix_side(device)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    one, other = torch.randn(2, size, size, device=device, dtype=dtype)
    for line in sys.stdin:
        what, *batch = line.split()
        model.train(what == "step")
        with torch.inference_mode(what == "forward"):
            if what == "matmul":
                run = functools.partial(torch.mm, one, other)
            elif what == "step":
                run = functools.partial(step, model, *inputs[int(batch[0])])
            else:
                run = functools.partial(model, inputs[int(batch[0])][0])
            print(seconds(run, device), flush=True)


def training(arguments: argparse.Namespace) -> dict[str, Any]:
    """SReT-T: steps of both models and large matrix products, in turn; then forward passes."""
    batch = 16 if arguments.device == "cpu" else 256
    children = {kind: Child(kind, arguments) for kind in KINDS}
    compile_seconds = children["ours"].seconds("step", batch)
    children["plain"].seconds("step", batch)
    times: dict[str, list[float]] = {"plain": [], "ours": [], "matmul": []}
    for _ in range(arguments.rounds):
        for kind, child in children.items():
            times[kind].append(child.seconds("step", batch))
            times["matmul"].append(child.seconds("matmul"))
    plain, ours, product = (statistics.median(times[key]) for key in ("plain", "ours", "matmul"))
    rate = 3 * batch * cost(SRET_T).macs / ours
    matmul_rate = matrix_side(arguments.device) ** 3 / product
    ratios = [p / o for p, o in zip(times["plain"], times["ours"], strict=True)]
    latency = _latency(children, arguments.rounds)
    for child in children.values():
        child.end()
    return {
        "train_speedup": plain / ours,
        "train_speedup_quartiles": statistics.quantiles(ratios, n=4)[::2],
        "matmul_efficiency": rate / matmul_rate,
        "train_seconds": {"plain": plain, "ours": ours, "batch": batch},
        "least_seconds_of_its_products": 3 * batch * cost(SRET_T).macs / matmul_rate,
        "matmul_gmacs": matmul_rate / 1e9,
        "first_step_seconds": compile_seconds,
        "latency": latency,
    }


def _latency(children: dict[str, Child], rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds of a forward pass of SReT-T."""
    found: dict[str, dict[str, float]] = {kind: {} for kind in KINDS}
    for batch in (1, 64):
        times: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(rounds + 1):
            for kind, child in children.items():
                times[kind].append(child.seconds("forward", batch))
        for kind in KINDS:
            found[kind][f"batch_{batch}"] = 1000 * statistics.median(times[kind][1:])
    return found


def deep(kind: str, device: str) -> dict[str, Any]:
    """Training steps of 1000 executions, in this process."""
    model = build(kind, DEEP, device, DEEP_BUDGET).train()
    if kind == "ours" and device == "cpu":
        map_large_blocks()  # as a training does; it has an effect without jemalloc only
    return steps_of(model, DEEP, device)


def looped(backprop: str, device: str) -> dict[str, Any]:
    """Training steps of 1000 loops with all activations kept, in this process."""
    model = build("ours", LOOPED, device).train()
    assert isinstance(model, SReT)
    model.backprop = BACKPROP[backprop]
    return steps_of(model, LOOPED, device)


def steps_of(model: nn.Module, a: Architecture, device: str) -> dict[str, Any]:
    """Seconds of some training steps, and the peak memory of this process so far."""
    images, labels = batch_of(a, 32, device)
    times = [seconds(lambda: step(model, images, labels), device) for _ in range(DEEP_STEPS)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated()
    return {"seconds": times, "peak_bytes": peak}


def deep_in_processes(arguments: argparse.Namespace) -> dict[str, Any]:
    """1000 executions of both models, each in a process of its own."""
    found = {}
    for kind in KINDS:
        done = subprocess.run(
            [*command(arguments), "--deep", kind], capture_output=True, text=True, check=True,
            env=os.environ | (variables() if kind == "ours" else {}),
        )  # fmt: skip
        found[kind] = json.loads(done.stdout.splitlines()[-1])
    plain, ours = found["plain"], found["ours"]
    later = [statistics.median(found[kind]["seconds"][1:]) for kind in KINDS]
    return {
        "deep_memory_ratio": ours["peak_bytes"] / plain["peak_bytes"],
        "deep_speedup": later[0] / later[1],
        "deep_first_speedup": plain["seconds"][0] / ours["seconds"][0],
        "deep": found,
    }


def looped_in_processes(arguments: argparse.Namespace) -> dict[str, Any]:
    """1000 loops with gradients through all and through the last ones, each in a process of its
    own."""
    found = {}
    for backprop in BACKPROP:
        done = subprocess.run(
            [*command(arguments), "--looped", backprop], capture_output=True, text=True, check=True,
            env=os.environ | variables(),
        )  # fmt: skip
        found[backprop] = json.loads(done.stdout.splitlines()[-1])
    whole, last = (found[backprop] for backprop in BACKPROP)
    times = [statistics.median(each["seconds"][1:]) for each in (whole, last)]
    return {
        "backprop_time_ratio": times[1] / times[0],
        "backprop_memory_ratio": last["peak_bytes"] / whole["peak_bytes"],
        "backprop": found,
    }


def deep_on_a_gpu() -> dict[str, Any]:
    """1000 executions at the widths of SReT-T and 224 pixels, batch 64; time to compile."""
    stages = tuple(replace(stage, loops=100) for stage in SRET_T.stages)
    a = replace(SRET_T, stages=stages, permutation="stride")
    images, labels = batch_of(a, 64, "cuda")
    model = build("ours", a, "cuda", 20 * 2**30).train()
    torch._dynamo.reset()
    torch.cuda.reset_peak_memory_stats()
    first, later = (seconds(lambda: step(model, images, labels), "cuda") for _ in range(2))
    return {
        "deep_224": {
            "batch": 64,
            "compile_seconds": first - later,
            "seconds": later,
            "peak_bytes": torch.cuda.max_memory_allocated(),
        }
    }


def hardware(device: str) -> dict[str, Any]:
    if device == "cuda":
        name = torch.cuda.get_device_name()
    else:
        model = re.search(r"model name\s*: (.*)", _read("/proc/cpuinfo"))
        name = model[1] if model else platform.processor() or platform.machine()
        name += f" {torch.get_num_threads()} cores"
    capability = torch.backends.cpu.get_cpu_capability()
    return {"name": name, "cpu": capability, "torch": torch.__version__}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9, help="repetitions (9)")
    parser.add_argument("--deep", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--looped", choices=tuple(BACKPROP), help=argparse.SUPPRESS)
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
