"""SReT in torch, built from an `Architecture`. The room imports torch and nothing of studies."""

from sret_search.model.files import CheckpointError
from sret_search.model.malloc import map_large_blocks
from sret_search.model.monitor import DepthProfile, depth_profile, gradient_shares
from sret_search.model.official import load_official
from sret_search.model.quantize import with_int8_weights
from sret_search.model.reuse import positions_at, rerun, resize
from sret_search.model.sret import SReT
from sret_search.model.weights import load, save, training_of

__all__ = [
    "CheckpointError",
    "DepthProfile",
    "SReT",
    "depth_profile",
    "gradient_shares",
    "load",
    "load_official",
    "map_large_blocks",
    "positions_at",
    "rerun",
    "resize",
    "save",
    "training_of",
    "with_int8_weights",
]
