"""Random candidates of a small space whose axes use every option of the family."""

import itertools
import random
from collections.abc import Iterator

from sret_search.architecture import Architecture, Stage
from sret_search.config.space_file import Axis, Budget
from sret_search.job import Recipe
from sret_search.space.space import Space

_CHOICES = {
    "image_size": [4, 8, 9, 12],
    "in_channels": [1, 3],
    "classes": [2, 5],
    "stem": ["convolutions", "patch"],
    "stem_strides": [[1], [2], [1, 2], [2, 1, 2], [3]],
    "order": ["sequence", "cycle"],
    "stages.0.width": [4, 8],
    "stages.1.width": [8, 16],
    "stages.0.heads": [1, 2],
    "stages.1.heads": [1, 4],
    "stages.0.unique": [1, 2, 3],
    "stages.1.unique": [1, 3],
    "stages.0.loops": [1, 2, 5, [2, 2], [1, 3], [1, 2, 2], [2, 1, 1]],
    "stages.1.loops": [1, 3, [1, 3, 1]],
    "stages.*.mlp_ratio": [0.5, 2.0, 3.6],
    "nll.share": ["none", "stage", "block", "execution"],
    "nll.ratio": [0.5, 1.3],
    "nll.rank": [None, 3],
    "residual.kind": ["lrc", "layerscale", "scaled"],
    "relax.norm": [False, True],
    "relax.gain": [False, True],
    "relax.lora": [None, 1, 3],
    "relax.experts": [1, 2, 3],
    "loop.injection": ["none", "add", "linear", "gate"],
    "loop.embedding": ["none", "sinusoidal", "learned", "film"],
    "loop.readout": ["last", "mean", "weighted", "each"],
    "loop.streams": [1, 2, 3],
    "norm": ["pre", "sandwich"],
    "permutation": ["none", "stride", "official"],
    "drop_path": [0.0, 0.3],
}  # fmt: skip
_GROUPS = {
    "stages.0.groups": [[1], [4, 2], [2], [3, 1], [9], [4, 2, 1]],
    "stages.1.groups": [[1], [1, 2], [4], [3]],
}
SPACE = Space(
    Architecture(8, 1, 5, (1, 2), (Stage(8, 2), Stage(16, 2))),
    Recipe(),
    {path: Axis(choices=choices) for path, choices in (_CHOICES | _GROUPS).items()},
    Budget(),
)


def candidates(count: int, seed: int = 0) -> list[Architecture]:
    """That many candidates of the space that can be built."""
    return list(itertools.islice(_draws(random.Random(seed)), count))


def _draws(rng: random.Random) -> Iterator[Architecture]:
    while True:
        try:
            yield SPACE.candidate(SPACE.draw(rng)).architecture
        except ValueError:
            continue
