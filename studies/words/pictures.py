"""Pictures of words in a finite group, labelled with the word's product: a task of known depth.

Composing n letters one after the other takes n steps, and pairs of neighbours take log n. For S5,
which is not solvable, no circuit of constant depth is known: its word problem is complete for NC1
(Barrington, 1989). In Z60 the order of the letters does not count, and one sum is enough. The two
were compared for transformers and state space models by Merrill et al., 2024 (2404.08819).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Pictures = NDArray[np.uint8]
Part = tuple[Pictures, Numbers]

GRID = 3  # tiles a side: nine places for letters
TILE = 6  # pixels a side: 5×5 for the letter, the last row and column for the place
_LETTER = 5
_HELD_OUT = 10  # one tail of so many is for validation, and one for the test
_FEWEST = 200  # tails of a length; with fewer, all of them are in every part


@dataclass(frozen=True, slots=True)
class Group:
    """A finite group of G elements, numbered from 0.

    Attributes:
        then: number of the element that is a followed by b, at [a, b]; (G, G).
        pictures: 0 or 1 for each pixel of an element, (G, 5, 5).
        steps: the elements that a word may have from its second letter on.
    """

    then: Numbers
    pictures: Pictures
    steps: Numbers

    @property
    def inverse(self) -> Numbers:
        """The inverse of each element, (G,)."""
        identity = int(np.flatnonzero((self.then == np.arange(len(self.then))).all(1))[0])
        return np.argwhere(self.then == identity)[:, 1]

    def product(self, words: Numbers) -> Numbers:
        """Products (N,) of words (N, n): the first letter, then the second, and so on."""
        product = words[:, 0]
        for letters in words[:, 1:].T:
            product = self.then[product, letters]
        return product


def symmetric() -> Group:
    """S5: the permutations of five things, drawn as their matrices.

    The pixel at [i, j] is lit if the thing at place i moves to place j. The steps are cycles of two,
    three, four and five things.
    """
    elements = list(permutations(range(_LETTER)))
    number = {element: i for i, element in enumerate(elements)}
    then = [[number[tuple(b[place] for place in a)] for b in elements] for a in elements]
    steps = [(1, 0, 2, 3, 4), (0, 1, 3, 4, 2), (0, 2, 3, 4, 1), (1, 2, 3, 4, 0)]
    return Group(
        np.array(then),
        np.eye(_LETTER, dtype=np.uint8)[np.array(elements)],
        np.array([number[step] for step in steps]),
    )


def cyclic() -> Group:
    """Z60: whole numbers from 0 to 59, added modulo 60.

    A number is drawn as its remainders by 3, 4 and 5, a lit pixel in a row for each. They determine
    it (the Chinese remainder theorem). The steps are 1, 7, 22 and 45.
    """
    numbers = np.arange(60)
    pictures = np.zeros((60, _LETTER, _LETTER), np.uint8)
    for row, modulus in enumerate((3, 4, 5)):
        pictures[numbers, row, numbers % modulus] = 1
    return Group((numbers[:, None] + numbers) % 60, pictures, np.array([1, 7, 22, 45]))


GROUPS = {"S5": symmetric, "Z60": cyclic}


def words(
    group: str = "S5", images: int = 60000, tested: int = 3000, letters: int = 8, seed: int = 0
) -> dict[str, Part]:
    """Images (N, 1, 18, 18) and products (N,) of training, validation and test.

    The first letter of a word is any element of the group; the letters after it are its *tail* and
    are among four elements. Training has words of 1 to `letters` letters, n times as many of n letters
    as of one, so that the short words teach a step. Validation and test have words of `letters` letters alone, with
    tails that no other part has. All products are equally frequent in words of each length.

    Args:
        group: "S5" (120 classes) or "Z60" (60 classes).
        images: of training.
        tested: images of validation, and of the test.
        letters: of the longest words, 2 to 9.

    Raises:
        ValueError: there is no such group, or no such words.
    """
    return at_length(letters, group, images, tested, letters, seed)


def at_length(
    length: int,
    group: str = "S5",
    images: int = 60000,
    tested: int = 3000,
    letters: int = 8,
    seed: int = 0,
) -> dict[str, Part]:
    """The training part of `words`; validation and test with words of `length` letters alone.

    Words with few possible tails, 1 to 4 letters, cannot be kept apart: all parts have them.

    Args:
        length: letters of the words of validation and test, 1 to `letters`.

    Raises:
        ValueError: there is no such group, or no such words.
    """
    if group not in GROUPS:
        raise ValueError(f"`group` must be one of {', '.join(GROUPS)}, but got {group!r}")
    if not 2 <= letters <= GRID**2:
        raise ValueError(f"`letters` must be from 2 to {GRID**2}, but got {letters}")
    if not 1 <= length <= letters:
        raise ValueError(f"`length` must be from 1 to {letters}, but got {length}")
    if images < letters * (letters + 1) // 2 or tested < 1:
        raise ValueError(
            f"`images >= {letters * (letters + 1) // 2}` and `tested >= 1` must hold, but got {images} and {tested}"
        )
    made = GROUPS[group]()
    ends = images * np.arange(letters + 1) * np.arange(1, letters + 2) // (letters * (letters + 1))
    counts = np.diff(ends)  # n of every letters · (letters + 1) / 2 words have n letters
    training = [_words(made, n, counts[n - 1], "train", seed) for n in range(1, letters + 1)]
    order = np.random.default_rng((seed, 0)).permutation(images)
    drawn = np.concatenate([draw(made, part) for part in training])[order]
    products = np.concatenate([made.product(part) for part in training])[order]
    parts = {"train": (drawn, products)}
    for name in ("val", "test"):
        chosen = _words(made, length, tested, name, seed)
        parts[name] = (draw(made, chosen), made.product(chosen))
    return parts


def draw(group: Group, chosen: Numbers) -> Pictures:
    """Images (N, 1, 18, 18) of words (N, n): 3×3 tiles, a letter each, in reading order.

    A pixel in the margin of each tile says its place, and lies elsewhere for each place. Tiles after
    the word's end have nothing else.
    """
    count, length = chosen.shape
    tiles = np.zeros((count, GRID**2, TILE, TILE), np.uint8)
    tiles[:, :length, :_LETTER, :_LETTER] = group.pictures[chosen]
    for place in range(GRID**2):
        row, column = (_LETTER, place) if place < TILE else (place - TILE, _LETTER)
        tiles[:, place, row, column] = 1
    side = GRID * TILE
    rows = tiles.reshape(count, GRID, GRID, TILE, TILE).transpose(0, 1, 3, 2, 4)
    return 255 * rows.reshape(count, 1, side, side)


def length_of(images: Pictures) -> Numbers:
    """Number of letters (N,) in images (N, 1, 18, 18)."""
    rows = images.reshape(len(images), GRID, TILE, GRID, TILE).transpose(0, 1, 3, 2, 4)
    letters = rows[..., :_LETTER, :_LETTER].any((3, 4))
    return letters.sum((1, 2))


def _words(group: Group, length: int, count: int, part: str, seed: int) -> Numbers:
    """Words (count, length) of one part, with products that are equally frequent."""
    purpose = ("train", "val", "test").index(part)
    random = np.random.default_rng((seed, length, 1 + purpose))
    tails = _tails(group, length, part, seed)
    steps = tails[random.integers(len(tails), size=count)]
    products = random.permutation(np.resize(random.permutation(len(group.then)), count))
    if length == 1:
        return products[:, None]
    starts = group.then[products, group.inverse[group.product(steps)]]
    return np.concatenate([starts[:, None], steps], 1)


def _tails(group: Group, length: int, part: str, seed: int) -> Numbers:
    """The tails (N, length - 1) that words of a part may have."""
    base = len(group.steps)
    codes = np.random.default_rng((seed, length, 0)).permutation(base ** (length - 1))
    if len(codes) >= _FEWEST:
        held = len(codes) // _HELD_OUT
        of = {"val": codes[:held], "test": codes[held : 2 * held], "train": codes[2 * held :]}
        codes = of[part]
    digits = codes[:, None] // base ** np.arange(length - 1) % base
    return group.steps[digits]
