"""Data sets of a user's own function: cut, streamed, told apart, and refused with one line."""

import re
import sys
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image

from sret_search.job import Data
from sret_search.training import data

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on one core

load = data.load.__wrapped__
MODULE = """\
import numpy as np
import torch
from PIL import Image

def arrays(images=20, size=8, channels=1, dtype="uint8", test=0, val=0):
    def part(count, first):
        numbers = np.arange(first, first + count)
        shape = (count, channels, size, size)
        return np.broadcast_to(numbers[:, None, None, None], shape).astype(dtype), numbers % 5
    found = {"train": part(images, 0)}
    if test:
        found["test"] = part(test, 100)
    if val:
        found["val"] = part(val, 200)
    return found

class Pictures:
    def __init__(self, count):
        self.count = count
    def __len__(self):
        return self.count
    def __getitem__(self, number):
        return Image.new("RGB", (16, 12), (number, 0, 0)), number % 5

class Tensors(Pictures):
    def __getitem__(self, number):
        return torch.full((3, 8, 8), number / 255), number % 5

def pictures(count=20):
    return {"train": Pictures(count)}

def tensors(count=20):
    return {"train": Tensors(count)}

def given(value):
    return value

def wrong(what):
    images, labels = np.zeros((10, 8, 8), np.uint8), np.arange(10) % 5
    return {
        "nothing": None,
        "pair": (images, labels),
        "no_train": {"test": (images, labels)},
        "val_alone": {"train": (images, labels), "val": (images, labels)},
        "other_name": {"train": (images, labels), "valid": (images, labels)},
        "one_thing": {"train": (images,)},
        "number": {"train": 7},
        "fewer_labels": {"train": (images, labels[:-1])},
        "none_at_all": {"train": (images[:0], labels[:0])},
        "oblong": {"train": (images[:, :4], labels)},
        "last": {"train": (np.zeros((10, 8, 8, 3), np.uint8), labels)},
        "double": {"train": (images / 1.0, labels)},
        "bright": {"train": (images.astype(np.float32) + 2, labels)},
        "not_a_number": {"train": (images.astype(np.float32) * np.nan, labels)},
        "fractions": {"train": (images, labels / 2)},
        "negative": {"train": (images, labels - 1)},
        "other_size": {"train": (images, labels), "test": (images[:, :4, :4], labels)},
        "list_of_words": {"train": ["ab", "cd", "ef"]},
    }[what]

def fails():
    return 1 / 0

def leaves():
    raise SystemExit(3)

CONSTANT = 3
"""


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "mine_for_tests.py").write_text(MODULE)
    yield
    for name in ("mine_for_tests", "broken_for_tests"):
        sys.modules.pop(name, None)


def named(function, **options):
    return Data(f"mine_for_tests:{function}", options=options or None)


def seen(part):
    images, labels = zip(*part.batches(torch.arange(len(part)).split(4)), strict=True)
    return torch.cat(images), torch.cat(labels)


def numbers(split):
    return [seen(part)[0][:, 0, 0, 0].tolist() for part in (split.train, split.val, split.test)]


def test_one_part_is_cut_into_three():
    split = load(named("arrays"))
    cut = numbers(split)
    assert [len(part) for part in cut] == [14, 2, 4]
    assert sorted(chain.from_iterable(cut)) == list(range(20))
    assert (split.classes, split.in_channels, split.image_size) == (5, 1, 8)
    assert split.where == "mine_for_tests:arrays"
    assert seen(split.val)[1].tolist() == [number % 5 for number in cut[1]]


def test_parts_that_are_given_are_kept_and_join():
    split = load(named("arrays", images=12, test=3))
    train, val, test = numbers(split)
    assert (sorted(train + val), test) == (list(range(12)), [100, 101, 102])
    split = load(named("arrays", images=6, val=2, test=3, channels=3))
    assert numbers(split) == [list(range(6)), [200, 201], [100, 101, 102]]
    assert seen(split.whole.train)[0][:, 0, 0, 0].tolist() == [*range(6), 200, 201]
    assert split.in_channels == 3


def test_images_get_the_size_that_is_asked_for():
    assert load(replace(named("arrays"), image_size=4)).image_size == 4


def test_pictures_are_opened_as_they_are_seen_and_tensors_at_once():
    split = load(replace(named("pictures"), image_size=8))
    assert isinstance(split.train, data.StreamPart)
    assert seen(split.test)[0].shape == (4, 3, 8, 8)
    assert sorted(chain.from_iterable(numbers(split))) == list(range(20))
    split = load(named("tensors"))
    assert isinstance(split.train, data.MemoryPart)
    assert sorted(round(255 * value) for value in chain.from_iterable(numbers(split))) == list(
        range(20)
    )


def test_import_path_and_options_are_part_of_what_a_job_is():
    one, other = named("arrays", images=20), named("arrays", images=21)
    assert one != other
    assert one != named("pictures", images=20)
    assert Data.from_dict(one.to_dict()) == one
    assert one.to_dict()["options"] == {"images": 20}
    assert "options" not in Data().to_dict()
    assert len({one, other, named("arrays", images=20)}) == 2


WRONG = {
    "nothing": "returned a value of type NoneType; a mapping with `train`",
    "pair": "returned a value of type tuple",
    "no_train": "returned a mapping with test;",
    "val_alone": "returned a mapping with train, val;",
    "other_name": "returned a mapping with train, valid;",
    "one_thing": "returned as `train` 1 things; a pair of images and labels",
    "number": "returned as `train` a value of type int",
    "fewer_labels": "returned as `train` 10 images and 9 labels",
    "none_at_all": "labels of `train` something else",
    "oblong": "an array of (10, 1, 4, 8); (images, channels, pixels, pixels) is needed",
    "last": "an array of (10, 8, 8, 3)",
    "double": "images of `train` float64; uint8, or float32 in 0 to 1",
    "bright": "values from 2 to 2; 0 to 1 is needed",
    "not_a_number": "values from nan to nan",
    "fractions": "labels of `train` something else; whole numbers from 0",
    "negative": "labels of `train` something else; whole numbers from 0",
    "other_size": "size or number of channels as `test` than as `train`",
    "list_of_words": "cannot be read",
}


def refusal(given):
    with pytest.raises(data.DataError) as caught:
        load(given)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(("what", "fragment"), WRONG.items(), ids=WRONG)
def test_a_wrong_result_is_refused(what, fragment):
    assert fragment in str(refusal(named("wrong", what=what)))


def test_what_cannot_be_imported_or_called_is_refused(tmp_path):
    (tmp_path / "broken_for_tests.py").write_text("x = 1\nimport not_there_for_tests\n")
    assert "no module no_such_for_tests, neither" in str(refusal(Data("no_such_for_tests.a:f")))
    assert "no module mine_for_tests.a, neither" in str(refusal(Data("mine_for_tests.a:f")))
    said = str(refusal(Data("broken_for_tests:f")))
    assert said.startswith("the module broken_for_tests cannot be imported: ModuleNotFoundError")
    assert said.endswith(f"({tmp_path}/broken_for_tests.py:2)")
    assert "mine_for_tests.py has no arrys; did you mean arrays?" in str(refusal(named("arrys")))
    assert "no function or class named CONSTANT" in str(refusal(named("CONSTANT")))
    assert "failed: ZeroDivisionError: division by zero (" in str(refusal(named("fails")))
    assert "failed: SystemExit: 3" in str(refusal(named("leaves")))
    assert refusal(named("fails")).key == "name"
    error = refusal(named("arrays", imges=3))
    assert error.key == "options"
    assert "takes (images=20, " in str(error)
    assert "unexpected keyword argument 'imges'" in str(error)


@pytest.mark.parametrize(
    ("fields", "fragment"),
    [
        ({"name": "a b:c"}, "not of the form package.module:name"),
        ({"name": "a:b:c"}, "not of the form"),
        ({"name": "a:b", "root": "x"}, "leave out `root` and `download`"),
        ({"name": "digits", "options": {}}, "`options` are those of a function of your own"),
    ],
)
def test_a_mistake_in_the_fields_is_refused_without_importing(fields, fragment):
    with pytest.raises(ValueError, match=re.escape(fragment)):
        Data(**fields)


def test_grey_pictures_have_one_channel():
    options = {"value": {"train": [(Image.new("L", (8, 8), n), 0) for n in range(20)]}}
    split = load(replace(named("given", **options), image_size=8))
    assert (split.in_channels, split.classes) == (1, 1)
    assert np.array_equal(seen(split.train)[0].shape, (14, 1, 8, 8))
