"""A checked study: the question, its space, and its trainings."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sret_search.architecture import Architecture
from sret_search.config.study_file import StudyFile
from sret_search.config.yaml_source import SourceFile
from sret_search.job import Contents, DepthTraining, Job, train_macs, trained_depths
from sret_search.job.paths import expanded, is_url, path_below
from sret_search.space.candidate import Candidate, CostContext, Values
from sret_search.space.feasible_set import AT_MOST, AT_MOST_OF_GRID, FeasibleSet
from sret_search.space.space import Space

_LISTED = 4096
"""Largest grid of which all candidates are listed before it is run. Examples represent others."""
_EXAMPLES = 256
"""Number of candidates from which the strata of a space are computed."""
_DEPTHS = 16
"""Largest number of depths at which an elastic candidate is evaluated, beside trained depths."""


@dataclass(frozen=True)
class Study:
    """A study file and its space.

    Attributes:
        source, space_source: the files as they were read, with the places of their parts.
        file: the study file.
        space: the space.
        seen: number of images for training, validation and test, if the data was loaded.
        contents: contents of the loaded folders, if the data is in folders.
    """

    source: SourceFile
    space_source: SourceFile
    file: StudyFile
    space: Space
    seen: tuple[int, int, int] | None = None
    contents: Contents | None = None

    @property
    def path(self) -> Path:
        """Path of the study file."""
        return self.source.file

    @property
    def name(self) -> str:
        return self.file.study

    @property
    def folder(self) -> Path:
        """Folder of the study's state."""
        return Path("runs") / self.name

    @property
    def report_folder(self) -> Path:
        return Path("reports") / self.name

    @property
    def trials_root(self) -> str:
        """Folder of the trials, or its URL: beside the ledger, or below `storage.trials`.

        Raises:
            PathError: `storage.trials` is in a home folder that does not exist.
        """
        given = self.trials_place
        return str(self.folder / "trials") if given is None else path_below(given, self.name)

    @property
    def trials_place(self) -> str | None:
        """Value of `storage.trials`: a folder or the URL of a folder; None if not given.

        Raises:
            PathError: it is in a home folder that does not exist.
        """
        given = self.file.storage.trials
        # Earlier versions made a folder with the name ~. A study with its trials there keeps them.
        if given is None or is_url(given) or os.path.isdir(Path(given, self.name)):
            return given
        return expanded(given)

    @property
    def latency(self) -> int | None:
        """Number of images of the timed forward pass; None without the objective latency_ms."""
        timed = "latency_ms" in self.file.objectives
        return self.file.latency.batch_size if timed else None

    @cached_property
    def rungs(self) -> tuple[int, ...]:
        """Epochs after which the scheduler compares trials, before the last epoch. The tuple is
        empty if every trial is trained to its end."""
        scheduler, length = self.file.scheduler, self.file.recipe.length
        if scheduler.name == "none":
            return ()
        rungs = [scheduler.grace]
        while rungs[-1] * scheduler.eta < length:
            rungs.append(rungs[-1] * scheduler.eta)
        return tuple(rungs)

    @cached_property
    def strata(self) -> list[int]:
        """Lower bounds of the strata in multiply-adds, without the lowest stratum. Each stratum has
        the same share of random candidates."""
        scheduler = self.file.scheduler
        if scheduler.name != "mo_asha":
            return []
        macs = sorted(candidate.cost.macs for candidate in self.examples(_EXAMPLES))
        return [macs[i * len(macs) // scheduler.strata] for i in range(1, scheduler.strata)]

    @property
    def cohort(self) -> int:
        """Number of consecutive trials that are decided together in strict order. Among them, one
        trial of each stratum is trained to its end."""
        scheduler = self.file.scheduler
        strata = scheduler.strata if scheduler.name == "mo_asha" else 1
        return strata * int(scheduler.eta ** len(self.rungs))

    @property
    def has_elastic(self) -> bool:
        """Whether some candidates are trained for several depths."""
        axes, here = self.space.axes, "recipe.depth_training"
        kinds = [
            *(choice for path in (here, f"{here}.kind") if path in axes
              for choice in axes[path].choices or ())
        ]  # fmt: skip
        return self.file.recipe.is_elastic or any(
            DepthTraining.from_plain(kind).is_elastic for kind in kinds
        )

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Number of images for training, validation and test; zeros while the data is unknown."""
        return self.seen or self.file.data.sizes or (0, 0, 0)

    @cached_property
    def origin(self) -> str:
        """Hash of the axes, the architecture, the recipe and the budget: 16 hexadecimal digits."""
        plain = {
            "architecture": self.space.architecture.to_dict(),
            "recipe": self.space.recipe.to_dict(),
            "axes": [
                (path, axis.model_dump(mode="json")) for path, axis in self.space.axes.items()
            ],
            "budget": self.space.budget.model_dump(mode="json"),
        }
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def terms(self) -> CostContext:
        """Context of the study on which the costs of its candidates depend.

        Raises:
            StudyError: the file is no calibration.
        """
        timing = None
        if "seconds" in self.space.limits:
            from sret_search.machine.step_time import StepTime

            timing = StepTime.known(self.file.compute)
        return CostContext(self.sizes[0], self.file.compute.processes, timing)

    def with_data(self, sizes: tuple[int, int, int], contents: Contents | None) -> Study:
        """The same study with the sizes and contents of its data. Cached results that still hold
        are kept.

        Args:
            sizes: number of images for training, validation and test.
            contents: contents of the folders, if the data is in folders.
        """
        known = replace(self, seen=sizes, contents=contents)
        if known.sizes == self.sizes:
            names = ("points", "grid", "terms", "strata", "plans")
            vars(known).update({name: vars(self)[name] for name in names if name in vars(self)})
        else:
            vars(known)["points"] = self.points.on(known.terms)
        return known

    @cached_property
    def plans(self) -> dict[int, Any]:
        """Cache of `planning`: planned trainings by the number of draws that represent them."""
        return {}

    @cached_property
    def points(self) -> FeasibleSet:
        """Feasible candidates of the space."""
        search = self.file.search
        at_most = AT_MOST_OF_GRID if search.entry.exhaustive else AT_MOST
        return FeasibleSet(self.space, self.terms, search.seed, at_most)

    @cached_property
    def grid(self) -> list[Candidate]:
        """Feasible candidates of a grid, sorted by decreasing training MACs. Then no worker is left
        with a long training at the end."""
        images = max(self.sizes[0], 1)
        return sorted(
            self.points.all(), key=lambda c: -train_macs(c.architecture, c.recipe, images)
        )

    @property
    def trials(self) -> int:
        """Number of trainings that the sampler asks for."""
        if self.file.search.entry.exhaustive:
            return self.points.number * self.file.search.seeds
        assert self.file.search.trials is not None
        return self.file.search.trials

    @cached_property
    def is_listed(self) -> bool:
        """Whether all candidates of the sampler are known before the study runs."""
        return self.file.search.entry.exhaustive and self.points.number <= _LISTED

    def examples(self, draws: int) -> list[Candidate]:
        """Candidates that represent the study's trainings, the same at each call.

        These are all candidates of a grid that can be listed, otherwise feasible random draws. If
        there are none, it is the architecture of the space.

        Args:
            draws: largest number of random draws.
        """
        if self.is_listed:
            return self.grid
        default = Candidate({}, self.space.architecture, self.space.recipe)
        return list(itertools.islice(self.points.at_random(), draws)) or [default]

    def feasible(self, values: Values) -> Candidate | None:
        """The candidate with these values; None if it breaks a rule or exceeds the budget."""
        try:
            candidate = self.space.candidate(values)
        except ValueError:
            return None
        return None if self.space.over_budget(candidate, self.terms) else candidate

    def job(self, candidate: Candidate, seed: int, device: str, *, compared: bool = True) -> Job:
        """Training of a candidate with one seed, on the fold that belongs to the seed.

        Args:
            device: "cpu" or "cuda".
            compared: whether the training is part of the search, and no twin or confirmation.
                Only then its weights are also evaluated at other depths, if the file asks for it.
        """
        data, compute = self.file.data, self.file.compute
        if data.folds is not None:
            turn = data.fold + seed - self.file.search.seed
            data = replace(data, fold=turn % data.folds)
        return Job(
            architecture=candidate.architecture,
            recipe=candidate.recipe,
            data=data,
            seed=seed,
            threads=compute.cpus // compute.processes,
            device=device,
            processes=compute.processes,
            deterministic=compute.deterministic,
            monitor=self.file.monitor,
            test_curve=self.file.test_curve,
            reruns=self.reruns(candidate) if compared else (),
            latency=self.latency,
        )

    def reruns(self, candidate: Candidate) -> tuple[Architecture, ...]:
        """Architectures with which the trained weights of a candidate are evaluated again.

        An elastic candidate is evaluated at every depth. If it has very many depths, these are the
        trained depths, and some that are spread evenly in the logarithm. With rerun controls, the
        reference arm is evaluated as every other arm, and every other arm as the reference, or with
        `rerun: all` as every other arm, too.
        """
        arms = self.file.arms
        if candidate.recipe.is_elastic:
            most = candidate.architecture.loops
            spread = {round(most ** (i / (_DEPTHS - 1))) for i in range(_DEPTHS)}
            every = set(range(1, most + 1)) if most <= _DEPTHS else spread
            shown = {candidate.architecture.at_loops(loops) for loops in every}
            shown |= set(trained_depths(candidate.architecture, candidate.recipe))
            return tuple(sorted(shown - {candidate.architecture}, key=lambda a: a.executions))
        if arms is None or "rerun" not in self.file.controls:
            return ()
        others: list[Any] = [arms.reference]
        own = candidate.values.get(arms.axis)
        if own == arms.reference or self.file.rerun == "all":
            choices = self.space.axes[arms.axis].choices or []
            others = [value for value in choices if value != own]
        candidates = (self.feasible(candidate.values | {arms.axis: value}) for value in others)
        return tuple(other.architecture for other in candidates if other is not None)
