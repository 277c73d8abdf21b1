"""When samplers begin to learn: until then they draw at random."""

from __future__ import annotations

import math

from sret_search.study import Study

TPE_FIRST = 10
"""Candidates with a known result before the estimator is asked."""
GP_FIRST = 10
"""Candidates with a known result before Gaussian processes are asked."""
POPULATION = 16
"""Candidates in a generation of NSGA-II, of which the first is random. It does not depend on the
study's number of trials, so that a longer study goes on as one that was long from the start; and
it is small, because trainings are dear: a hundred of them are six generations."""
FRONTIER_FIRST = 5
"""Candidates of `frontier` that are spread over the space before its model is asked."""


def learnt_trials(study: Study) -> int:
    """Trials that a model of the earlier ones chooses, if each has ended before the next one.

    Under a scheduler all but `frontier` learn from trials alone that came to their end: of eta
    that come to a rung one goes on, and in strict order a cohort is known only as a whole.
    """
    search = study.file.search
    ended = int(study.file.scheduler.eta ** len(study.rungs))
    match search.sampler:
        case "grid" | "random" | "stratified" | "sobol":
            return 0
        case "tpe":
            first = TPE_FIRST * ended
        case "gp":
            first = GP_FIRST * ended
        case "nsga2":
            first = POPULATION * ended
        case "frontier":
            return max(study.trials - FRONTIER_FIRST * search.seeds, 0)
    if study.rungs and search.order == "strict":
        first = math.ceil(first / study.cohort) * study.cohort
    return max(study.trials - first * search.seeds, 0)
