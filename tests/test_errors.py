"""What a user is told can be written, stored and printed, whatever is named in it."""

import os
from pathlib import Path

import pytest

from sret_search.config.problems import shown
from sret_search.errors import encodable
from sret_search.study import StudyError
from sret_search.training.data.errors import DataError
from sret_search.training.data.images import Files, decode
from sret_search.trials import failures

NAME = os.fsdecode(b"photo\xe9.jpg")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("größer × 3 🙂", "größer × 3 🙂"),
        (NAME, r"photo\xe9.jpg"),
        ("\udc80\udcff", r"\x80\xff"),
        ("\ud83d alone", r"\ud83d alone"),
        ("\udfff", r"\udfff"),
    ],
)
def test_what_cannot_be_encoded_is_escaped(text: str, escaped: str) -> None:
    assert encodable(text) == escaped
    assert encodable(text).encode()


def test_a_broken_image_is_named_whatever_its_name(tmp_path: Path) -> None:
    file = tmp_path / NAME
    file.write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        decode(Files([file]), 0, "RGB")
    assert r"photo\xe9.jpg: " in str(caught.value)
    assert str(caught.value).encode()


def test_errors_of_files_and_of_workers_can_be_encoded() -> None:
    assert str(StudyError(f"no such file {NAME}")) == r"no such file photo\xe9.jpg"
    assert shown(Path(NAME)) == r"photo\xe9.jpg"
    assert failures.cause_and_reason(f"ValueError: {NAME}")[1] == (
        r"its worker failed (ValueError: photo\xe9.jpg)"
    )
