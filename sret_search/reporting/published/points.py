"""Published models next to a study's candidates, if both were trained alike.

A published accuracy is comparable with a candidate's if both learned the same images at the same
resolution, for the same duration, and both with or both without a teacher. Otherwise the page says
why the models are not shown.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from importlib import resources

from sret_search.reporting.formatting import listed
from sret_search.reporting.render.chart import Chart, Marker, Series
from sret_search.reporting.render.colours import PURPLE, SKY
from sret_search.reporting.results import Results


@dataclass(frozen=True)
class Model:
    """A published model.

    Attributes:
        groups: slice groups of attention. Empty for other families.
        accuracy: top-1 on ImageNet's validation images, as a fraction.
        params, macs: None if they were not published.
    """

    model: str
    groups: str
    image_size: int
    epochs: int | None
    distilled: bool | None
    params: float | None
    macs: float | None
    accuracy: float
    source: str


@dataclass(frozen=True)
class Published:
    """The published models with which a study asks to be compared.

    Attributes:
        models: the models that were trained as the study's candidates were.
        text: a description of the models, or why there are none.
    """

    models: list[Model]
    text: str


def published(results: Results) -> Published | None:
    """The published models of `report.reference`. None if a study names none."""
    name = results.study.file.report.reference
    if name is None:
        return None
    reasons = _differences(results)
    if reasons:
        return Published(
            [],
            f"The published models of {name} (ImageNet-1K) are not shown, since this study is"
            f" trained differently: {listed(reasons)}.",
        )
    pixels, epochs, distilled = _trained(results)
    alike = [
        point
        for point in read(name)
        if (point.image_size, point.epochs, point.distilled) == (pixels, epochs, distilled)
    ]
    conditions = (
        f"{pixels} pixels, {epochs} epochs, {'with' if distilled else 'without'} distillation"
    )
    if not alike:
        return Published([], f"No model of {name} was published for {conditions}.")
    sources = listed(sorted({point.source for point in alike}))
    return Published(
        alike,
        f"The published accuracies ({conditions}; source: {sources}) are top-1 on ImageNet's validation"
        " images, which are the test part of this study. The candidates of this study show validation"
        " accuracy, on images taken from the training part. The two parts need not be equally hard.",
    )


def read(name: str) -> list[Model]:
    """Every published model of a table of this folder."""
    text = (resources.files(__package__) / f"{name}.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [
        Model(
            model=row["model"],
            groups=row["slice_groups"],
            image_size=int(row["image_size"]),
            epochs=int(row["epochs"]) if row["epochs"] else None,
            distilled={"yes": True, "no": False}.get(row["distilled"]),
            params=float(row["params_m"]) * 1e6 if row["params_m"] else None,
            macs=float(row["gmacs"]) * 1e9 if row["gmacs"] else None,
            accuracy=float(row["top1"]) / 100,
            source=row["source"],
        )
        for row in csv.DictReader(lines)
    ]


def with_published(chart: Chart, reference: Published | None) -> Chart:
    """A chart of accuracy against parameters or multiply-adds, with the published models added. Any
    other chart is returned unchanged."""
    cost = chart.name.removeprefix("accuracy_")
    if reference is None or cost not in ("params", "macs"):
        return chart
    models = [point for point in reference.models if getattr(point, cost) is not None]
    if not models:
        return chart
    sret = [point for point in models if point.model.startswith("SReT")]
    other_models = [point for point in models if point not in sret]
    looks: tuple[tuple[str, list[Model], str, Marker], ...] = (
        ("published: SReT", sret, PURPLE, "diamond"),
        ("published: others", other_models, SKY, "square"),
    )
    series = tuple(
        Series(
            name=name, kind="points", colour=colour, marker=marker, hollow=True, size=9,
            x=[getattr(point, cost) for point in points],
            y=[100 * point.accuracy for point in points],
            hover=[_hover(point) for point in points],
        )
        for name, points, colour, marker in looks
        if points
    )  # fmt: skip
    first, *rest = chart.panels
    costs = [getattr(point, cost) for point in models]
    axis = first.x
    if axis.range is not None:
        low, high = min(*costs, axis.range[0]), max(*costs, axis.range[1])
        axis = replace(axis, log=axis.log or high > 1.2 * low, range=(low * 0.9, high * 1.1))
    panel = replace(first, x=axis, series=first.series + series)
    return replace(chart, panels=(panel, *rest), caption=f"{chart.caption} {reference.text}")


def _differences(results: Results) -> list[str]:
    """The settings in which the study's training differs from that of any published model."""
    differences, study = [], results.study
    if study.file.data.source != "imagenet":
        differences.append(f"its images are those of {study.file.data.source}")
    classes = study.space.architecture.classes
    if classes != 1000:
        differences.append(f"it has {classes} classes")
    for axis, quantity in (("recipe.epochs", "epochs"), ("recipe.distill", "distillation")):
        if axis in study.space.axes:
            differences.append(f"its candidates differ in {quantity}")
    if study.file.recipe.unit != "epochs":
        differences.append(f"its trainings are counted in {study.file.recipe.unit}")
    return differences


def _trained(results: Results) -> tuple[int, int, bool]:
    study = results.study
    pixels = study.space.architecture.image_size
    recipe = study.file.recipe
    return pixels, int(recipe.length), recipe.distill is not None


def _hover(point: Model) -> str:
    lines = [f"{point.model} (published)"]
    if point.groups:
        lines.append(f"slice groups {point.groups}")
    if point.params is not None:
        lines.append(f"{point.params / 1e6:g} M parameters")
    if point.macs is not None:
        lines.append(f"{point.macs / 1e9:g} G MACs")
    return "\n".join([*lines, f"{100 * point.accuracy:.1f} % top-1", point.source])
