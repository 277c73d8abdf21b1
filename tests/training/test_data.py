"""Data sets: read from their official formats, cut, shared, streamed, and refused with one line."""

import hashlib
import itertools
import multiprocessing
import os
import pickle
import pwd
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image
from sklearn.datasets import load_digits

from sret_search.architecture import NLL, Architecture, Residual, Stage
from sret_search.job import Data
from sret_search.job.paths import PathError
from sret_search.training import data
from sret_search.training.data import cache, memory
from sret_search.training.vision import torchvision, transforms

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on one core

load = data.load.__wrapped__
SIZES = {"train": 40, "test": 10}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def cached(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sret_search"


def _seen(part, **options):
    """All images of a part, and their labels."""
    batches = torch.arange(len(part)).split(4)
    images, labels = zip(*part.batches(batches, **options), strict=True)
    return torch.cat(images), torch.cat(labels)


def _parts(split):
    return split.train, split.val, split.test


def _numbers(split):
    """The first value of each image, by which the made sets number them."""
    return [_seen(part)[0][:, 0, 0, 0].tolist() for part in _parts(split)]


def _refusal(**options):
    with pytest.raises(data.DataError) as caught:
        load(Data(**options))
    return _one_line(caught.value)


def _one_line(error):
    assert "\n" not in str(error)
    assert "Traceback" not in str(error)
    return str(error)


# Sets as they are on disk. Image `n` of a part is of value `n` and of class `n % 10`.


def _md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def _filled(count, *shape):
    values = np.arange(count, dtype=np.uint8).reshape(-1, *(1 for _ in shape))
    return np.broadcast_to(values, (count, *shape)).copy()


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    root = tmp_path / "cifar"
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)

    def write(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, _md5(folder / name)]

    def batch(first, last):
        images = _filled(last, 3072)[first:]
        images[:, 1024:2048] += 100  # green
        return {"data": images, "labels": [n % 10 for n in range(first, last)]}

    kind = torchvision.datasets.CIFAR10
    halves = [write(f"data_batch_{n + 1}", batch(20 * n, 20 * n + 20)) for n in range(2)]
    monkeypatch.setattr(kind, "train_list", halves)
    monkeypatch.setattr(kind, "test_list", [write("test_batch", batch(0, 10))])
    name, md5 = write("batches.meta", {"label_names": [f"class {n}" for n in range(10)]})
    monkeypatch.setattr(kind, "meta", {"filename": name, "key": "label_names", "md5": md5})
    return root


@pytest.fixture
def fashion(tmp_path):
    root = tmp_path / "fashion"
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, count in (("train", 40), ("t10k", 10)):
        for kind, array in (
            ("images-idx3", _filled(count, 28, 28)),
            ("labels-idx1", np.arange(count, dtype=np.uint8) % 10),
        ):
            header = b"\0\0\x08" + bytes([array.ndim])
            header += b"".join(side.to_bytes(4, "big") for side in array.shape)
            (folder / f"{name}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return root


@pytest.fixture
def svhn(tmp_path, monkeypatch):
    root = tmp_path / "svhn"
    root.mkdir()
    listed = {}
    for name, count in SIZES.items():
        file = root / f"{name}_32x32.mat"
        labels = np.arange(count) % 10
        labels[labels == 0] = 10  # as the authors have it
        images = _filled(count, 32, 32, 3).transpose(1, 2, 3, 0)
        scipy.io.savemat(file, {"X": images, "y": labels[:, None]})
        listed[name] = ["http://nowhere", file.name, _md5(file)]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", listed)
    return root


def _picture(number):
    """40×30 pixels: red tells the number, green the column, blue the row."""
    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[..., 0] = 10 * number
    pixels[..., 1] = 6 * np.arange(40)
    pixels[..., 2] = 8 * np.arange(30)[:, None]
    return Image.fromarray(pixels)


def _class_folders(folder, classes=("ant", "bee"), each=6, first=0):
    for place, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            value = first + place * each + number
            _picture(value).save(folder / name / f"{value:02d}.png")
    return folder


def _pictures(split):
    """The numbers of the pictures in each part, and their labels."""
    numbers, classes = [], []
    for part in _parts(split):
        images, labels = _seen(part)
        numbers.append((images[:, 0].float().mean((1, 2)) / 10).round().int().tolist())
        classes.append(labels.tolist())
        assert labels.equal(part.labels)
        assert images.dtype == torch.uint8
        assert images.shape[1:] == (3, split.image_size, split.image_size)
    return numbers, classes


def _joined(lists):
    return sorted(itertools.chain(*lists))


# The digits.


def test_the_digits_are_what_they_always_were():
    split = load(Data(split_seed=7))
    digits = load_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1) / 16
    order = torch.from_numpy(np.random.default_rng(7).permutation(1797))
    cuts = order.split(Data().sizes)
    seen = images[cuts[0]]
    assert split.mean == tuple(seen.mean((0, 2, 3)).tolist())
    assert split.std == tuple(seen.std((0, 2, 3)).tolist())
    whole = transforms.functional.normalize(images, list(split.mean), list(split.std))
    for part, cut in zip(_parts(split), cuts, strict=True):
        found, labels = _seen(part)
        assert torch.equal(
            transforms.functional.normalize(found, split.mean, split.std), whole[cut]
        )
        assert torch.equal(labels, torch.from_numpy(digits.target)[cut])
        assert torch.equal(labels, part.labels)
        assert labels.dtype == torch.int64
    assert (split.classes, split.image_size, split.in_channels) == (10, 8, 1)


def test_a_split_depends_on_its_seed_and_nothing_else():
    torch.manual_seed(0)
    first = [part.index.tolist() for part in _parts(load(Data(split_seed=7)))]
    torch.manual_seed(1)
    assert [part.index.tolist() for part in _parts(load(Data(split_seed=7)))] == first
    assert [part.index.tolist() for part in _parts(load(Data(split_seed=8)))] != first
    assert _joined(first) == list(range(1797))
    assert first[0] != sorted(first[0])


@pytest.mark.parametrize("order", ["shuffled", "contiguous"])
def test_folds_are_disjoint_and_cover_everything(order):
    tested = []
    for fold in range(7):
        options = Data(folds=7, fold=fold, order=order)
        split = load(options)
        train, val, test = (part.index.tolist() for part in _parts(split))
        assert sorted(train + val + test) == list(range(1797))
        assert (len(train), len(val), len(test)) == options.sizes
        tested += test
    assert sorted(tested) == list(range(1797))
    assert (tested == sorted(tested)) == (order == "contiguous")


def test_a_contiguous_test_is_a_run_of_neighbours_and_the_rest_is_shuffled():
    train, val, test = (part.index.tolist() for part in _parts(load(Data(order="contiguous"))))
    assert test == list(range(1797 - 359, 1797))
    assert sorted(train + val) == list(range(1797 - 359))
    assert train != sorted(train)
    fold = load(Data(order="contiguous", folds=4, fold=1))
    assert fold.test.index.tolist() == list(range(1797 // 4, 2 * 1797 // 4))


def test_the_digits_can_be_seen_larger():
    split = load(Data(image_size=16))
    assert _seen(split.val)[0].shape == (180, 1, 16, 16)
    assert split.image_size == 16


# Sets that are held in memory.


def _small(request, name):
    root = str(request.getfixturevalue(name))
    source = {"cifar10": "cifar10", "fashion": "FashionMNIST", "svhn": "SVHN"}[name]
    return Data(name=source, root=root)


@pytest.mark.parametrize(
    ("name", "channels", "size"), [("cifar10", 3, 32), ("fashion", 1, 28), ("svhn", 3, 32)]
)
def test_a_small_set_is_read_with_its_official_test(request, name, channels, size):
    split = load(_small(request, name))
    assert [len(part) for part in _parts(split)] == [36, 4, 10]
    for part in _parts(split):
        images, labels = _seen(part)
        assert (images.dtype, images.shape[1:]) == (torch.uint8, (channels, size, size))
        assert labels.tolist() == (images[:, 0, 0, 0] % 10).tolist() == part.labels.tolist()
    train, val, test = _numbers(split)
    assert sorted(train + val) == list(range(40))
    assert train != sorted(train)
    assert test == list(range(10))
    assert (split.classes, split.image_size, split.in_channels) == (10, size, channels)
    assert not split.train.cropped


def test_statistics_are_those_of_the_training_part(cifar10):
    split = load(Data(name="cifar10", root=str(cifar10)))
    images = _seen(split.train)[0].double() / 255
    assert split.mean == pytest.approx(images.mean((0, 2, 3)).tolist())
    assert split.std == pytest.approx(images.std((0, 2, 3)).tolist())
    assert split.mean[1] == pytest.approx(split.mean[0] + 100 / 255)


def test_another_size_is_made_once_and_kept_apart(cifar10, cached):
    options = Data(name="cifar10", root=str(cifar10))
    load(options)
    small = load(replace(options, image_size=8))
    assert _seen(small.train)[0].shape == (36, 3, 8, 8)
    assert _numbers(small) == _numbers(load(options))
    assert len(list(cached.glob("*.images.npy"))) == 4


def test_a_second_process_maps_the_same_file_and_decodes_nothing(cifar10, cached):
    options = Data(name="cifar10", root=str(cifar10))
    first = load(options)
    # In a fresh process these files fail the checks of torchvision: only the cache can serve.
    code = (
        "from pathlib import Path\n"
        "import torch\n"
        "from sret_search.job import Data\n"
        "from sret_search.training import data\n"
        f"part = data.load({options!r}).train\n"
        "(images, labels), = part.batches([torch.arange(len(part))])\n"
        "print(images[:, 0, 0, 0].tolist())\n"
        "print(Path('/proc/self/maps').read_text())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    numbers, maps = done.stdout.split("\n", 1)
    assert numbers == str(_numbers(first)[0])
    assert str(cached) in maps
    assert str(cached) in Path("/proc/self/maps").read_text()


def test_of_two_that_start_together_one_decodes(cifar10, monkeypatch):
    kept = []

    def keep(name, images, labels):
        kept.append(name)
        time.sleep(0.1)
        return real(name, images, labels)

    real = cache.keep
    monkeypatch.setattr(cache, "keep", keep)
    with ThreadPoolExecutor(2) as pool:
        splits = list(pool.map(load, [Data(name="cifar10", root=str(cifar10))] * 2))
    assert len(kept) == len(set(kept)) == 2  # training and test
    assert _numbers(splits[0]) == _numbers(splits[1])


def test_a_changed_file_is_read_anew(fashion):
    options = Data(name="FashionMNIST", root=str(fashion))
    load(options)
    file = fashion / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte"
    content = bytearray(file.read_bytes())
    content[-1] = 0
    file.write_bytes(content)
    os.utime(file, ns=(0, 0))
    assert load(options).test.labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 0]


def test_without_a_cache_folder_images_stay_in_the_process(cifar10, cached):
    cached.parent.mkdir()
    cached.write_text("not a folder")
    split = load(Data(name="cifar10", root=str(cifar10)))
    assert _joined(_numbers(split)[:2]) == list(range(40))


def test_a_cache_that_breaks_off_leaves_nothing_to_be_found(cached, monkeypatch):
    def full(path, write):
        raise OSError("No space left on device")

    monkeypatch.setattr(cache, "write_whole", full)
    images, labels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.arange(2)
    assert cache.keep("name", images, labels) == (images, labels)
    assert cache.find("name") is None


def test_a_part_on_another_device_holds_only_its_own_images(cifar10):
    part = load(Data(name="cifar10", root=str(cifar10))).val
    assert part.to("cpu") is part
    assert part.to("meta").images.shape == (4, 3, 32, 32)


# Sets that are streamed.


@pytest.fixture
def pool(tmp_path):
    return _class_folders(tmp_path / "pool")


def test_a_pool_of_class_folders_is_cut_into_three(pool):
    split = load(Data(imagefolder=str(pool), image_size=16, val=0.25, test=0.25))
    numbers, classes = _pictures(split)
    assert [len(part) for part in numbers] == [len(part) for part in _parts(split)] == [6, 3, 3]
    assert _joined(numbers) == list(range(12))
    assert classes == [[number // 6 for number in part] for part in numbers]
    assert split.train.cropped
    assert (split.classes, split.image_size, split.in_channels) == (2, 16, 3)
    assert split.mean == (0.485, 0.456, 0.406)


def test_streams_are_224_pixels_wide_unless_told(pool):
    split = load(Data(imagefolder=str(pool)))
    assert _seen(split.val)[0].shape == (1, 3, 224, 224)
    assert split.image_size == 224


@pytest.mark.parametrize("other", ["test", "val"])
def test_train_and_test_folders_are_kept_apart(tmp_path, other):
    _class_folders(tmp_path / "set" / "train")
    _class_folders(tmp_path / "set" / other, each=2, first=12)
    split = load(Data(imagefolder=str(tmp_path / "set"), image_size=8, val=0.25))
    train, val, test = _pictures(split)[0]
    assert (len(train), len(val)) == (9, 3)
    assert sorted(train + val) == list(range(12))
    assert test == [12, 13, 14, 15]


def test_a_validation_folder_is_taken_as_it_is(tmp_path):
    for place, name in enumerate(("train", "val", "test")):
        _class_folders(tmp_path / "set" / name, each=2, first=4 * place)
    split = load(Data(imagefolder=str(tmp_path / "set"), image_size=8))
    assert _pictures(split)[0] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_the_validation_images_of_imagenet_are_its_test(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    _class_folders(tmp_path / "ilsvrc" / "train", classes=("n01", "n02"), each=10)
    _class_folders(tmp_path / "ilsvrc" / "val", classes=("n01", "n02"), each=2, first=20)
    split = load(Data(name="imagenet", root="~/ilsvrc", image_size=8))
    assert [len(part) for part in _parts(split)] == [18, 2, 4]
    assert _pictures(split)[0][2] == [20, 21, 22, 23]


def test_a_set_of_torchvision_in_one_pool_is_streamed(tmp_path):
    _class_folders(tmp_path / "eurosat" / "2750")
    split = load(Data(name="EuroSAT", root=str(tmp_path), image_size=8, val=0.25, test=0.25))
    numbers, classes = _pictures(split)
    assert _joined(numbers) == list(range(12))
    assert classes == [[number // 6 for number in part] for part in numbers]


def test_a_set_of_torchvision_with_named_splits_is_streamed(tmp_path):
    _class_folders(tmp_path / "dtd" / "dtd" / "images")
    labels = tmp_path / "dtd" / "dtd" / "labels"
    labels.mkdir()
    files = [f"{'ant' if n < 6 else 'bee'}/{n:02d}.png" for n in range(12)]
    (labels / "train1.txt").write_text("\n".join(files[8:1:-1]))
    (labels / "test1.txt").write_text("\n".join(files[:2] + files[9:]))
    split = load(Data(name="DTD", root=str(tmp_path), image_size=8, val=0.2))
    numbers, classes = _pictures(split)
    assert _joined(numbers[:2]) == [2, 3, 4, 5, 6, 7, 8]
    assert numbers[2] == [0, 1, 9, 10, 11]
    assert classes == [[number // 6 for number in part] for part in numbers]


def test_images_that_only_torchvision_can_open_are_streamed(tmp_path):
    folder = tmp_path / "caltech101" / "101_ObjectCategories"
    for place, name in enumerate(("ant", "bee", "BACKGROUND_Google")):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            _picture(4 * place + number).save(folder / name / f"image_{number + 1:04d}.jpg")
    options = {"name": "Caltech101", "root": str(tmp_path), "image_size": 8}
    split = load(Data(**options, val=0.25, test=0.25))
    numbers, classes = _pictures(split)
    assert _joined(numbers) == list(range(8))
    assert classes == [[number // 4 for number in part] for part in numbers]
    (folder / "ant" / "image_0003.jpg").write_bytes(b"no image")
    with pytest.raises(data.DataError) as caught:
        [_seen(part) for part in _parts(split)]
    assert f"image 2 of Caltech101 in {tmp_path}" in _one_line(caught.value)


def test_a_set_too_large_for_memory_is_streamed(fashion, monkeypatch):
    monkeypatch.setattr(data.library, "_MOST", 1000)
    split = load(Data(name="FashionMNIST", root=str(fashion), image_size=16))
    images, labels = _seen(split.test)
    assert images.shape == (10, 1, 16, 16)
    assert labels.tolist() == images[:, 0, 0, 0].tolist() == list(range(10))
    assert len(split.mean) == len(split.std) == split.in_channels == 1


def test_evaluation_sees_the_middle_of_an_image(pool):
    part = load(Data(imagefolder=str(pool), image_size=26)).test  # of 30, seven eighths
    image = _seen(part)[0][0].float()
    # At its own size, a green level is 6 a column of 40 and a blue one 8 a row of 30.
    assert image[1].mean() == pytest.approx(6 * 19.5, abs=1.5)
    assert image[2].mean() == pytest.approx(8 * 14.5, abs=1.5)
    assert image[1, 0].tolist() == pytest.approx([6 * n for n in range(7, 33)], abs=1.5)


def test_a_crop_depends_on_its_seed_and_position_alone(pool):
    part = load(Data(imagefolder=str(pool), image_size=16)).train
    batches = torch.tensor([0, 0, 0, 1, 2, 3, 1, 0]).split(2)

    def cropped(batches, **options):
        return torch.cat([images for images, _ in part.batches(batches, (0.2, 0.5), **options)])

    torch.manual_seed(5)
    first = cropped(batches, seed=3)
    assert first.shape == (8, 3, 16, 16)
    assert not torch.equal(first[0], first[1])
    torch.set_num_threads(2)
    assert data.data_workers() == 2
    assert torch.equal(cropped(batches, seed=3), first)
    assert torch.equal(cropped(batches[1:], seed=3, start=2), first[2:])
    assert torch.equal(cropped(torch.cat(batches).split(3), seed=3), first)
    assert not torch.equal(cropped(batches, seed=4), first)


def test_streaming_draws_nothing_from_the_generator_of_the_training(pool):
    part = load(Data(imagefolder=str(pool), image_size=8)).train
    before = torch.get_rng_state()
    _seen(part, crop=(0.5, 1.0), seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stream_that_is_left_early_ends_its_workers(pool):
    part = load(Data(imagefolder=str(pool), image_size=8)).train
    stream = part.batches(torch.arange(len(part)).split(1))
    next(stream)
    stream.close()
    assert torch.multiprocessing.active_children() == []


# What is refused.


def test_missing_files_are_named_with_what_to_do(tmp_path):
    said = _refusal(name="cifar10", root=str(tmp_path / "none"))
    assert said == (
        f"no CIFAR10 in {tmp_path / 'none'}: put its files there, or say `download: true`"
    )
    assert _refusal(name="USPS", root=str(tmp_path)).startswith(f"no USPS in {tmp_path}: put its")
    assert "download" not in _refusal(name="imagenet", root=str(tmp_path))


def test_a_root_that_is_not_the_right_one_is_named(cifar10):
    inside = cifar10 / "cifar-10-batches-py"
    assert f"no CIFAR10 in {inside}" in _refusal(name="cifar10", root=str(inside))
    assert f"no SVHN in {cifar10}" in _refusal(name="SVHN", root=str(cifar10))


def test_a_corrupted_file_is_named(cifar10, fashion, svhn):
    file = cifar10 / "cifar-10-batches-py" / "data_batch_2"
    file.write_bytes(file.read_bytes()[:-5])
    assert f"{file} is corrupted" in _refusal(name="cifar10", root=str(cifar10))
    file = svhn / "test_32x32.mat"
    file.write_bytes(b"")
    assert f"{file} is corrupted" in _refusal(name="SVHN", root=str(svhn))
    file = fashion / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-5])
    said = _refusal(name="FashionMNIST", root=str(fashion))
    assert said.startswith(f"cannot read FashionMNIST in {fashion}: ")


def test_a_download_that_fails_is_one_line(tmp_path, monkeypatch):
    def fail(self):
        raise RuntimeError("Error downloading x:\nTried here, got:\nno route")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", fail)
    said = _refusal(name="MNIST", root=str(tmp_path), download=True)
    assert said.startswith(f"MNIST cannot be downloaded to {tmp_path}")
    assert said.endswith("Tried here, got: no route")


def test_labels_that_are_not_there_are_an_error(tmp_path, monkeypatch):
    folder = tmp_path / "fer2013"
    folder.mkdir()
    pixels = " ".join(["7"] * 48 * 48)
    (folder / "train.csv").write_text(f"emotion,pixels\n3,{pixels}\n")
    (folder / "test.csv").write_text(f"pixels\n{pixels}\n")
    resources = {name: (f"{name}.csv", _md5(folder / f"{name}.csv")) for name in ("train", "test")}
    resources |= {"fer": ("fer2013.csv", ""), "icml": ("icml_face_data.csv", "")}
    monkeypatch.setattr(torchvision.datasets.FER2013, "_RESOURCES", resources)
    assert f"FER2013 in {tmp_path}" in _refusal(name="FER2013", root=str(tmp_path))


def test_folders_that_are_no_image_folders_are_named(tmp_path, pool):
    missing = tmp_path / "missing"
    assert f"no folder of images at {missing}" in _refusal(imagefolder=str(missing))
    assert f"{pool / 'ant'} has no class folders" in _refusal(imagefolder=str(pool / "ant"))
    (pool / "cat").mkdir()
    (pool / "cat" / "notes.txt").write_text("no image")
    assert f"class folder {pool / 'cat'} has no images" in _refusal(imagefolder=str(pool))


def test_train_needs_a_test_of_the_same_classes(tmp_path):
    _class_folders(tmp_path / "set" / "train")
    _class_folders(tmp_path / "set" / "test", classes=("ant", "cow"))
    said = _refusal(imagefolder=str(tmp_path / "set"))
    assert f"{tmp_path}/set/train and {tmp_path}/set/test need the same class folders" in said
    assert "bee" in said


@pytest.mark.parametrize("kind", ["truncated", "no image", "gone"])
def test_an_image_that_cannot_be_read_is_named(pool, kind):
    split = load(Data(imagefolder=str(pool), image_size=8))
    file = pool / "bee" / "08.png"
    if kind == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:60] if kind == "truncated" else b"text")
    with pytest.raises(data.DataError) as caught:
        [_seen(part) for part in _parts(split)]
    assert f"cannot read {file}: " in _one_line(caught.value)


def test_a_set_with_its_own_test_is_not_cut_in_folds(fashion):
    said = _refusal(name="FashionMNIST", root=str(fashion), folds=3)
    assert said == (
        f"FashionMNIST in {fashion} has a test part of its own: leave out `folds` and `order`"
    )


def test_each_part_needs_an_image(pool):
    said = _refusal(imagefolder=str(pool), val=0.01)
    assert said == f"each part needs an image, but val 0.01 and test 0.2 leave (10, 0, 2) of {pool}"


def test_an_architecture_must_fit_its_data(fashion):
    split = load(Data(name="FashionMNIST", root=str(fashion)))
    fitting = Architecture(
        image_size=28, in_channels=1, classes=10, stem_strides=(2, 2),
        stages=(Stage(width=8, heads=2, unique=1, loops=1, groups=(1,), mlp_ratio=2.0),),
        nll=NLL("block"), residual=Residual("lrc"), permutation="official", drop_path=0.0,
    )  # fmt: skip
    data.check(split, fitting)
    for change, said in (
        ({"classes": 7}, "10 classes, but the architecture has 7"),
        ({"in_channels": 3}, "1 channels, but the architecture has 3"),
        ({"image_size": 32}, "28 pixels a side, but the architecture has 32"),
    ):
        with pytest.raises(data.DataError) as caught:
            data.check(split, replace(fitting, **change))
        assert _one_line(caught.value) == f"FashionMNIST in {fashion} has {said}"


def test_resizing_in_chunks_changes_nothing(monkeypatch):
    images = torch.randint(256, (7, 3, 12, 12), dtype=torch.uint8)
    whole = memory.resized(images, 5)
    monkeypatch.setattr(memory, "_CHUNK", 2)
    assert torch.equal(memory.resized(images, 5), whole)


# Which folders are parts.


def _folders(root, **parts):
    """Folders `parts` of the classes ant and bee, two images each, numbered through."""
    for place, name in enumerate(parts):
        _class_folders(root / name, each=2, first=4 * place)
    return Data(imagefolder=str(root), image_size=8, val=0.5)


def _told_parts(root, *names):
    split = load(_folders(root, **dict.fromkeys(names)))
    numbers = _pictures(split)[0]
    assert (split.classes, len(split.train.index)) == (2, len(numbers[0]))
    return numbers, str(split.contents)


@pytest.mark.parametrize(
    ("train", "other"),
    [
        ("train", "validation"), ("Training", "Testing"), ("Train", "Test"), ("TRAIN", "dev"),
        ("train", "Valid"), ("training_set", "test_set"), ("trainset", "valset"), ("trn", "tst"),
        ("TrainImages", "EvalImages"), ("train2017", "val2017"), ("seg_train", "seg_test"),
    ],
)  # fmt: skip
def test_folders_are_parts_by_what_people_call_them(tmp_path, train, other):
    numbers, told = _told_parts(tmp_path / "set", train, other)
    assert _joined(numbers[:2]) == [0, 1, 2, 3]
    assert numbers[2] == [4, 5, 6, 7]
    assert told == f"training: {train}/, validation: cut from {train}/, test: {other}/"


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "DEV", "valid_set"])
def test_a_validation_folder_is_used_by_any_of_its_names(tmp_path, name):
    numbers, told = _told_parts(tmp_path / "set", "train", name, "test")
    assert numbers == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert told == f"training: train/, validation: {name}/, test: test/"


def test_the_parts_of_imagenet_are_known_by_their_names_too(tmp_path):
    _folders(tmp_path / "ilsvrc", ILSVRC2012_img_train=0, Validation=0)
    (tmp_path / "ilsvrc" / "test").mkdir()  # without labels
    split = load(Data(name="imagenet", root=str(tmp_path / "ilsvrc"), image_size=8, val=0.5))
    assert _pictures(split)[0][2] == [4, 5, 6, 7]
    (tmp_path / "ilsvrc" / "val").mkdir()
    said = _refusal(name="imagenet", root=str(tmp_path / "ilsvrc"))
    assert said.endswith("ilsvrc needs one folder val/, but has Validation/ and val/ for it")


def test_what_lies_beside_the_parts_without_images_is_no_class(tmp_path):
    given = _folders(tmp_path / "set", train=0, test=0)
    (tmp_path / "set" / "labels").mkdir()
    (tmp_path / "set" / "labels" / "labels.csv").write_text("a,b")
    assert _pictures(load(given))[0][2] == [4, 5, 6, 7]


def _two_ways(root):
    said = _refusal(imagefolder=str(root))
    start = f"{root} can be read in two ways: with "
    assert said.startswith(start)
    return said.removeprefix(start)


def test_two_folders_for_one_part_are_refused(tmp_path):
    _folders(tmp_path, train=0, val=0, Valid=0, test=0)
    assert _two_ways(tmp_path) == (
        "Valid/ and val/ both as the validation part; or with the classes"
        " Valid/, test/, train/ and val/: leave only one of Valid/ and val/ there"
    )


def test_parts_beside_classes_are_refused(tmp_path):
    _class_folders(tmp_path / "train", classes=("freight", "tram"))
    _class_folders(tmp_path, classes=("bus", "plane"))
    assert _two_ways(tmp_path) == (
        "train/ as the training part, and bus/ and plane/ left over; or with the classes bus/,"
        " plane/ and train/: put bus/ and plane/ elsewhere, or give train/ another name"
    )
    _class_folders(tmp_path / "test", classes=("freight", "tram"))
    assert "train/ and test/ another name" not in _two_ways(tmp_path)
    assert _two_ways(tmp_path).endswith("or give test/ and train/ another name")


@pytest.mark.parametrize(
    "names",
    [
        ("bus", "plane", "train"), ("control", "test", "zero"), ("invalid", "torn", "valid"),
        ("design", "development", "testing"), ("bus stop", "crash test", "train station"),
    ],
)  # fmt: skip
def test_a_class_named_as_a_part_is_a_class_where_it_has_the_images_itself(tmp_path, names):
    _class_folders(tmp_path, classes=names, each=4)
    split = load(Data(imagefolder=str(tmp_path), image_size=8, val=0.25, test=0.25))
    numbers, classes = _pictures(split)
    assert _joined(numbers) == list(range(12))
    assert classes == [[number // 4 for number in part] for part in numbers]
    assert str(split.contents) == f"all parts are cut from the 3 class folders of {tmp_path.name}/"


def test_parts_without_one_to_train_on_or_to_test_on_are_refused(tmp_path):
    _folders(tmp_path / "a", train=0)
    assert _two_ways(tmp_path / "a") == (
        "train/ as the training part, without a test part; or with the only class train/: add a"
        f" folder test/ of the same classes, or name {tmp_path}/a/train, which is then cut into"
        " training, validation and test"
    )
    _folders(tmp_path / "b", val=0, test=0)
    assert "and nothing to train on; or with the classes test/ and val/" in _two_ways(
        tmp_path / "b"
    )
    _class_folders(tmp_path / "c", classes=("train", "test"))
    assert "train has no class folders" in _refusal(imagefolder=str(tmp_path / "c"))
    _class_folders(tmp_path / "c", classes=("unlabelled",))
    assert "as the training part, and unlabelled/ left over" in _two_ways(tmp_path / "c")


def test_parts_below_classes_are_refused(tmp_path):
    for name in ("ant", "bee"):
        _class_folders(tmp_path / "a" / name, classes=("train", "test"), each=1)
    said = _refusal(imagefolder=str(tmp_path / "a"))
    assert said.startswith(f"{tmp_path}/a/ant has test/ and train/ in it, which are named as parts")
    assert said.endswith(f"as in {tmp_path}/a/train/ant, or give these folders other names")
    _folders(tmp_path / "b" / "cats_and_dogs", train=0, validation=0)
    assert _refusal(imagefolder=str(tmp_path / "b")).endswith(
        f": name {tmp_path}/b/cats_and_dogs itself"
    )


def test_imagefolders_keep_the_order_that_cuts_them(tmp_path):
    """Studies of earlier versions go on: images come as torchvision lists them."""
    _class_folders(tmp_path, each=5)
    _class_folders(tmp_path / "bee" / "2", classes=("a",), each=2, first=10)
    listed = torchvision.datasets.ImageFolder(str(tmp_path)).samples
    found = data.folders.imagefolder(tmp_path).train
    assert [(found.files.name(n), int(found.labels[n])) for n in range(len(listed))] == listed


# Links, and what is no image.


def test_links_are_followed_but_not_into_themselves(tmp_path):
    root = _class_folders(tmp_path / "set")
    elsewhere = _class_folders(tmp_path / "elsewhere", classes=("more",), each=2, first=12)
    for above in (root / "ant", root, tmp_path):
        (root / "ant" / f"up{above.name}").symlink_to(above)
    (root / "bee" / "more").symlink_to(elsewhere / "more")
    (elsewhere / "more" / "back").symlink_to(root / "bee")
    split = load(Data(imagefolder=str(root), image_size=8, val=0.25, test=0.25))
    numbers, classes = _pictures(split)
    assert _joined(numbers) == list(range(14))
    assert classes == [[int(number >= 6) for number in part] for part in numbers]
    assert split.notes == (f"{root}: passed over links to a folder around them (3)",)


def test_a_file_with_several_names_is_one_image(tmp_path):
    root = _class_folders(tmp_path / "set")
    (root / "ant" / "a link.png").symlink_to(root / "ant" / "01.png")
    (root / "ant" / "z hard.png").hardlink_to(root / "ant" / "02.png")
    (root / "bee" / "again").symlink_to(root / "bee" / "more")
    _class_folders(root / "bee", classes=("more",), each=2, first=12)
    found = data.folders.imagefolder(root).train
    assert len(found.labels) == 14
    assert not any("again" in found.files.name(n) for n in range(14))
    numbers, _ = _pictures(load(Data(imagefolder=str(root), image_size=8, val=0.25, test=0.25)))
    assert _joined(numbers) == list(range(14))


@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "hard link"])
def test_a_file_of_two_classes_is_refused(tmp_path, kind):
    root = _class_folders(tmp_path / "set")
    if kind == "link to a folder":
        (root / "bee" / "ants").symlink_to(root / "ant")
        other = root / "bee" / "ants" / "00.png"
    else:
        other = root / "bee" / "ant.png"
        link = other.hardlink_to if kind == "hard link" else other.symlink_to
        link(root / "ant" / "00.png")
    assert _refusal(imagefolder=str(root)) == (
        f"{root}/ant/00.png and {other} are one file, which cannot have two labels: remove one of"
        " the two"
    )


def test_a_file_in_two_parts_is_refused(tmp_path):
    given = _folders(tmp_path / "set", train=0, test=0)
    (tmp_path / "set" / "test" / "bee" / "seen.png").symlink_to(
        tmp_path / "set" / "train" / "bee" / "02.png"
    )
    assert _refusal(imagefolder=given.imagefolder).endswith(
        "test/bee/seen.png are one file, which cannot be in two parts: remove one of the two"
    )
    (tmp_path / "set" / "test" / "bee" / "seen.png").unlink()
    (tmp_path / "set" / "validation").symlink_to(tmp_path / "set" / "test")
    assert "be in two parts" in _refusal(imagefolder=given.imagefolder)


def test_files_of_one_number_on_two_disks_are_two_images(tmp_path, monkeypatch):
    root = _class_folders(tmp_path / "set")
    monkeypatch.setattr(data.walking, "_inode", lambda entry: 7)
    assert len(data.folders.imagefolder(root).train.labels) == 12


def test_what_is_no_image_is_passed_over_and_counted(tmp_path):
    root = _class_folders(tmp_path / "set")
    expected = _pictures(load(Data(imagefolder=str(root), image_size=8)))
    for name in (".ipynb_checkpoints", "__MACOSX", "ant/.thumbnails", "bee/@eaDir"):
        (root / name).mkdir()
        (root / name / "00.png").write_bytes(b"no image")
    for name in (".DS_Store", "ant/._00.png", "bee/Thumbs.db"):
        (root / name).write_bytes(b"no image")
    for name in ("ant/a.jfif", "ant/b.JFIF", "bee/a.heic", "bee/README"):
        (root / name).write_bytes(b"no image")
    _picture(1).save(root / "stray.png")
    split = load(Data(imagefolder=str(root), image_size=8))
    assert _pictures(split) == expected
    assert split.notes == (
        f"{root}: passed over files that do not end as images do (2 .jfif, 1 .heic, 1 no ending);"
        " hidden (7); outside of the class folders (1)",
    )
    for number in range(6):
        (root / "ant" / f"{number:02d}.png").rename(root / "ant" / f"{number}.gif")
    assert _refusal(imagefolder=str(root)).endswith(
        "; there are files that do not end as images do (6 .gif, 2 .jfif), hidden (2)"
    )


# A machine without a home, and a damaged cache.


def test_without_a_home_folder_sets_are_read_and_that_is_said(cifar10, monkeypatch):
    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    split = load(Data(name="cifar10", root=str(cifar10)))
    assert _joined(_numbers(split)[:2]) == list(range(40))
    assert split.notes == (
        f"CIFAR10 in {cifar10} is decoded again by each trial, since it cannot be kept (this user has"
        " no home folder): set XDG_CACHE_HOME to another folder",
    )
    for given in ({"imagefolder": "~/photos"}, {"name": "SVHN", "root": "~/photos"}):
        assert _refusal(**given).startswith(
            "~/photos: there is no home folder ~; write the whole path"
        )
    with pytest.raises(PathError, match="no home folder"):
        data.same_set(Data(imagefolder="~/photos"), Data())


def test_a_home_that_cannot_be_written_is_said(pool, cifar10, cached):
    cached.parent.mkdir()
    cached.write_text("not a folder")
    split = load(Data(name="cifar10", root=str(cifar10)))
    assert _joined(_numbers(split)[:2]) == list(range(40))
    (note,) = split.notes
    assert f"since it cannot be kept ([Errno 17] File exists: '{cached}')" in note
    assert load(Data(imagefolder=str(pool))).notes == ()  # which needs no cache


@pytest.mark.parametrize(
    "damage", ["no labels", "no images", "short", "empty", "zeroed", "one bit", "labels", "both"]
)
def test_a_damaged_cache_is_made_anew(cifar10, cached, damage):
    options = Data(name="cifar10", root=str(cifar10))
    expected = _numbers(load(options))
    images, labels = sorted(cached.glob("*.images.npy")), sorted(cached.glob("*.labels.np*"))
    assert len(images) == len(labels) == 2
    for file in {"no labels": labels, "labels": labels}.get(damage, images):
        content = bytearray(file.read_bytes())
        if damage in ("no labels", "no images"):
            file.unlink()
        elif damage == "short":
            file.write_bytes(content[:-100])
        elif damage == "empty":
            file.write_bytes(b"")
        elif damage == "zeroed":
            file.write_bytes(content[:200] + bytes(len(content) - 200))
        else:
            content[-20 if damage == "labels" else -1] ^= 1
            file.write_bytes(content)
    if damage == "both":
        for file in labels:
            file.write_bytes(b"")
    assert _numbers(load(options)) == expected
    whole = {file: file.stat().st_mtime_ns for file in cached.glob("*.np*")}
    assert _numbers(load(options)) == expected
    assert {file: file.stat().st_mtime_ns for file in cached.glob("*.np*")} == whole


# A container's shared memory.


def test_images_leave_a_worker_through_its_pipe(pool, monkeypatch):
    part = load(Data(imagefolder=str(pool), image_size=16)).train
    loaders = []

    def loader(dataset, **options):
        loaders.append(dataset)
        return real(dataset, **options)

    real = data.streams.DataLoader
    monkeypatch.setattr(data.streams, "DataLoader", loader)
    images, _ = _seen(part)
    sent = loaders[0].__getitems__(list(enumerate(part.index.tolist())))
    # What a tensor is pickled to for another process is a name of its shared memory.
    content = bytes(ForkingPickler.dumps(sent))
    assert images.numpy().tobytes() in content
    assert torch.equal(pickle.loads(content).tensor(), images)


@pytest.mark.parametrize(
    "error", [OSError(38, "Function not implemented"), ImportError("sem_open")]
)
def test_without_semaphores_the_same_images_are_decoded_without_workers(pool, monkeypatch, error):
    def refuse(*args, **kwargs):
        raise error

    part = load(Data(imagefolder=str(pool), image_size=16)).train
    expected, middle = _seen(part, crop=(0.2, 0.5), seed=3)[0], _seen(part)[0]
    monkeypatch.setattr(multiprocessing, "Lock", refuse)
    for kind in ("Queue", "SimpleQueue", "Event"):
        monkeypatch.setattr(torch.multiprocessing, kind, refuse)
    assert data.no_workers() == str(error)
    before = torch.get_rng_state()
    assert torch.equal(_seen(part, crop=(0.2, 0.5), seed=3)[0], expected)
    assert torch.equal(_seen(part)[0], middle)
    assert torch.equal(torch.get_rng_state(), before)
