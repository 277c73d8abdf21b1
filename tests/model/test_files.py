"""Files that have no weights, or ask for more than they have: one line, what to do, no memory."""

import json
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sret_search.architecture.variants import VARIANTS
from sret_search.model import CheckpointError, SReT, load, load_official, save, training_of
from sret_search.training.pretrained import PretrainedError, load_model, provenance

DIGITS = VARIANTS["sret_digits"]
PAGE = b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
CASES = {
    "empty": (b"", "it is empty; copy or download it again"),
    "page": (PAGE, "it is a web page, such as a login or error page; download it again"),
    "pointer": (POINTER, "it is a pointer of Git LFS; `git lfs pull` in its repository fetches"),
    "text": (b"hello, this is no file of weights", "copy or download it again"),
    "few bytes": (b"\x00\x01", "copy or download it again"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_what_lies_in_place_of_weights_is_said(case: str, kind: str, tmp_path: Path) -> None:
    content, said = CASES[case]
    file = tmp_path / f"weights.{kind}"
    file.write_bytes(content)
    name = f"sret_t:{file}" if kind == "pth" else str(file)
    with pytest.raises(PretrainedError) as caught:
        load_model(name)
    assert str(caught.value).startswith(str(file))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert "weights_only" not in str(caught.value)
    assert str(caught.value).count(str(file)) == 1
    if kind == "safetensors":
        with pytest.raises(PretrainedError, match="cannot be loaded: "):
            provenance(name)


@pytest.mark.parametrize(
    ("beside", "held"),
    [(np.float64(81.3), "numpy._core.multiarray.scalar"), (Path("log"), "pathlib.PosixPath")],
)
def test_what_is_not_read_beside_weights_is_named(beside: Any, held: str, tmp_path: Path) -> None:
    file = tmp_path / "official.pth"
    torch.save({"model": {}, "best": beside}, file)
    with pytest.raises(CheckpointError) as caught:
        load_official(file, "sret_t")
    said = str(caught.value)
    assert said.startswith(
        f"{file} is not a checkpoint: beside weights it holds {held}, which is not"
    )
    assert said.endswith(
        'torch.save({"model": torch.load(FILE, weights_only=False)["model"]}, NEW)'
    )


def test_files_of_the_other_kind_are_told_apart(tmp_path: Path) -> None:
    save(SReT(DIGITS), tmp_path / "ours.pth")
    with pytest.raises(CheckpointError, match="a file of safetensors; name it without a"):
        load_official(tmp_path / "ours.pth", "sret_t")
    torch.save({"model": {}}, tmp_path / "theirs.safetensors")
    with pytest.raises(CheckpointError, match=r"torch\.save`; name an official one as"):
        load(tmp_path / "theirs.safetensors")


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_a_file_that_is_cut_short_says_so(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"weights.{kind}"
    if kind == "pth":
        torch.save({"model": {"a": torch.zeros(1000)}}, file)
    else:
        save(SReT(DIGITS), file)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(CheckpointError, match="cut short"):
        load(file) if kind == "safetensors" else load_official(file, "sret_t")


def asking(path: Path, **changes: Any) -> Path:
    """A small file whose header asks for another architecture."""
    architecture = DIGITS.to_dict()
    architecture["stages"][0] |= changes
    save_file({"head.weight": torch.zeros(8)}, path, {"architecture": json.dumps(architecture)})
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unique": 1_000_000}, "its header asks for 8,544,"),
        ({"width": 32_000}, "its header asks for "),
        ({"unique": 1_000_000, "loops": 1_000_000}, "its header asks for 8,544,"),
    ],
    ids=str,
)
def test_a_header_that_asks_for_more_than_there_is_costs_no_memory(
    changes: dict[str, int], said: str, tmp_path: Path
) -> None:
    file = asking(tmp_path / "huge.safetensors", **changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=f"cannot be loaded: {said}") as caught:
        load(file)
    assert "parameters, but it has 32 bytes of weights" in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


def test_loops_without_end_are_refused(tmp_path: Path) -> None:
    model = SReT(DIGITS)
    file = tmp_path / "deep.safetensors"
    endless = json.dumps(DIGITS.at_loops(10**6).to_dict())
    save_file(dict(model.state_dict()), file, {"architecture": endless})
    with pytest.raises(CheckpointError, match="asks for 4,000,000 executions of blocks, and"):
        load(file)


def test_a_header_without_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "long.safetensors"
    file.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(
        CheckpointError, match="it is not a file of safetensors, or it is cut short"
    ):
        load(file)
    with pytest.raises(
        CheckpointError, match="it is not a file of safetensors, or it is cut short"
    ):
        training_of(file)


def test_weights_of_another_architecture_are_named(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    wider = replace(DIGITS, classes=11)
    weights = dict(SReT(DIGITS).state_dict())
    save_file(weights, file, {"architecture": json.dumps(wider.to_dict())})
    with pytest.raises(CheckpointError, match=r"head\.weight has shape \(10, 32\), not \(11, 32\)"):
        load(file)
