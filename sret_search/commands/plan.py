"""`sret-search plan STUDY`: the trainings of a study and their hours, before it is run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from sret_search.commands import tables
from sret_search.commands.arguments import command_line
from sret_search.commands.overview import (
    ComputeOverview,
    DataOverview,
    Overview,
    SampleOverview,
    SchedulerOverview,
    SpaceOverview,
    TimeOverview,
    TrainingsOverview,
)
from sret_search.config.problems import shown
from sret_search.job.paths import named_path
from sret_search.machine import hardware
from sret_search.machine.step_time import StepTime
from sret_search.planning import duration, preflight
from sret_search.planning.calibration import MEASURED, calibrate
from sret_search.planning.disk_usage import estimate_disk_usage
from sret_search.planning.plan import (
    TrainingPlan,
    computed_lengths,
    share_trained,
    untrained_parts,
)
from sret_search.planning.space_statistics import Survey, survey
from sret_search.planning.user_inputs import check_folders
from sret_search.search.samplers.build import learnt_trials
from sret_search.space.candidate import Candidate
from sret_search.study import Study, StudyError, load_study
from sret_search.study.load import with_calibration

_DESCRIPTION = """\
Print what a study will train, before it does: the size of its space and its feasible share, the
costs of candidates, the number of trainings, and the hours and disk that they take. Nothing is
trained.

Hours are predicted from steps that --calibrate measures on this machine, once for all studies.
Without calibration they are a guess.
"""
_EXAMPLES = """\
plan studies/smoke.yaml
plan studies/small_search.yaml --plot        # draws reports/small_search/plan.png
plan studies/small_search.yaml --calibrate   # measures for a minute, for reliable hours"""
_SAMPLES = 10


def parser(prog: str) -> argparse.ArgumentParser:
    """The parser of `plan`."""
    result = command_line(prog, _DESCRIPTION, _EXAMPLES)
    result.add_argument("study", metavar="STUDY", type=named_path, help="a study file (YAML)")
    result.add_argument(
        "--calibrate",
        action="store_true",
        help=f"measure some steps of at most {MEASURED} candidates first, a few seconds each",
    )
    result.add_argument(
        "--plot",
        action="store_true",
        help="draw the space as reports/<study>/plan.png, .svg and .pdf",
    )
    result.add_argument("--json", action="store_true", help="print a JSON object")
    return result


def main(argv: list[str], prog: str) -> None:
    """Print tables, or with --json an object.

    Raises:
        StudyError: the study has errors, or cannot be measured here.
    """
    arguments = parser(prog).parse_args(argv)
    if arguments.calibrate:
        study = with_calibration(calibrate(load_study(arguments.study, calibrated=False)))
    else:
        study = check_folders(load_study(arguments.study))
    preflight.check_folders(study)
    surveyed = survey(study)
    if not surveyed.distinct:
        raise StudyError(f"{shown(study.path)}: {_nothing(surveyed)}")
    samples = _samples(study)
    plot = shown(study.report_folder / "plan.png") if arguments.plot else None
    result = overview(study, surveyed, samples, plot)
    if arguments.json:
        print(json.dumps(result.to_json(), indent=1), flush=True)
    else:
        tables.show(result)
    if arguments.plot:
        # Matplotlib takes longer to load and draw than all steps above.
        from sret_search.reporting.plan import write_plan

        write_plan(study, surveyed, samples)


def overview(
    study: Study, surveyed: Survey, samples: Sequence[Candidate], plot: str | None
) -> Overview:
    """Everything that is known before a study is run.

    Args:
        plot: the path of the plot, if it is drawn.
    """
    compute = study.file.compute
    known = StepTime.known(compute)
    used = known or StepTime.guessed(compute)
    at_a_time = hardware.at_a_time(compute)
    images = study.sizes[0]
    phases = duration.trainings(study)
    taken = duration.study_seconds(study, used, at_a_time) if images else None
    return Overview(
        study=study.name,
        data=_data(study),
        space=SpaceOverview(
            combinations=surveyed.combinations,
            looked_at=surveyed.looked_at,
            exact=surveyed.exact,
            built=surveyed.built,
            feasible=surveyed.feasible,
            feasible_share=surveyed.share,
            feasible_share_interval=list(surveyed.share_interval),
            distinct=surveyed.distinct,
            costs=surveyed.costs,
        ),
        budget=study.space.budget.model_dump(mode="json"),
        trainings=TrainingsOverview(
            total=sum(phase.trials for phase in phases),
            exact=all(phase.exact or phase.role == "search" for phase in phases),
            by_role=_by_role(phases),
            sampler=study.file.search.sampler,
            model_based=learnt_trials(study),
        ),
        lengths=computed_lengths(study, duration.EXAMPLES),
        untrained=untrained_parts(study, duration.EXAMPLES),
        scheduler=_scheduler(study),
        compute=ComputeOverview(used.hardware, at_a_time),
        time=TimeOverview(
            calibrated=known is not None,
            points=len(used.points),
            seconds=None if taken is None else taken.wall,
            seconds_of_trials=None if taken is None else taken.trials,
            seconds_of_longest_trial=None if taken is None else taken.longest,
        ),
        disk=estimate_disk_usage(study, at_a_time),
        plot=plot,
        samples=[
            SampleOverview(
                values=c.values,
                params=c.cost.params,
                macs=c.cost.macs,
                executions=c.cost.executions,
                seconds=duration.trial_seconds(study, used, c) if images else None,
            )
            for c in samples
        ],
    )


def _data(study: Study) -> DataOverview:
    given = study.file.data
    return DataOverview(
        name=given.imagefolder or given.name,
        images=dict(zip(("train", "val", "test"), study.sizes, strict=True)),
        folders=str(study.contents or ""),
    )


def _scheduler(study: Study) -> SchedulerOverview | None:
    if not study.rungs:
        return None
    return SchedulerOverview(
        name=study.file.scheduler.name,
        rungs=list(study.rungs),
        epochs=study.file.recipe.length,
        share_trained=share_trained(study),
    )


def _by_role(phases: Sequence[TrainingPlan]) -> dict[str, int]:
    trials: dict[str, int] = {}
    for phase in phases:
        trials[phase.role] = trials.get(phase.role, 0) + phase.trials
    return trials


def _samples(study: Study) -> list[Candidate]:
    """Some different candidates, from the smallest to the largest."""
    different = {c.name: c for c in study.examples(duration.EXAMPLES)}
    ordered = sorted(different.values(), key=lambda c: (c.cost.params, c.cost.macs))
    number = min(_SAMPLES, len(ordered))
    last = max(number - 1, 1)
    return [ordered[i * (len(ordered) - 1) // last] for i in range(number)]


def _nothing(surveyed: Survey) -> str:
    closest = surveyed.closest
    if closest is None:
        return f"none of {surveyed.looked_at:,} candidates can be built"
    costs = ", ".join(f"{value:,.0f} {name}" for name, value in closest.costs.items())
    return (
        f"none of {surveyed.looked_at:,} candidates meets the budget; the closest has {costs}"
        f" ({closest.reason})"
    )
