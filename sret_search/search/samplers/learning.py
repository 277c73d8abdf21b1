"""When samplers begin to learn: until then they draw at random."""

from __future__ import annotations

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
    """Trials that a model of the earlier ones chooses, if each has ended before the next one."""
    search = study.file.search
    match search.sampler:
        case "grid" | "random" | "stratified" | "sobol":
            return 0
        case "tpe":
            first = TPE_FIRST
        case "gp":
            first = GP_FIRST
        case "nsga2":
            first = POPULATION
        case "frontier":
            first = FRONTIER_FIRST
    return max(study.trials - first * search.seeds, 0)
