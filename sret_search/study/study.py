"""A study, checked: the question, its space, and the trainings that it asks for."""

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
from sret_search.job import Contents, Job, train_macs, trained_depths
from sret_search.job.paths import expanded, is_url, path_below
from sret_search.space.candidate import Candidate, CostContext, Values
from sret_search.space.feasible_set import AT_MOST, AT_MOST_OF_GRID, FeasibleSet
from sret_search.space.space import Space

_LISTED = 4096
"""Candidates of a grid that are gone through before it is run; examples stand for a larger one."""
_EXAMPLES = 256
"""Candidates that tell where the strata of a space lie."""
_DEPTHS = 16
"""Depths at which an elastic candidate is evaluated, and no more where it has more."""


@dataclass(frozen=True)
class Study:
    """A study file and its space.

    Attributes:
        source, space_source: the files as they were read, with the places of what they say.
        seen: images for training, validation and test, where that took loading the data.
        contents: what was loaded, of data in folders.
    """

    source: SourceFile
    space_source: SourceFile
    file: StudyFile
    space: Space
    seen: tuple[int, int, int] | None = None
    contents: Contents | None = None

    @property
    def path(self) -> Path:
        """The file that it was read from."""
        return self.source.file

    @property
    def name(self) -> str:
        return self.file.study

    @property
    def folder(self) -> Path:
        """Where its state lies."""
        return Path("runs") / self.name

    @property
    def report_folder(self) -> Path:
        return Path("reports") / self.name

    @property
    def trials_root(self) -> str:
        """Where its trials lie: beside its ledger, or in its own part of the folder, or of the
        folder's URL, that is given."""
        given = self.trials_place
        return str(self.folder / "trials") if given is None else path_below(given, self.name)

    @property
    def trials_place(self) -> str | None:
        """The folder that is given for trials, or the URL of one; None where none is.

        Raises:
            PathError: it begins at a home folder that there is not.
        """
        given = self.file.storage.trials
        # Earlier programs made a folder that is named ~: a study that has its trials there keeps
        # them.
        if given is None or is_url(given) or os.path.isdir(Path(given, self.name)):
            return given
        return expanded(given)

    @property
    def latency(self) -> int | None:
        """Images of the forward pass that each trial times; None where that is no objective."""
        timed = "latency_ms" in self.file.objectives
        return self.file.latency.batch_size if timed else None

    @cached_property
    def rungs(self) -> tuple[int, ...]:
        """The epochs after which its scheduler compares trials, before the last; none where every
        trial is trained to its end."""
        scheduler, length = self.file.scheduler, self.file.recipe.length
        if scheduler.name == "none":
            return ()
        found = [scheduler.grace]
        while found[-1] * scheduler.eta < length:
            found.append(found[-1] * scheduler.eta)
        return tuple(found)

    @cached_property
    def strata(self) -> list[int]:
        """Of the parts of the space within which trials compete at a rung, the least multiply-adds
        of each but the cheapest: as many random candidates lie in one as in another."""
        scheduler = self.file.scheduler
        if scheduler.name != "mo_asha":
            return []
        macs = sorted(candidate.cost.macs for candidate in self.examples(_EXAMPLES))
        return [macs[i * len(macs) // scheduler.strata] for i in range(1, scheduler.strata)]

    @property
    def cohort(self) -> int:
        """Trials, by number, that are decided together in strict order: of so many one of each
        stratum is trained to its end."""
        scheduler = self.file.scheduler
        strata = scheduler.strata if scheduler.name == "mo_asha" else 1
        return strata * int(scheduler.eta ** len(self.rungs))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Images for training, validation and test; zeros while the data is not known."""
        return self.seen or self.file.data.sizes or (0, 0, 0)

    @cached_property
    def origin(self) -> str:
        """A name of what it searches: another one as soon as an axis, the architecture, the
        recipe or the budget changes."""
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
        """What the costs of its candidates depend on besides themselves."""
        timing = None
        if "seconds" in self.space.limits:
            from sret_search.machine.step_time import StepTime

            timing = StepTime.known(self.file.compute)
        return CostContext(self.sizes[0], self.file.compute.processes, timing)

    def with_data(self, sizes: tuple[int, int, int], contents: Contents | None) -> Study:
        """The same study once its data is known; what was worked out and still holds is kept.

        Args:
            sizes: images for training, validation and test.
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
        """The trainings that were planned so far, by the number of draws that stand for them;
        `planning` fills it in."""
        return {}

    @cached_property
    def points(self) -> FeasibleSet:
        """Its feasible candidates."""
        search = self.file.search
        at_most = AT_MOST_OF_GRID if search.entry.exhaustive else AT_MOST
        return FeasibleSet(self.space, self.terms, search.seed, at_most)

    @cached_property
    def grid(self) -> list[Candidate]:
        """The candidates of a grid that can be built and fit the budget, the costliest first,
        so that no worker is left with a long training at the end."""
        images = max(self.sizes[0], 1)
        return sorted(
            self.points.all(), key=lambda c: -train_macs(c.architecture, c.recipe, images)
        )

    @property
    def trials(self) -> int:
        """Trainings that its sampler asks for."""
        if self.file.search.entry.exhaustive:
            return self.points.number * self.file.search.seeds
        assert self.file.search.trials is not None
        return self.file.search.trials

    @cached_property
    def is_listed(self) -> bool:
        """Whether all that its sampler asks for is known before it runs."""
        return self.file.search.entry.exhaustive and self.points.number <= _LISTED

    def examples(self, draws: int) -> list[Candidate]:
        """What it will train: all of a grid that can be listed; otherwise so many feasible random
        draws, the same at each call, or, where there are none, the space's own architecture."""
        if self.is_listed:
            return self.grid
        own = Candidate({}, self.space.architecture, self.space.recipe)
        return list(itertools.islice(self.points.at_random(), draws)) or [own]

    def feasible(self, values: Values) -> Candidate | None:
        """The candidate, or None where a rule or the budget forbids it."""
        try:
            candidate = self.space.candidate(values)
        except ValueError:
            return None
        return None if self.space.over_budget(candidate, self.terms) else candidate

    def job(self, candidate: Candidate, seed: int, device: str, *, compared: bool = True) -> Job:
        """The training of a candidate with one seed, on the fold that is the seed's turn.

        Args:
            compared: whether it is one of the study's own candidates, whose weights are run at
                other depths too where the file asks for that.
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
        """What the trained weights of a candidate are run as: an elastic one as every depth that
        it can run; the reference arm as every other arm, every other arm as the reference.

        Of very many depths, those that it was trained for, and some spread evenly in the logarithm.
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
        if candidate.values.get(arms.axis) == arms.reference:
            choices = self.space.axes[arms.axis].choices or []
            others = [value for value in choices if value != arms.reference]
        found = (self.feasible(candidate.values | {arms.axis: value}) for value in others)
        return tuple(other.architecture for other in found if other is not None)
