"""A data set and its split, as plain data that is complete before any image is loaded."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from sret_search.architecture.parts import STRICT
from sret_search.errors import nearest
from sret_search.job.require import require, require_import_path


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
    "connectivity": Facts(6000, 0, 8, 3, 2),  # made by seed, as many as are asked for
}
_OWN = {
    # data sets that need no folder, and the reason
    "digits": "the digits come with scikit-learn",
    "connectivity": "the grids of connectivity are made by seed",
}
_SMALLEST, _LARGEST = 5, 32  # cells a side of a grid

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


@dataclass(frozen=True, slots=True)
class Data:
    """A data set and its split into three parts, the same for every trial of a study.

    Attributes:
        name: "digits", 1,797 handwritten digits of 8×8 pixels that come with scikit-learn;
            "connectivity", grids of 5 to 32 pixels a side, one a cell, made by `split_seed`: does a
            path join the two marked cells? Half of each part are joined, evenly over path lengths,
            and neither the walls alone nor the marks alone tell which; "cifar10", "cifar100";
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
        images: of connectivity, how many are made in all, a multiple of 4; None for 6,000.
        grid: of connectivity, cells a side of the grids that training and validation see, each
            somewhere in its image; None for those that fill it.
        test_grid: likewise of the test part, where it is to have grids of another size.
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
    images: int | None = None
    grid: int | None = None
    test_grid: int | None = None
    options: dict[str, Any] | None = field(default=None, hash=False)

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        require(
            self.imagefolder is None or (self.name == "digits" and self.root is None),
            "`imagefolder` stands alone, without `name` or `root`",
        )
        require(
            self.imagefolder is not None or self.name in NAMES or ":" in self.name,
            f"unknown data set {self.name!r}; {nearest(self.name, NAMES)}"
            " (`imagefolder: path` is for your own images)",
        )
        self._check_imported()
        own = _OWN.get(self.source)
        placed = self.source == "imagefolder" or self.is_imported
        require(
            own is not None or placed or self.root is not None,
            f"the data set {self.name} needs `root`, the folder that its files are in",
        )
        require(
            own is None or (self.root is None and not self.download),
            f"{own}: leave out `root` and `download`",
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
        self._check_grids()
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

    def _check_grids(self) -> None:
        """Check the fields of connectivity."""
        if self.source != "connectivity":
            for name in ("images", "grid", "test_grid"):
                given = getattr(self, name)
                require(
                    given is None, f"`{name}` is of the data set connectivity, not {self.source}"
                )
            return
        require(
            self.folds is None and self.order == "shuffled",
            "connectivity is made in three parts: leave out `folds` and `order`",
        )
        side, images = self.image_size, self.images
        require(
            side is None or _SMALLEST <= side <= _LARGEST,
            f"`{_SMALLEST} <= image_size <= {_LARGEST}` must hold for connectivity, but got {side}",
        )
        require(
            images is None or (images > 0 and images % 4 == 0),
            f"`images` must be a multiple of 4, since four are made together, but got {images}",
        )
        for name, grid in zip(("grid", "test_grid"), (self.grid, self.test_grid), strict=True):
            most = side or _FACTS[self.source].image_size
            require(
                grid is None or _SMALLEST <= grid <= most,
                f"`{_SMALLEST} <= {name} <= image_size` must hold, but got {grid} of {most}",
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
        """Plain data for JSON. `Data(**plain)` is its inverse."""
        plain = asdict(self)
        # The key is written only if there are options: the names of all other jobs depend on its
        # absence.
        if self.options is None:
            del plain["options"]
        return plain

    @property
    def facts(self) -> Facts | None:
        """Sizes that are known before loading; None for folders, torchvision classes and functions."""
        known = _FACTS.get(self.source)
        if known is None:
            return None
        images, size = self.images or known.images, self.image_size or known.image_size
        return replace(known, images=images, image_size=size)

    @property
    def grids(self) -> tuple[int, int, int]:
        """Cells a side of the connectivity grids in training, validation and test."""
        known = self.facts
        side = self.grid or (known.image_size if known is not None else 0)
        return side, side, self.test_grid or side

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
        if self.source == "connectivity":
            return self._cut_fours(images // 4)
        val = round(self.val * images)
        if test:
            return images - val, val, test
        if self.folds is not None:
            test = (self.fold + 1) * images // self.folds - self.fold * images // self.folds
        else:
            test = round(self.test * images)
        return images - val - test, val, test

    def _cut_fours(self, fours: int) -> tuple[int, int, int]:
        """Images in each part. The four grids that are made together stay in the same part."""
        val, test = round(self.val * fours), round(self.test * fours)
        return 4 * (fours - val - test), 4 * val, 4 * test
