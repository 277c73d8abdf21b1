"""The fields of `data` that only connectivity has: read as written, and refused by their place."""

from pathlib import Path

import pytest

from sret_search.job import Data
from sret_search.study import StudyError, load_study

SPACE = """\
architecture:
  image_size: 8
  in_channels: 3
  classes: 2
  stem_strides: [1]
  stages: [{width: 16, heads: 2}]
"""
HEAD = "study: small\nspace: space.yaml\ndata: "
# Each: what stands after `data:`, and a part of the message.
WRONG = {
    "root": ("{name: connectivity, root: a}", "made by seed: leave out `root`"),
    "download": ("{name: connectivity, download: true}", "leave out `root` and `download`"),
    "small_image": ("{name: connectivity, image_size: 4}", "`5 <= image_size <= 32` must hold for connectivity, but got 4"),
    "large_image": ("{name: connectivity, image_size: 33}", "but got 33"),
    "half_of_four": ("{name: connectivity, images: 602}", "`images` must be a multiple of 4, since four are made together, but got 602"),
    "no_images": ("{name: connectivity, images: 0}", "a multiple of 4"),
    "a_part_without_four": ("{name: connectivity, images: 8}", "each part needs an image"),
    "small_grid": ("{name: connectivity, grid: 4}", "`5 <= grid <= image_size` must hold, but got 4 of 8"),
    "large_grid": ("{name: connectivity, grid: 9}", "`5 <= grid <= image_size` must hold, but got 9 of 8"),
    "large_test_grid": ("{name: connectivity, image_size: 12, grid: 8, test_grid: 13}", "`5 <= test_grid <= image_size` must hold, but got 13 of 12"),
    "folds": ("{name: connectivity, folds: 5}", "made in three parts: leave out `folds` and `order`"),
    "order": ("{name: connectivity, order: contiguous}", "leave out `folds` and `order`"),
    "images_of_digits": ("{name: digits, images: 100}", "`images` is of the data set connectivity, not digits"),
    "grid_of_digits": ("{name: digits, grid: 8}", "`grid` is of the data set connectivity, not digits"),
    "test_grid_of_a_folder": ("{imagefolder: a, test_grid: 8}", "not imagefolder"),
    "misspelt": ("{name: conectivity}", "did you mean connectivity?"),
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("here")


def _load(data, space=SPACE):
    Path("space.yaml").write_text(space)
    Path("study.yaml").write_text(f"{HEAD}{data}\n")
    return load_study(Path("study.yaml"))


@pytest.mark.parametrize(("data", "fragment"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_named_by_its_line_and_column(data, fragment):
    with pytest.raises(StudyError) as caught:
        _load(data)
    assert str(caught.value).startswith("study.yaml:3:7: ")
    assert fragment in str(caught.value)


def test_a_wrong_type_is_named_where_it_stands():
    with pytest.raises(StudyError, match=r"^study\.yaml:3:34: a whole number is needed"):
        _load("{name: connectivity, grid: wide}")


def test_sizes_are_known_without_making_a_grid():
    study = _load("{name: connectivity, images: 1000, val: 0.15, test: 0.25, split_seed: 3}")
    assert study.file.data == Data("connectivity", images=1000, val=0.15, test=0.25, split_seed=3)
    assert study.sizes == (600, 152, 248)
    assert study.file.data.grids == (8, 8, 8)
    assert Data("connectivity").sizes == (4200, 600, 1200)


def test_what_is_made_together_stays_together():
    for images in (40, 44, 92, 1996):
        sizes = Data("connectivity", images=images, val=0.13, test=0.21).sizes
        assert sum(sizes) == images
        assert all(size % 4 == 0 for size in sizes)


def test_the_architecture_must_fit_the_grids():
    with pytest.raises(
        StudyError, match=r"space\.yaml:2:15: .*has image_size 12, but here it is 8"
    ):
        _load("{name: connectivity, image_size: 12}")
    with pytest.raises(StudyError, match=r"space\.yaml:4:12: .*has classes 2, but here it is 10"):
        _load("{name: connectivity}", SPACE.replace("classes: 2", "classes: 10"))
