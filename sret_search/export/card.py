"""The model card of an exported folder: use, accuracy, cost and origin of the model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sret_search import __version__
from sret_search.architecture import Architecture
from sret_search.cost import cost
from sret_search.job import Job, Recipe

_PARTS = {"val": "validation", "test": "test"}
_FIELDS = ("library_name: sret_search", "pipeline_tag: image-classification", "tags: [sret]")
_TITLES = {"torch_export": "torch.export", "onnx": "ONNX"}


@dataclass(frozen=True)
class Origin:
    """The trial that a model comes from, and its measurements.

    Accuracies are fractions, by part of the data, and only those that may be shown.

    Attributes:
        study, trial: name of the study, and number of the trial.
        job: the training.
        architecture: the model's architecture. It may run another depth of the job's weights.
        before: recipes of the trainings that the job continues, in their order.
        images: images of training, validation and test.
        accuracy: accuracies of the model.
        seeds: number of trainings of the same candidate, with this one.
        means: mean accuracies over these seeds.
        depths: other executions at which the weights were measured, with their accuracies.
        chosen: reason for this trial, as a sentence; empty if its number was given.
        steps, seconds, train_macs: length and cost of the training.
        ended: date of its end; None if not known.
        environment: versions and processor.
    """

    study: str
    trial: int
    job: Job
    architecture: Architecture
    before: Sequence[Recipe]
    images: tuple[int, int, int]
    accuracy: Mapping[str, float]
    seeds: int
    means: Mapping[str, float]
    depths: Sequence[tuple[int, Mapping[str, float]]]
    chosen: str
    steps: int
    seconds: float
    train_macs: int
    ended: str | None
    environment: Mapping[str, Any]

    @property
    def part(self) -> str:
        """The most telling part: the test part, if its accuracy may be shown."""
        return "test" if "test" in self.accuracy else "val"


def card(
    origin: Origin,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    graphs: Mapping[str, tuple[str, float]],
) -> str:
    """The text of `README.md`.

    Args:
        origin: the trial and its measurements.
        mean, std: mean and standard deviation of each channel, for normalising images; None if not
            known.
        graphs: for each format the name of its file, and the largest difference of its outputs.
    """
    a = origin.architecture
    known = cost(a)
    text = [
        "---", *_FIELDS, "---", "",
        f"# {origin.study}, trial {origin.trial}", "",
        f"A recursive vision transformer of the SReT family: {known.params:,} parameters whose"
        f" {known.unique_blocks:,} unique {_many(known.unique_blocks, 'block')} run"
        f" {known.executions:,} times in one forward pass. It takes images of"
        f" {a.image_size} × {a.image_size} pixels and {a.in_channels}"
        f" {_many(a.in_channels, 'channel')}, and has {a.classes:,} classes ({_data(origin)}).", "",
        "## Accuracy", "", *_accuracy(origin), "",
        "## Cost", "", *_table(_costs(origin)), "",
        "## Use", "", *_use(origin, mean, std), *_graphs(graphs), "",
        "## Train it again", "",
        "`study.yaml` and `space.yaml` train this candidate again:", "",
        "```", "python -m sret_search.run FOLDER/study.yaml", "```", "",
        "On the same kind of CPU, with the same versions, it ends with the same bits.", "",
        "## Provenance", "", *_table(_provenance(origin)), "",
        "## Licence", "",
        "sret_search is under the MIT licence. It claims no rights on weights that were trained with"
        " it: they are their maker's, within the terms of the data that they were trained on.", "",
    ]  # fmt: skip
    return "\n".join(text)


def _accuracy(origin: Origin) -> Iterator[str]:
    yield "| | images | accuracy, % |"
    yield "|---|--:|--:|"
    sizes = dict(zip(("val", "test"), origin.images[1:], strict=True))
    for part, accuracy in origin.accuracy.items():
        error = math.sqrt(accuracy * (1 - accuracy) / sizes[part])
        yield f"| {_PARTS[part]} | {sizes[part]:,} | {100 * accuracy:.2f} ± {100 * error:.2f} |"
    if origin.seeds > 1:
        for part, mean in origin.means.items():
            yield f"| {_PARTS[part]}, mean of {origin.seeds} seeds | | {100 * mean:.2f} |"
    yield ""
    yield "± is a binomial standard error. `sret-search evaluate` on this folder measures it again."
    if origin.chosen:
        yield origin.chosen
    if "test" not in origin.accuracy:
        yield (
            "No test accuracy is shown: this candidate was chosen among others, and the test part"
            " is not for choosing. The validation accuracy of a chosen candidate is too high on"
            " average."
        )
    if origin.depths:
        yield ""
        yield "The same weights at other depths, without further training:"
        yield ""
        parts = list(origin.accuracy)
        yield f"| executions | {' | '.join(_PARTS[part] + ', %' for part in parts)} |"
        yield f"|--:|{'--:|' * len(parts)}"
        for executions, reached in origin.depths:
            cells = (f"{100 * reached[part]:.2f}" for part in parts)
            yield f"| {executions:,} | {' | '.join(cells)} |"


def _costs(origin: Origin) -> Iterator[tuple[str, str]]:
    known = cost(origin.architecture)
    yield "parameters", f"{known.params:,}"
    yield "parameters shared by several executions", f"{known.params_shared:,}"
    yield "multiply-adds of one image", f"{known.macs:,}"
    yield "executions", f"{known.executions:,}"
    yield "unique blocks", f"{known.unique_blocks:,}"
    yield "sub-layers (attentions, MLPs and NLLs run)", f"{known.sub_layers:,}"
    yield "distinct NLLs", f"{known.nlls:,}"
    yield "multiply-adds of the training", f"{origin.train_macs:.3g}"
    yield "seconds of the training", f"{origin.seconds:,.0f}"


def _use(
    origin: Origin, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Iterator[str]:
    a = origin.architecture
    shape = f"(B, {a.in_channels}, {a.image_size}, {a.image_size})"
    yield "```python"
    if mean is not None and len(mean) > 1:
        yield "import torch"
    yield "from sret_search import load"
    yield 'model = load(".")  # this folder; in evaluation mode'
    if mean is None or std is None:
        yield f"logits = model(images)  # {shape}, normalised"
        yield "```"
        yield ""
        yield (
            "Images within 0 to 1 are normalised by mean and standard deviation of the training part,"
            " which was not available when this folder was written."
        )
        return
    yield f"logits = model((images - {_numbers(mean)}) / {_numbers(std)})  # {shape}, within 0 to 1"
    yield "```"


def _graphs(graphs: Mapping[str, tuple[str, float]]) -> Iterator[str]:
    if graphs:
        yield ""
        yield "| format | file | largest difference of a logit |"
        yield "|---|---|--:|"
    for kind, (file, difference) in graphs.items():
        yield f"| {_TITLES[kind]} | `{file}` | {difference:.1g} |"


def _provenance(origin: Origin) -> Iterator[tuple[str, str]]:
    job = origin.job
    yield "study, trial", f"{origin.study}, {origin.trial}"
    yield "candidate, seed", f"{job.candidate}, {job.seed}"
    yield "job", f"`{job.identity}`"
    yield "data", _data(origin)
    yield "images for training, validation, test", ", ".join(f"{n:,}" for n in origin.images)
    length = f"{job.recipe.length:g} {_many(job.recipe.length, job.recipe.unit[:-1])}"
    if job.recipe.unit == "macs":
        length = f"{job.recipe.length:.3g} multiply-adds"
    yield "trained", f"{length}, {origin.steps:,} steps"
    if origin.ended is not None:
        yield "ended", origin.ended
    for name, value in origin.environment.items():
        yield name, f"{value}"
    yield "exported by", f"sret_search {__version__}"


def _data(origin: Origin) -> str:
    data = origin.job.data
    name = "a folder of images" if data.source == "imagefolder" else data.name
    fold = "" if data.folds is None else f", fold {data.fold} of {data.folds}"
    return f"{name}, split {data.split_seed}{fold}"


def _table(rows: Iterator[tuple[str, str]]) -> Iterator[str]:
    yield "| | |"
    yield "|---|--:|"
    for name, value in rows:
        yield f"| {name} | {value} |"


def _numbers(values: Sequence[float]) -> str:
    """Python code of a number, or of a tensor over the channels of an image."""
    if len(values) == 1:
        return f"{values[0]:.6g}"
    return f"torch.tensor([{', '.join(f'{v:.6g}' for v in values)}]).view(-1, 1, 1)"


def _many(count: float, name: str) -> str:
    return name if count == 1 else f"{name}s"
