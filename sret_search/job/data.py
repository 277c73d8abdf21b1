"""A data set and its split, as plain data that is complete before any image is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from sret_search.architecture.parts import STRICT
from sret_search.errors import nearest, require
from sret_search.importing import require_import_path


@dataclass(frozen=True, slots=True)
class Facts:
    """Sizes of a data set that are known before it is loaded.

    Attributes:
        images: images in the part that training and validation are cut from.
        test: images in the data set's test part; 0 if it has no such part.
        image_size: side in pixels, as the model sees it.
        in_channels: 1 for grey, 3 for red, green and blue.
        classes: number of classes.
    """

    images: int
    test: int
    image_size: int
    in_channels: int
    classes: int


PHOTOGRAPH = 224
"""Side in pixels of images that come in many sizes, where no size is asked for."""

_FACTS = {
    # name: images, test, pixels, channels, classes
    "digits": Facts(1797, 0, 8, 1, 10),  # UCI optdigits, its test part, as scikit-learn has it
    "cifar10": Facts(50_000, 10_000, 32, 3, 10),  # Krizhevsky 2009
    "cifar100": Facts(50_000, 10_000, 32, 3, 100),
    "imagenet": Facts(1_281_167, 50_000, PHOTOGRAPH, 3, 1000),  # ILSVRC 2012
}
GREY = frozenset({"digits", "MNIST", "FashionMNIST", "KMNIST", "QMNIST", "USPS", "SEMEION"})
"""Data sets whose images have one channel. All others have red, green and blue."""

TORCHVISION = (
    "Caltech101", "Caltech256", "CIFAR10", "CIFAR100", "Country211", "DTD", "EuroSAT", "FER2013",
    "FGVCAircraft", "FashionMNIST", "Flowers102", "Food101", "GTSRB", "Imagenette", "KMNIST",
    "MNIST", "OxfordIIITPet", "PCAM", "QMNIST", "RenderedSST2", "SEMEION", "STL10", "SUN397",
    "SVHN", "StanfordCars", "USPS",
)  # fmt: skip
"""Classification data sets of torchvision, named by their class."""

NAMES = (*_FACTS, *TORCHVISION)

_GONE, _EARLIER = "connectivity", ("images", "grid", "test_grid")
"""A data set that earlier programs made, and the fields that it alone had."""


@dataclass(frozen=True, slots=True)
class Data:
    """A data set and its split into three parts, the same for every trial of a study.

    Attributes:
        name: "digits", 1,797 handwritten digits of 8×8 pixels that come with scikit-learn;
            "cifar10", "cifar100";
            "imagenet" (folders train/ and val/ with one folder for each class); a classification
            data set of torchvision by the name of its class; or a function of yours by its import
            path, "package.module:function".
        imagefolder: instead of a name, a folder with one folder for each class. Or a folder of such
            folders, named train/ and test/ or by usual names of these parts; and val/, if it is not
            to be cut from train/.
        root: the folder that holds the files of a named data set, or receives their download.
        download: download missing files.
        image_size: side in pixels to which images are resized; None keeps their size. For
            photographs of many sizes, None is 224. In a study with `imagefolder` or "imagenet",
            None is the size that its architecture takes.
        split_seed: seed of the shuffle before the cut.
        val: fraction for validation, of all images outside the data set's test part.
        test: fraction for the test, if the data set has no test part.
        order: "shuffled"; or "contiguous": the test part is a run of neighbours in the file and
            comes from other sources than the rest. Without folds it is the end of the file.
        folds: number of equal cuts of the data set. Each is the test part of one fold.
        fold: index of the fold, from 0. The seeds of a study take the folds in turn, starting here.
        options: keyword arguments of your function.

    Raises:
        ValueError: fields contradict each other or are outside their range; the message says which.
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
        """Check the fields that a user's function takes."""
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
        """The name of the data set, or "imagefolder"."""
        return "imagefolder" if self.imagefolder is not None else self.name

    @property
    def is_imported(self) -> bool:
        """Whether the data come from a user's function."""
        return self.imagefolder is None and ":" in self.name

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON. `from_dict` is its inverse."""
        plain = asdict(self)
        # The fields of earlier programs stay, and `options` is written only if there are any: the
        # names of all other jobs depend on it.
        options = plain.pop("options")
        return plain | dict.fromkeys(_EARLIER) | ({} if options is None else {"options": options})

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Data:
        """Build from the plain data of `to_dict`, also of an earlier program.

        Raises:
            ValueError: a field is outside its range.
        """
        return cls(**as_written_now(plain))

    @property
    def facts(self) -> Facts | None:
        """Sizes that are known before loading; None for folders, torchvision classes and functions."""
        known = _FACTS.get(self.source)
        if known is None:
            return None
        return replace(known, image_size=self.image_size or known.image_size)

    @property
    def in_channels(self) -> int:
        return 1 if self.source in GREY else 3

    @property
    def sizes(self) -> tuple[int, int, int] | None:
        """Images in training, validation and test; None where only loading tells."""
        known = self.facts
        return None if known is None else self.cut(known.images, known.test)

    def cut(self, images: int, test: int) -> tuple[int, int, int]:
        """Images in training, validation and test, for a data set of `images` and `test` images.

        Args:
            images: images in the part that training and validation are cut from.
            test: images in the data set's test part; 0 if it has none.
        """
        val = round(self.val * images)
        if test:
            return images - val, val, test
        if self.folds is not None:
            test = (self.fold + 1) * images // self.folds - self.fold * images // self.folds
        else:
            test = round(self.test * images)
        return images - val - test, val, test


def as_written_now(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data of an earlier program in the form of a study file of now. A data set that is no
    longer part of the package becomes a function that does not exist: its trials can be read, and
    none can be trained."""
    current = {name: value for name, value in plain.items() if name not in _EARLIER}
    if plain.get("imagefolder") is None and plain["name"] == _GONE:
        options = {name: plain[name] for name in _EARLIER if plain.get(name) is not None}
        current |= {"name": f"{_GONE}:grids", "options": options}
    return current
