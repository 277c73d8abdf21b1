"""The sampler of a study, by its name or its import path.

A sampler is made again from the ledger at every start. All its draws for the n-th candidate come
from (study seed, n). Candidates over the budget are dropped before they get a number.
"""

from __future__ import annotations

import math

from sret_search import importing
from sret_search.search.samplers.base import Sampler
from sret_search.study import Study


def build(study: Study) -> Sampler:
    """Make the sampler that the study names.

    Raises:
        StudyError: the sampler at an import path cannot be made, or does not fit the study.
    """
    path = study.file.search.entry.path
    if path.startswith("sret_search."):
        made: Sampler = importing.load(path)(study)
        return made
    # Optuna takes half a second to import, and `plan` of a grid needs nothing of it.
    from sret_search.search.samplers.optuna_samplers import OptunaSampler

    return OptunaSampler(study)


def learnt_trials(study: Study) -> int:
    """Number of trials that a model of earlier trials chooses, if each ends before the next begins.

    Under a scheduler, a sampler that learns from complete trials alone begins later: of eta trials
    at a rung one continues, and in strict order a cohort is known only as a whole.

    Raises:
        StudyError: the sampler cannot be made.
    """
    search = study.file.search
    startup = search.entry.startup
    if startup is None and not search.entry.path.startswith("sret_search."):
        startup = getattr(build(study), "startup", None)
    if startup is None:
        return 0
    if search.entry.learns_from == "complete":
        startup *= int(study.file.scheduler.eta ** len(study.rungs))
        if study.rungs and search.order == "strict":
            startup = math.ceil(startup / study.cohort) * study.cohort
    return max(study.trials - startup * search.seeds, 0)
