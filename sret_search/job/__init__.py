"""The inputs of a training: architecture, recipe, data, seed, threads. Plain data."""

from sret_search.job.augment import Augment
from sret_search.job.compute import (
    check_length,
    image_macs,
    images_seen,
    step_memory,
    timetable,
    train_macs,
)
from sret_search.job.contents import Contents
from sret_search.job.data import PHOTOGRAPH, TORCHVISION, Data, Facts
from sret_search.job.depth_training import DepthTraining
from sret_search.job.depths import (
    check_depths,
    depths_of_step,
    leaves_weights_out,
    trained_depths,
    trained_loops,
    without_gradient,
)
from sret_search.job.distill import Distill
from sret_search.job.job import Job, Parent, candidate_name
from sret_search.job.paths import located, trial_folder
from sret_search.job.provenance import Provenance, Seen
from sret_search.job.recipe import Recipe
from sret_search.job.recipes import RECIPES

__all__ = [
    "PHOTOGRAPH",
    "RECIPES",
    "TORCHVISION",
    "Augment",
    "Contents",
    "Data",
    "DepthTraining",
    "Distill",
    "Facts",
    "Job",
    "Parent",
    "Provenance",
    "Recipe",
    "Seen",
    "candidate_name",
    "check_depths",
    "check_length",
    "depths_of_step",
    "image_macs",
    "images_seen",
    "leaves_weights_out",
    "located",
    "step_memory",
    "timetable",
    "train_macs",
    "trained_depths",
    "trained_loops",
    "trial_folder",
    "without_gradient",
]
