"""The inputs of a training: architecture, recipe, data, seed, threads. Plain data."""

from sret_search.job.augment import Augment
from sret_search.job.contents import Contents
from sret_search.job.data import PHOTOGRAPH, TORCHVISION, Data, Facts
from sret_search.job.job import (
    Job,
    Parent,
    candidate_name,
    check_depths,
    depths_of_step,
    step_memory,
    train_macs,
    trained_depths,
)
from sret_search.job.paths import located, trial_folder
from sret_search.job.provenance import Provenance, Seen
from sret_search.job.recipe import Distill, Recipe
from sret_search.job.recipes import RECIPES

__all__ = [
    "PHOTOGRAPH",
    "RECIPES",
    "TORCHVISION",
    "Augment",
    "Contents",
    "Data",
    "Distill",
    "Facts",
    "Job",
    "Parent",
    "Provenance",
    "Recipe",
    "Seen",
    "candidate_name",
    "check_depths",
    "depths_of_step",
    "located",
    "step_memory",
    "train_macs",
    "trained_depths",
    "trial_folder",
]
