"""A data set and how it is cut, as plain data that is known without loading any image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from sret_search.architecture.parts import STRICT
from sret_search.errors import nearest
from sret_search.job.require import require, require_import_path


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a data set without loading it.

    Attributes:
        images: of the part that training and validation are cut from.
        test: images of the set's own test part; 0 where the set is one pool.
        image_size: pixels a side that the model sees.
    """

    images: int
    test: int
    image_size: int
    in_channels: int
    classes: int


PHOTOGRAPH = 224
"""Pixels a side, where images have no size of their own and none is asked for."""

_FACTS = {
    # name: images, test, pixels, channels, classes
    "digits": Facts(1797, 0, 8, 1, 10),  # UCI optdigits, its test part, as scikit-learn has it
    "cifar10": Facts(50_000, 10_000, 32, 3, 10),  # Krizhevsky 2009
    "cifar100": Facts(50_000, 10_000, 32, 3, 100),
    "imagenet": Facts(1_281_167, 50_000, PHOTOGRAPH, 3, 1000),  # ILSVRC 2012
}
GREY = frozenset({"digits", "MNIST", "FashionMNIST", "KMNIST", "QMNIST", "USPS", "SEMEION"})
"""Data sets whose images have one channel; all others are seen in red, green and blue."""

TORCHVISION = (
    "Caltech101", "Caltech256", "CIFAR10", "CIFAR100", "Country211", "DTD", "EuroSAT", "FER2013",
    "FGVCAircraft", "FashionMNIST", "Flowers102", "Food101", "GTSRB", "Imagenette", "KMNIST",
    "MNIST", "OxfordIIITPet", "PCAM", "QMNIST", "RenderedSST2", "SEMEION", "STL10", "SUN397",
    "SVHN", "StanfordCars", "USPS",
)  # fmt: skip
"""Classification data sets of torchvision that may be named by their class."""

NAMES = (*_FACTS, *TORCHVISION)

_GONE, _EARLIER = "connectivity", ("images", "grid", "test_grid")
"""A data set that earlier programs made, and the fields that it alone had."""


@dataclass(frozen=True, slots=True)
class Data:
    """A data set and its split into three parts, the same for every trial of a study.

    Attributes:
        name: "digits", 1,797 handwritten digits of 8×8 pixels that come with scikit-learn;
            "cifar10", "cifar100"; "imagenet" (folders train/ and val/ of one folder a
            class); a classification data set of torchvision by the name of its class; or your own
            function by its import path, "package.module:function".
        imagefolder: in place of a name, a folder of one folder a class, or of such folders
            named train/ and test/ (and val/, if it is not to be cut from train/), or as people
            name these parts.
        root: where the files of a named set lie, or are downloaded to.
        download: fetch what is missing.
        image_size: pixels a side that images are resized to; None for their own. For photographs
            of many sizes, None is 224, or in a study with `imagefolder` or "imagenet" what its
            architecture takes.
        split_seed: of the shuffle that comes before the cut.
        val: fraction for validation, of all images that are not in the set's own test part.
        test: fraction for the test, of a set that has no test part of its own.
        order: "shuffled", or "contiguous": the test part is a run of neighbours in the file,
            the last ones without folds, and comes from other sources than the rest.
        folds: cut the set into so many parts, each of which is the test part of one fold.
        fold: which of them (0 is the first). A study's seeds take the folds in turn, from this one on.
        options: keyword arguments of your own function.
    """

    name: str = "digits"
    imagefolder: str | None = None
    root: str | None = None
    download: bool = False
    image_size: int | None = None
    split_seed: int = 0
    val: float = 0.1
    test: float = 0.2
    order: Literal["shuffled", "contiguous"] = "shuffled"
    folds: int | None = None
    fold: int = 0
    options: dict[str, Any] | None = field(default=None, hash=False)

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        require(
            self.imagefolder is None or (self.name == "digits" and self.root is None),
            "`imagefolder` stands alone, without `name` or `root`",
        )
        require(
            self.imagefolder is not None or self.name != _GONE,
            f"{_GONE} is no data set of this program any more: data of your own are named by an"
            " import path, `package.module:function`, and studies/connectivity is an example",
        )
        require(
            self.imagefolder is not None or self.name in NAMES or ":" in self.name,
            f"unknown data set {self.name!r}; {nearest(self.name, NAMES)}"
            " (`imagefolder: path` is for your own images)",
        )
        self._check_imported()
        placed = self.source in ("digits", "imagefolder") or self.is_imported
        require(
            placed or self.root is not None,
            f"the data set {self.name} needs `root`, the folder that its files are in",
        )
        require(
            self.source != "digits" or (self.root is None and not self.download),
            "the digits come with scikit-learn: leave out `root` and `download`",
        )
        require(
            self.source not in ("imagefolder", "imagenet") or not self.download,
            f"{self.source} cannot be downloaded: leave out `download`",
        )
        require(
            self.image_size is None or self.image_size >= 1,
            f"`image_size >= 1` must hold, but got {self.image_size}",
        )
        require(self.split_seed >= 0, f"`split_seed >= 0` must hold, but got {self.split_seed}")
        require(
            self.val > 0 and self.test > 0 and self.val + self.test < 1,
            f"`val > 0`, `test > 0` and `val + test < 1` must hold, but got {self.val} and {self.test}",
        )
        folds = self.folds
        require(folds is None or folds >= 2, f"`folds >= 2` must hold, but got {folds}")
        require(
            0 <= self.fold < (folds or 1),
            f"`0 <= fold < folds` must hold, but got {self.fold} of {folds}",
        )
        known = self.facts
        if known is not None:
            require(
                known.test == 0 or (folds is None and self.order == "shuffled"),
                f"{self.name} has a test part of its own: leave out `folds` and `order`",
            )
            sizes = self.cut(known.images, known.test)
            require(
                min(sizes) > 0,
                f"each part needs an image, but val {self.val} and test {self.test} leave {sizes}",
            )

    def _check_imported(self) -> None:
        """The rules of a user's own function."""
        if not self.is_imported:
            require(
                self.options is None,
                "`options` are those of a function of your own, `name: package.module:function`",
            )
            return
        require_import_path(self.name)
        require(
            self.root is None and not self.download,
            f"{self.name} finds its own files: leave out `root` and `download`, or give it"
            " what it needs in `options`",
        )

    @property
    def source(self) -> str:
        """The name of the set, or "imagefolder"."""
        return "imagefolder" if self.imagefolder is not None else self.name

    @property
    def is_imported(self) -> bool:
        """Whether it is a user's own function."""
        return self.imagefolder is None and ":" in self.name

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` is its inverse."""
        plain = asdict(self)
        # Said only where there are any, and after the fields of earlier programs, so that jobs of
        # all other data keep their names.
        options = plain.pop("options")
        return plain | dict.fromkeys(_EARLIER) | ({} if options is None else {"options": options})

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Data:
        """The data that `to_dict`, or that of an earlier program, wrote."""
        return cls(**as_written_now(plain))

    @property
    def facts(self) -> Facts | None:
        """What is known before loading; None for folders, sets named by their class and functions."""
        known = _FACTS.get(self.source)
        if known is None:
            return None
        return replace(known, image_size=self.image_size or known.image_size)

    @property
    def in_channels(self) -> int:
        return 1 if self.source in GREY else 3

    @property
    def sizes(self) -> tuple[int, int, int] | None:
        """Images for training, validation and test; None where that takes loading."""
        known = self.facts
        return None if known is None else self.cut(known.images, known.test)

    def cut(self, images: int, test: int) -> tuple[int, int, int]:
        """Images for training, validation and test, of a set with or without a test part."""
        val = round(self.val * images)
        if test:
            return images - val, val, test
        if self.folds is not None:
            test = (self.fold + 1) * images // self.folds - self.fold * images // self.folds
        else:
            test = round(self.test * images)
        return images - val - test, val, test


def as_written_now(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data of an earlier program as a study file writes it now. A set that is no longer made
    becomes a function that nobody has, so that its trials can be read and none be trained."""
    found = {name: value for name, value in plain.items() if name not in _EARLIER}
    if plain.get("imagefolder") is None and plain["name"] == _GONE:
        options = {name: plain[name] for name in _EARLIER if plain.get(name) is not None}
        found |= {"name": f"{_GONE}:grids", "options": options}
    return found
