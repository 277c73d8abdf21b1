"""Two old methods on the digits, on the very folds of a study: an RBF support-vector machine and
the nearest neighbour, beside which its test accuracies stand.

python benchmarks/digits_baselines.py studies/small.yaml
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from sret_search.study import load_study
from sret_search.training import data

_METHODS = {"svm_rbf": SVC(C=10.0, gamma="scale"), "nearest_neighbour": KNeighborsClassifier(1)}


def pixels(part: data.Part) -> tuple[np.ndarray, np.ndarray]:
    """Images (I, pixels) and labels (I,)."""
    ((images_BCSS, labels_B),) = part.batches([torch.arange(len(part))])
    return images_BCSS.flatten(1).numpy(), labels_B.numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="a study of the digits with folds")
    described = load_study(parser.parse_args().study).file.data
    right: dict[str, list[int]] = {name: [] for name in _METHODS}
    images = 0
    for fold in range(described.folds or 1):
        split = data.load(replace(described, fold=fold))
        # What needs no validation learns from that part, too.
        seen = [pixels(part) for part in (split.train, split.val)]
        x, y = (np.concatenate(both) for both in zip(*seen, strict=True))
        test_x, test_y = pixels(split.test)
        images += len(test_y)
        for name, method in _METHODS.items():
            right[name].append(int((method.fit(x, y).predict(test_x) == test_y).sum()))
    accuracy = {name: sum(counts) / images for name, counts in right.items()}
    print(json.dumps({"images": images, **accuracy}))


if __name__ == "__main__":
    main()
