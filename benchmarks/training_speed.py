"""What training costs beside its bare step, and how soon a trial takes its first one, in one run.

    python benchmarks/training_speed.py                 # 2 CPU cores: some 4 minutes, 3 GB
    python benchmarks/training_speed.py --device cuda   # bfloat16, compiled, larger batches

Needs torch and torchvision alone; the digits need scikit-learn, and are left out without it.
Writes benchmarks/results/training_speed_<hardware>_<date>.json and prints the same figures
last, as one JSON object.

An efficiency is the speed of the real loop (`Trainer.steps`: images from the loader, their
augmentation, the step, its bookkeeping) over that of the bare step (forward pass, backward pass
and optimizer of the same model and process, on one batch that lies normalised in memory). Both
are taken in turn, a few steps each; it is the median over the turns.

    loader_efficiency         made-up images in CIFAR-10's files, read and mapped as real ones
                              are: crop and flip
    loader_efficiency_deit    all of DeiT's augmentation
    loader_efficiency_shared  crop and flip, in two trials at once: both run the real loop at
                              the same time, then both the bare step; speeds are added up
    folder_efficiency, …      a folder of JPEGs of 256 pixels a side, seen with 64: decoded by a
                              worker process beside each trial. The first steps of a turn, whose
                              images were decoded meanwhile, do not count
    warm_start_seconds        of a trial after another one of its process, on as many images as
                              CIFAR-10 has, or on the digits: until the model gets its first
                              batch; first_step_seconds, until its first step has ended
    load_seconds              of CIFAR-10's size: "files" the first time on a machine, "mapped"
                              in every later process

The model is SReT-T on 8×8 tokens, as many as a CIFAR image has in patches of 4 pixels: a
finer grid would hide more of the loader.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import hashlib
import importlib.util
import json
import multiprocessing
import os
import pickle
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))  # a checkout will do, without installing

from model_speed import RESULTS, hardware, say, seconds

from sret_search.architecture import Architecture, Stage
from sret_search.architecture.variants import VARIANTS
from sret_search.cost import cost
from sret_search.job import RECIPES, Augment, Data, Job, Recipe
from sret_search.training import data
from sret_search.training.augment import normalize
from sret_search.training.trainer import Trainer
from sret_search.training.vision import torchvision

CLASSES = 10
SEEN = {"image_size": 32, "in_channels": 3, "classes": CLASSES, "stem_strides": (2, 2)}
SRET_T = replace(VARIANTS["sret_t_unsliced"], **SEEN)
SMALL = replace(VARIANTS["sret_digits"], stages=(Stage(width=32, heads=1),), **SEEN)
DIGITS = VARIANTS["sret_digits"]
DEIT = Recipe.from_dict(RECIPES["deit"]).augment
CROP_FLIP = Augment(crop=DEIT.crop, flip=True)
PICTURE = 256  # pixels a side of a JPEG
TRIALS = 2  # at once
_barrier: Barrier | threading.Barrier = threading.Barrier(1)


@dataclass(frozen=True)
class Turns:
    """How often the real loop and the bare step are taken in turn.

    Attributes:
        counted: steps of each turn that are timed.
        skipped: steps of each turn before those.
    """

    rounds: int
    counted: int
    skipped: int = 0


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        architecture: for 32 pixels; the folder's has one more convolution in its stem.
        images: in CIFAR's five training files together.
        pictures: in the folder; so many that no epoch ends while it is timed.
        starts: trials whose start is timed.
    """

    architecture: Architecture
    images: int
    batch: int
    turns: Turns
    pictures: int
    picture_batch: int
    picture_turns: Turns
    starts: int


SCALES = {
    "cpu": Scale(SRET_T, 50_000, 64, Turns(20, 1), 2500, 32, Turns(4, 6, skipped=3), 7),
    "cuda": Scale(SRET_T, 50_000, 512, Turns(9, 30, 5), 30_000, 128, Turns(5, 20, skipped=8), 7),
    "quick": Scale(SMALL, 500, 2, Turns(2, 1), 200, 2, Turns(2, 1, skipped=1), 2),
}


@dataclass(frozen=True)
class Pace:
    """Images a second of the real loop and of the bare step in each turn."""

    real: list[float]
    bare: list[float]


def main() -> None:
    arguments = _arguments()
    figures: dict[str, Any] = {"hardware": hardware(arguments.device)}
    figures["load_average_before"] = os.getloadavg()
    scale = SCALES["quick" if arguments.quick else arguments.device]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # where decoded images are kept
        figures |= measured(scale, arguments.device, arguments.threads, Path(folder))
    figures["load_average_after"] = os.getloadavg()
    arguments.results.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", figures["hardware"]["name"].lower()).strip("-")
    path = arguments.results / f"training_speed_{name}_{datetime.date.today():%Y%m%d}.json"
    path.write_text(json.dumps(figures, indent=1) + "\n")
    say(f"written: {path}")
    print(json.dumps(figures))


def measured(scale: Scale, device: str, threads: int, folder: Path) -> dict[str, Any]:
    """All figures; files are made in the folder."""
    torch.set_num_threads(threads)
    recipe = Recipe(epochs=100, clip_grad_norm=None, augment=CROP_FLIP, batch_size=scale.batch)
    if device == "cuda":
        recipe = replace(recipe, precision="bf16", compile=True)
    say("images in CIFAR's format")
    cifar = Job(
        scale.architecture, recipe, write_cifar(folder / "cifar", scale.images),
        seed=0, threads=threads, device=device, deterministic=device == "cpu",
    )  # fmt: skip
    found: dict[str, Any] = {"load_seconds": load_seconds(cifar.data)}
    starts = {"cifar": warm_start(cifar, scale.starts)}
    if importlib.util.find_spec("sklearn"):
        digits = replace(cifar, architecture=DIGITS, data=Data())
        starts["digits"] = warm_start(digits, scale.starts)
    for place, name in enumerate(("warm_start_seconds", "first_step_seconds")):
        found[name] = {what: times[place] for what, times in starts.items()}

    strides = (*scale.architecture.stem_strides, 2)
    larger = replace(scale.architecture, image_size=64, stem_strides=strides)
    pictures = replace(
        cifar, architecture=larger, recipe=replace(recipe, batch_size=scale.picture_batch),
        data=write_folder(folder / "pictures", scale.pictures, larger.image_size),
    )  # fmt: skip
    spawned = multiprocessing.get_context("spawn")
    barrier = spawned.Barrier(TRIALS)
    with ProcessPoolExecutor(TRIALS, spawned, _meet_at, (barrier,)) as pool:
        found |= efficiencies("loader", cifar, scale.turns, pool)
        say("a folder of JPEGs")
        found |= efficiencies("folder", pictures, scale.picture_turns, pool)
    return found


def efficiencies(what: str, job: Job, turns: Turns, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """With crop and flip, with all augmentation, and both in two trials at once."""
    found: dict[str, Any] = {}
    for augment, suffix in ((CROP_FLIP, ""), (DEIT, "_deit")):
        trial = replace(job, recipe=replace(job.recipe, augment=augment))
        for name, paces in (
            (suffix, [pace(trial, turns)]),
            (f"{suffix}_shared", list(pool.map(pace, [trial] * TRIALS, [turns] * TRIALS))),
        ):
            real = np.sum([each.real for each in paces], 0)
            bare = np.sum([each.bare for each in paces], 0)
            efficiency = found[f"{what}_efficiency{name}"] = float(np.median(real / bare))
            found[f"{what}{name}"] = {
                "quartiles": np.quantile(real / bare, (0.25, 0.75)).tolist(),
                "images_per_second": float(np.median(real)),
                "bare_images_per_second": float(np.median(bare)),
                "batch": job.recipe.batch_size,
                "macs": cost(job.architecture).macs,
            }
            say(f"  {what}_efficiency{name}: {efficiency:.3f}")
    return found


def pace(job: Job, turns: Turns) -> Pace:
    """The real loop and the bare step in turn, each at the same time as in other processes."""
    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(job.deterministic)
    trainer = Trainer(job, Path())
    real = functools.partial(next, _steps(trainer))
    bare = functools.partial(bare_step, trainer, *_batch(trainer))
    found: dict[Callable[[], object], list[float]] = {real: [], bare: []}
    for step in found:
        step()
    for _ in range(turns.rounds):
        for step, speeds in found.items():
            _barrier.wait(600)
            for _ in range(turns.skipped):
                step()
            took = seconds(functools.partial(_repeat, step, turns.counted), job.device)
            speeds.append(turns.counted * job.recipe.batch_size / took)
    return Pace(found[real], found[bare])


def _meet_at(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def bare_step(trainer: Trainer, images: Tensor, labels: Tensor) -> None:
    """The training's step, and nothing else."""
    trainer.optimizer.zero_grad()
    trainer.objective(images, labels, 0).backward()
    trainer.optimizer.step()


def _batch(trainer: Trainer) -> tuple[Tensor, Tensor]:
    """Images as the model takes them, and their labels."""
    numbers = torch.arange(trainer.job.recipe.batch_size)
    images, labels = next(trainer.val_part.batches([numbers]))
    return normalize(images, trainer.split.mean, trainer.split.std), labels


def _steps(trainer: Trainer) -> Iterator[None]:
    """The steps of one epoch after the other, without evaluation."""
    while True:
        yield from trainer.steps()
        trainer.history.append({})


def _repeat(step: Callable[[], object], times: int) -> None:
    for _ in range(times):
        step()


def warm_start(job: Job, trials: int) -> list[float]:
    """Seconds until a trial's model gets its first batch, and until its first step has ended;
    the medians of some trials in this process, after another one."""
    torch.use_deterministic_algorithms(job.deterministic)

    def start(seed: int) -> tuple[float, float]:
        fed: list[float] = []
        began = time.perf_counter()
        trainer = Trainer(replace(job, seed=seed), Path())
        trainer.model.register_forward_pre_hook(lambda *_: fed.append(time.perf_counter()))
        seconds(functools.partial(next, trainer.steps()), job.device)
        return fed[0] - began, time.perf_counter() - began

    start(0)
    return np.median([start(seed) for seed in range(1, trials + 1)], 0).tolist()


def load_seconds(what: Data) -> dict[str, float]:
    """Seconds until a data set can be used, the first time on a machine and in later processes."""
    found = {}
    for name in ("files", "mapped"):
        data.load.cache_clear()
        found[name] = seconds(lambda: data.load(what), "cpu")
    return found


def write_cifar(root: Path, images: int) -> Data:
    """Noise in the files of CIFAR-10, whose checksums torchvision is told in this process; all
    other processes find the images decoded."""
    random = np.random.default_rng(0)
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    each = images // 5

    def write(name: str, content: dict[str, Any]) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    def batch() -> dict[str, Any]:
        pixels = random.integers(0, 256, (each, 3072), np.uint8)
        return {"data": pixels, "labels": [n % CLASSES for n in range(each)]}

    kind = torchvision.datasets.CIFAR10
    kind.train_list = [write(f"data_batch_{n + 1}", batch()) for n in range(5)]
    kind.test_list = [write("test_batch", batch())]
    name, md5 = write("batches.meta", {"label_names": [str(n) for n in range(CLASSES)]})
    kind.meta = {"filename": name, "key": "label_names", "md5": md5}
    return Data("cifar10", root=str(root))


def write_folder(root: Path, images: int, seen: int) -> Data:
    """JPEGs of noise on several scales, some 30 kB each, ten folders of one picture and its copies."""
    random = np.random.default_rng(0)
    for label in range(CLASSES):
        (root / str(label)).mkdir(parents=True)
        picture = np.zeros((PICTURE, PICTURE, 3))
        for side in (4, 16, 64, 256):
            noise = Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8))
            layer = noise.resize((PICTURE, PICTURE), Image.Resampling.BICUBIC)
            picture += np.asarray(layer) * 4 / side
        pixels = (255 * picture / picture.max()).astype(np.uint8)
        first = root / str(label) / "0.jpg"
        Image.fromarray(pixels).save(first, quality=90)
        for number in range(1, images // CLASSES):
            first.with_stem(str(number)).write_bytes(first.read_bytes())
    return Data(imagefolder=str(root), image_size=seen)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of each trial (1)")
    parser.add_argument("--quick", action="store_true", help="see that it runs: no real figures")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    return parser.parse_args()


if __name__ == "__main__":
    main()
