"""Random changes of training images: each agrees with torchvision's, image by image."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sret_search.job import Augment
from sret_search.training import augment as module
from sret_search.training.augment import Augmenter, epoch_order, normalize
from sret_search.training.randaugment import RandAugment
from sret_search.training.vision import transforms

torch.set_num_threads(1)
functional = transforms.functional

B, S, K = 12, 16, 5
EVERYTHING = Augment(
    crop=(0.3, 1.0), flip=True, rotate=15.0, shear=10.0, translate=0.1, zoom=1.2,
    color_jitter=0.4, randaugment=9, erasing=0.5, mixup=0.8, cutmix=1.0,
)  # fmt: skip
COMPONENTS = {
    name: Augment(**{name: getattr(EVERYTHING, name)}) for name in EVERYTHING.__slots__[:-1]
}
each_component = pytest.mark.parametrize("augment", COMPONENTS.values(), ids=COMPONENTS)
channels = pytest.mark.parametrize("channels", [1, 3])


def _bytes(images=B, channels=3, size=S, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(
        256, (images, channels, size, size), generator=generator, dtype=torch.uint8
    )


def _smooth(images=B, channels=3, size=S):
    """Images without detail, on which two ways of resampling must agree."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(images, channels, 4, 4, generator=generator)
    return functional.resize(coarse, [size, size], antialias=True)


def _labels(images=B):
    return torch.arange(images) % K


def _augmenter(augment, channels=3, crops=True, **options):
    """One that leaves the values of raw images as they are."""
    return Augmenter(augment, [0.0] * channels, [1.0] * channels, K, crops=crops, **options)


def _run(augment, images, seed=0, **options):
    torch.manual_seed(seed)
    return _augmenter(augment, images.shape[1], **options)(images, _labels(len(images)))


# Normalising, and the whole.


def test_normalize_is_torchvisions_to_the_last_bit():
    mean, std = [0.4914, 0.4822, 0.4465], [0.247, 0.2435, 0.2616]
    images = torch.rand(B, 3, S, S)
    assert torch.equal(normalize(images, mean, std), functional.normalize(images, mean, std))
    scaled = functional.to_dtype(_bytes(), torch.float32, scale=True)
    assert torch.equal(normalize(_bytes(), mean, std), functional.normalize(scaled, mean, std))


@pytest.mark.parametrize("raw", [_bytes(), _bytes() / 255], ids=["bytes", "floats"])
def test_nothing_to_change_only_normalises_and_draws_nothing(raw):
    before = torch.random.get_rng_state()
    augmenter = Augmenter(Augment(repeats=3), [0.4] * 3, [0.2] * 3, K, crops=True)
    images, labels = augmenter(raw, _labels())
    assert torch.equal(images, normalize(raw, [0.4] * 3, [0.2] * 3))
    assert torch.equal(labels, _labels())
    assert torch.equal(before, torch.random.get_rng_state())


@channels
@pytest.mark.parametrize("images", [1, 2, B])
@pytest.mark.parametrize("size", [8, S])
def test_everything_together_is_finite_contiguous_and_leaves_its_input_alone(
    channels, images, size
):
    raw = _bytes(images, channels, size)
    kept = raw.clone()
    changed, targets = _run(EVERYTHING, raw.to(memory_format=torch.channels_last))
    assert changed.shape == raw.shape and changed.dtype == torch.float32
    assert changed.isfinite().all() and changed.is_contiguous()
    assert targets.shape == (images, K)
    assert torch.equal(raw, kept)


@each_component
@channels
def test_a_seed_fixes_every_change(augment, channels):
    first, again, other = (_run(augment, _bytes(channels=channels), seed) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


@each_component
def test_the_same_image_twice_in_a_batch_is_changed_in_two_ways(augment):
    if augment.mixup or augment.cutmix:
        pytest.skip("mixes images, which here are the same")
    images, _ = _run(augment, _bytes(1).expand(B, -1, -1, -1))
    assert len(images.unique(dim=0)) > 1


@each_component
def test_bytes_and_floats_are_changed_alike(augment):
    of_bytes, of_floats = (_run(augment, raw) for raw in (_bytes(), _bytes() / 255))
    torch.testing.assert_close(of_bytes, of_floats, atol=1e-5, rtol=0)


def test_only_mixing_touches_the_labels():
    unmixed = replace(EVERYTHING, mixup=0.0, cutmix=0.0)
    assert torch.equal(_run(unmixed, _bytes())[1], _labels())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@each_component
def test_a_seed_means_the_same_on_a_gpu(augment):
    here = _run(augment, _bytes())
    torch.manual_seed(0)
    there = _augmenter(augment)(_bytes().cuda(), _labels().cuda())
    far = (here[0] - there[0].cpu()).abs() > 0.01
    assert far.float().mean() < 0.02
    torch.testing.assert_close(there[1].cpu(), here[1])


# Geometry.


def _resample(images, boxes=None, angle=0.0, shear=0.0, zoom=1.0, shift=(0.0, 0.0), flip=False):
    n, size = len(images), images.shape[-1]
    boxes = [(0, 0, size, size)] * n if boxes is None else boxes
    inverse = module.inverse_matrices(
        torch.full((n,), math.radians(angle)),
        torch.full((n,), math.radians(shear)),
        torch.full((n,), zoom),
    )
    shifts = torch.tensor(shift).view(2, 1).expand(2, n)
    return module.resample(
        images, torch.tensor(boxes).float().T, inverse, shifts, torch.full((n,), flip)
    )


def test_half_of_the_images_are_flipped_exactly():
    raw = _bytes(400, size=4)
    images, _ = _run(Augment(flip=True), raw)
    plain = normalize(raw, [0.0] * 3, [1.0] * 3)
    kept, flipped = ((images == x).flatten(1).all(1) for x in (plain, plain.flip(-1)))
    assert (kept ^ flipped).all()
    assert 160 < flipped.sum() < 240


@pytest.mark.parametrize("size", [7, 8, 32])
def test_the_whole_image_as_a_crop_is_the_image(size):
    images = torch.rand(B, 3, size, size)
    torch.testing.assert_close(_resample(images), images, atol=1e-6, rtol=0)
    torch.testing.assert_close(_run(Augment(crop=(1, 1)), images)[0], images, atol=1e-6, rtol=0)
    torch.testing.assert_close(_resample(images, flip=True), images.flip(-1), atol=1e-6, rtol=0)


def test_a_crop_is_torchvisions_for_each_image():
    torch.manual_seed(0)
    images, boxes = torch.rand(B, 3, S, S), module.draw_boxes(B, S, (0.08, 1.0), (3 / 4, 4 / 3))
    expected = [
        functional.resized_crop(image, top, left, height, width, [S, S], antialias=True)
        for image, (left, top, width, height) in zip(images, boxes.int().T.tolist(), strict=True)
    ]
    ours = _resample(images, boxes.T.tolist())
    torch.testing.assert_close(ours, torch.stack(expected), atol=1e-5, rtol=0)


def test_the_loaders_crop_is_not_done_again():
    raw = _bytes()
    cropped = Augment(crop=(0.1, 0.3))
    assert torch.equal(_run(cropped, raw, crops=False)[0], _run(Augment(), raw)[0])
    assert not torch.equal(_run(cropped, raw, crops=True)[0], _run(Augment(), raw)[0])


@given(
    st.floats(-180, 180), st.floats(-60, 60), st.floats(0.5, 2), st.integers(-5, 5), st.integers(-5, 5)
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_moves_are_torchvisions_affine(angle, shear, zoom, right, down):
    images = _smooth(2)
    ours = _resample(images, None, angle, shear, zoom, (float(right), float(down)))
    theirs = functional.affine(
        images, angle, [right, down], zoom, [shear, 0.0],
        interpolation=transforms.InterpolationMode.BILINEAR,
    )  # fmt: skip
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_a_move_with_a_crop_is_one_after_the_other():
    images = _smooth(2, size=64)
    moved = _resample(images, angle=20.0)
    expected = _resample(moved, [(16, 20, 32, 24)] * 2)
    together = _resample(images, [(16, 20, 32, 24)] * 2, angle=20.0)
    torch.testing.assert_close(together, expected, atol=0.02, rtol=0)


def test_a_translation_alone_is_of_whole_pixels_within_its_range():
    image = torch.zeros(1, 1, S, S)
    image[..., 8, 8] = 1.0
    images, _ = _run(Augment(translate=0.2), image.expand(200, -1, -1, -1))
    _, _, y, x = (images > 0.999).nonzero().T
    assert len(x) == 200
    assert set(x.tolist()) == set(y.tolist()) == set(range(5, 12))


@pytest.mark.parametrize("area", [(0.08, 1.0), (0.5, 0.6), (0.9, 1.0), (1.0, 1.0)])
def test_crops_have_areas_and_ratios_in_their_range_and_lie_everywhere(area):
    torch.manual_seed(0)
    size = 1000
    left, top, width, height = module.draw_boxes(2000, size, area, (3 / 4, 4 / 3))
    areas, ratios = width * height / size**2, width / height
    assert areas.min() >= area[0] - 0.01 and areas.max() <= area[1] + 0.01
    assert float(areas.mean()) == pytest.approx(sum(area) / 2, abs=0.02)
    assert ratios.min() >= 0.74 and ratios.max() <= 1.35
    assert float(ratios.log().mean()) == pytest.approx(0, abs=0.02)
    for corner, side in ((left, width), (top, height)):
        room = size - side
        assert corner.min() >= 0 and (corner <= room).all()
        assert float(corner.sum()) == pytest.approx(float(room.sum()) / 2, rel=0.1)


# Colours.


@channels
@pytest.mark.parametrize("row", range(3), ids=["brightness", "contrast", "saturation"])
def test_colours_are_torchvisions_for_each_image(channels, row):
    images = torch.rand(B, channels, S, S)
    factors = torch.ones(3, B)
    factors[row] = torch.linspace(0, 2, B)
    adjust = (
        functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation
    )[row]  # fmt: skip
    expected = [adjust(i, f) for i, f in zip(images, factors[row].tolist(), strict=True)]
    ours = module.adjust_colors(images, factors)
    torch.testing.assert_close(ours, torch.stack(expected), atol=1e-5, rtol=0)


# RandAugment.


@channels
@pytest.mark.parametrize("magnitude", [0, 9, 30])
def test_each_image_gets_the_operation_it_drew_as_torchvision_does_it(channels, magnitude):
    policy = RandAugment(magnitude, S)
    theirs = transforms.RandAugment(magnitude=magnitude)
    drawn = torch.arange(len(policy.operations)).repeat(2).flip(0)
    images = _bytes(len(drawn), channels)
    expected = [
        theirs._apply_image_or_video_transform(
            image, *policy.operations[i], "nearest", theirs._fill
        )
        for image, i in zip(images, drawn, strict=True)
    ]
    assert torch.equal(policy.apply(images, drawn), torch.stack(expected))


def test_names_are_drawn_alike_and_each_goes_both_ways():
    policy = RandAugment(9, S)
    names = list(transforms.RandAugment._AUGMENTATION_SPACE)
    torch.manual_seed(0)
    drawn = [policy.operations[i] for i in policy.draw(14_000)]
    for name in names:
        signs = [math.copysign(1, m) for n, m in drawn if n == name]
        assert 850 < len(signs) < 1150
        if transforms.RandAugment._AUGMENTATION_SPACE[name][1]:
            assert abs(sum(signs)) < 150
    assert len(policy.operations) == 9 * 2 + 5


def test_two_operations_are_done():
    policy = RandAugment(9, S)
    torch.manual_seed(1)
    changed = policy(_bytes())
    torch.manual_seed(1)
    once = policy.apply(_bytes(), policy.draw(B))
    assert torch.equal(changed, policy.apply(once, policy.draw(B)))


# Erasing.


def test_erased_is_a_rectangle_of_noise_at_the_given_rate():
    zeros = torch.zeros(1000, 3, 32, 32)
    images, _ = _run(Augment(erasing=0.25), zeros)
    erased = (images != 0).any(1)
    areas = erased.float().mean((1, 2))
    assert torch.equal(erased, (images != 0).all(1))
    assert 200 < (areas > 0).sum() < 300
    assert areas[areas > 0].min() > 0.015 and areas.max() < 0.36
    sides = erased.any(2).sum(1) * erased.any(1).sum(1)
    assert torch.equal(sides, erased.sum((1, 2)))
    noise = images[images != 0]
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.std()) == pytest.approx(1, abs=0.01)
    assert noise.unique().numel() > 0.9 * noise.numel()


def test_erasing_comes_after_normalising():
    augmenter = Augmenter(Augment(erasing=1.0), [100.0], [1.0], K, crops=True)
    images, _ = augmenter(torch.zeros(B, 1, 32, 32), _labels())
    erased = images != -100
    assert erased.any() and images[erased].abs().max() < 10


# Mixing.


def _in_the_targets(images):
    """Images whose pixels say how much of each class is in them."""
    one_hot = torch.nn.functional.one_hot(_labels(images), K).float()
    return one_hot[:, :, None, None].expand(-1, -1, 4, 4)


@pytest.mark.parametrize("augment", [Augment(mixup=0.8), Augment(cutmix=1.0)], ids=str)
def test_targets_say_what_the_pixels_are_mixed_of(augment):
    for seed in range(5):
        images, targets = _run(augment, _in_the_targets(B), seed)
        torch.testing.assert_close(images.mean((2, 3)), targets)
        torch.testing.assert_close(targets.sum(1), torch.ones(B))
        if augment.cutmix:
            assert set(images.unique().tolist()) <= {0.0, 1.0}


def test_with_both_each_batch_takes_one_of_them():
    cut = 0
    for seed in range(100):
        images, _ = _run(Augment(mixup=1.0, cutmix=1.0), _in_the_targets(B), seed)
        cut += set(images.unique().tolist()) <= {0.0, 1.0}
    assert 30 < cut < 70


def test_smoothing_is_in_the_soft_targets():
    plain = _run(Augment(mixup=0.8), _bytes())[1]
    smooth = _run(Augment(mixup=0.8), _bytes(), label_smoothing=0.1)[1]
    torch.testing.assert_close(smooth, 0.9 * plain + 0.1 / K)


def test_an_image_alone_is_not_mixed_but_has_soft_targets():
    images, targets = _run(Augment(mixup=0.8), _bytes(1), label_smoothing=0.1)
    assert torch.equal(images, _run(Augment(), _bytes(1))[0])
    torch.testing.assert_close(targets, torch.tensor([[0.92, 0.02, 0.02, 0.02, 0.02]]))


# The order of an epoch.


def test_without_repeats_the_order_is_a_permutation_of_its_seed():
    generator = torch.Generator().manual_seed(7)
    before = torch.random.get_rng_state()
    assert torch.equal(epoch_order(100, 1, 7), torch.randperm(100, generator=generator))
    assert torch.equal(before, torch.random.get_rng_state())
    assert not torch.equal(epoch_order(100, 1, 7), epoch_order(100, 1, 8))


@given(st.integers(1, 300), st.integers(1, 6), st.integers(0, 2**62))
@settings(max_examples=60, deadline=None)
def test_repeats_fill_an_epoch_with_a_part_of_the_images(images, repeats, seed):
    order = epoch_order(images, repeats, seed)
    counts = order.bincount(minlength=images)
    assert len(order) == images == counts.sum()
    assert (counts > 0).sum() == math.ceil(images / repeats)
    assert counts.max() <= repeats
    # Only the end of the list is cut off.
    assert (repeats - counts[counts > 0]).sum() < repeats


def test_repeats_share_a_batch_but_are_no_neighbours():
    order = epoch_order(240, 3, 0)
    assert (order != order.roll(1)).all()
    assert all(len(batch.unique()) == 8 for batch in order.split(24))
