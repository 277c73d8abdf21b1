"""Whether two trainings ended the same, to the last bit."""

import numpy as np
import torch
from safetensors.torch import load_file

from sret_search.artifacts.names import PREDICTIONS, WEIGHTS


def timeless(result):
    """A result without what a kill may change: how long it took."""
    history = [{k: v for k, v in m.items() if k != "seconds"} for m in result["history"]]
    return {k: v for k, v in result.items() if k != "seconds"} | {"history": history}


def assert_same_end(attempt, result, wanted_attempt, wanted):
    """The same metrics, weights and predictions."""
    assert timeless(result) == timeless(wanted)
    weights, right = load_file(attempt / WEIGHTS), load_file(wanted_attempt / WEIGHTS)
    assert weights.keys() == right.keys()
    assert [name for name in right if not torch.equal(weights[name], right[name])] == []
    with np.load(attempt / PREDICTIONS) as one, np.load(wanted_attempt / PREDICTIONS) as two:
        assert set(one.files) == set(two.files) > {"test"}
        assert all(np.array_equal(one[name], two[name]) for name in two.files)
