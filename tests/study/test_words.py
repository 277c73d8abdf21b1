"""The pictures of words: products by hand, parts kept apart, lengths and products balanced."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sret_search import importing
from sret_search.study import load_study

ROOT = Path(__file__).parents[2]
LETTERS = 8


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(ROOT)

    def named(name: str) -> Any:
        return importing.load(f"studies.words.pictures:{name}")

    return named


def tiles(image: np.ndarray) -> list[np.ndarray]:
    """The letters of an image (1, 18, 18), as (5, 5) pixels of 0 and 1, in reading order."""
    found = [
        image[0, row : row + 5, column : column + 5] // 255
        for row in (0, 6, 12)
        for column in (0, 6, 12)
    ]
    return [tile for tile in found if tile.any()]


def permuted(image: np.ndarray) -> tuple[int, ...]:
    """The places of five things after the moves that an image of S5 shows."""
    things = np.arange(5)
    for tile in tiles(image):
        moved = np.empty(5, dtype=int)
        for place in range(5):
            moved[tile[place].argmax()] = things[place]
        things = moved
    return tuple(things.tolist())


def summed(image: np.ndarray) -> int:
    """The sum modulo 60 of the numbers that an image of Z60 shows."""
    total = 0
    for tile in tiles(image):
        remainders = [int(tile[row].argmax()) for row in range(3)]
        total += next(n for n in range(60) if [n % 3, n % 4, n % 5] == remainders)
    return total % 60


def shown(part: tuple[np.ndarray, np.ndarray]) -> set[bytes]:
    return {image.tobytes() for image in part[0]}


def test_classes_of_s5_are_the_moves_that_the_tiles_make(pictures: Any) -> None:
    parts = pictures("words")(images=2000, tested=240)
    of_class: dict[int, set[tuple[int, ...]]] = {}
    for images, products in parts.values():
        for image, product in zip(images, products, strict=True):
            of_class.setdefault(int(product), set()).add(permuted(image))
    assert sorted(of_class) == list(range(120))
    assert {len(moves) for moves in of_class.values()} == {1}
    assert len(set.union(*of_class.values())) == 120


def test_classes_of_z60_are_sums(pictures: Any) -> None:
    parts = pictures("words")(group="Z60", images=800, tested=120)
    for images, products in parts.values():
        assert [summed(image) for image in images] == products.tolist()


@pytest.mark.parametrize("group", ["S5", "Z60"])
def test_lengths_and_products_are_balanced(pictures: Any, group: str) -> None:
    classes = {"S5": 120, "Z60": 60}[group]
    parts = pictures("words")(group=group, images=36 * 120, tested=240)
    images, products = parts["train"]
    assert images.shape == (4320, 1, 18, 18)
    assert images.dtype == np.uint8
    lengths = np.array([len(tiles(image)) for image in images])
    assert (pictures("length_of")(images) == lengths).all()
    for length in range(1, LETTERS + 1):
        counts = np.bincount(products[lengths == length], minlength=classes)
        assert (counts == length * 120 // classes).all()
    assert abs(np.corrcoef(np.arange(4320), lengths)[0, 1]) < 0.1  # shuffled
    for name in ("val", "test"):
        assert {len(tiles(image)) for image in parts[name][0]} == {LETTERS}
        assert (np.bincount(parts[name][1], minlength=classes) == 240 // classes).all()


def test_what_follows_the_first_letter_of_a_tested_word_is_in_no_other_part(pictures: Any) -> None:
    parts = pictures("words")(images=40_000, tested=3000)
    tails = {}
    for name, (images, products) in parts.items():
        blank = images.copy()
        blank[:, :, :6, :6] = 0
        tails[name] = shown((blank, products))
    assert not tails["train"] & tails["val"]
    assert not tails["train"] & tails["test"]
    assert not tails["val"] & tails["test"]


def test_a_length_of_its_own_keeps_the_training_part(pictures: Any) -> None:
    whole = pictures("words")(images=4000, tested=240)
    for length in (2, 5, 8):
        parts = pictures("at_length")(length, images=4000, tested=240)
        assert (parts["train"][0] == whole["train"][0]).all()
        assert {len(tiles(image)) for image in parts["test"][0]} == {length}
        if length >= 5:
            assert not shown(parts["train"]) & shown(parts["test"])
    assert (parts["test"][0] == whole["test"][0]).all()


def test_seeds_reproduce(pictures: Any) -> None:
    first, again, other = (pictures("words")(images=80, tested=60, seed=s) for s in (3, 3, 4))
    for name in ("train", "val", "test"):
        for kept, made, changed in zip(first[name], again[name], other[name], strict=True):
            assert (kept == made).all()
            assert not (kept == changed).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"group": "S4"}, "`group` must be one of S5, Z60, but got 'S4'"),
        ({"letters": 10}, "`letters` must be from 2 to 9, but got 10"),
        ({"images": 35}, "`images >= 36` and `tested >= 1` must hold"),
    ],
)
def test_impossible_words_are_refused(pictures: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pictures("words")(**options)


def test_an_impossible_length_is_refused(pictures: Any) -> None:
    with pytest.raises(ValueError, match="`length` must be from 1 to 8, but got 9"):
        pictures("at_length")(9)


@pytest.mark.parametrize(("group", "classes"), [("S5", 120), ("Z60", 60)])
def test_the_loss_asks_each_tile_for_the_product_up_to_it(
    pictures: Any, group: str, classes: int
) -> None:
    products_up_to = importing.load("studies.words.losses:products_up_to")
    images, products = pictures("words")(group=group, images=360, tested=60)["train"]
    class_of = {"S5": permuted, "Z60": summed}[group]
    names = {class_of(image): int(label) for image, label in zip(images, products, strict=True)}
    normalised = (torch.from_numpy(images).float() / 255 - 0.1) / 0.3
    labels = products_up_to(normalised, classes)
    checked = 0
    for image, row, product in zip(images, labels.tolist(), products, strict=True):
        length = len(tiles(image))
        assert row[length - 1] == product
        assert row[length:] == [-100] * (9 - length)
        for place in range(length):
            shorter = image.copy()
            for later in range(place + 1, length):
                down, right = 6 * (later // 3), 6 * (later % 3)
                shorter[:, down : down + 5, right : right + 5] = 0
            if (known := class_of(shorter)) in names:
                assert row[place] == names[known]
                checked += 1
    assert checked > 1000


@pytest.mark.parametrize("name", ["study", "no_injection", "sampled", "z60"])
def test_the_studies_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from sret_search.planning.user_inputs import check_inputs
    from sret_search.training.train import train

    monkeypatch.chdir(ROOT)
    study = check_inputs(load_study(ROOT / f"studies/words/{name}.yaml"))
    assert study.sizes == (60_000, 3000, 3000)
    assert len({candidate.cost.params for candidate in study.grid}) == 1
    options = {**(study.file.data.options or {}), "images": 1000, "tested": 120}
    data = replace(study.file.data, options=options)
    recipe = replace(study.file.recipe, steps=2)
    job = study.job(study.grid[-1], 0, "cpu")
    job = replace(job, data=data, recipe=recipe, reruns=())
    assert train(job, tmp_path / "attempt-1", lambda metrics: None).state == "complete"
