"""What one training is a function of: architecture, recipe, data, seed, threads. Plain data."""

from sret_search.job.data import TORCHVISION, Data, Facts
from sret_search.job.job import Job, Parent, candidate_name, train_macs, trained_depths
from sret_search.job.place import located, trial_folder
from sret_search.job.recipe import Augment, Distill, Recipe
from sret_search.job.recipes import RECIPES

__all__ = [
    "RECIPES",
    "TORCHVISION",
    "Augment",
    "Data",
    "Distill",
    "Facts",
    "Job",
    "Parent",
    "Recipe",
    "candidate_name",
    "located",
    "train_macs",
    "trained_depths",
    "trial_folder",
]
