"""The text of a file: what is no YAML 1.2 is said where it stands, and nothing of it is shown."""

from pathlib import Path

import pytest

from sret_search.config.yaml_source import parse, read
from sret_search.study import StudyError, load_architecture, load_study

MERGE = "base: &base {a: 1}\ninner:\n  b: 2\n  <<: *base\n"

# name: (content, place, part of the message)
WRONG = {
    "unprintable": (b"a: 1\nb: x\x01y\n", "2:5", "the character U+0001 stands here; remove it"),
    "zero": (b"a: 1\n# \x00\n", "2:3", "the character U+0000 stands here"),
    "after wide": ("a: größe\nb: ü\x7f\n".encode(), "2:5", "the character U+007F stands here"),
    "utf-16": ("a: 1\n".encode("utf-16"), "1:1", "it is UTF-16 or UTF-32 text; save it as UTF-8"),
    "utf-16-be": ("a: 1\n".encode("utf-16-be"), "1:1", "it is UTF-16 or UTF-32 text; save it"),
    "utf-32": ("a: 1\n".encode("utf-32"), "1:1", "it is UTF-16 or UTF-32 text; save it as UTF-8"),
    "latin-1": ("a: 1\nb: grün\n".encode("latin-1"), "2:6", "not UTF-8 text from here on; save it"),
    "merge": (
        MERGE.encode(),
        "4:3",
        "YAML 1.2 has no merge keys: write out the keys that << would merge",
    ),
    "1.1": (b"# x\n%YAML 1.1\n---\na: 1e-3\n", "2:1", "YAML 1.2: leave out this line"),
    "2.0": (b"%YAML 2.0\n---\na: 1\n", "1:1", "YAML 1.2: leave out this line"),
    "1.10": (b"%YAML 1.20\n---\na: 1\n", "1:1", "YAML 1.2: leave out this line"),
    "second": (
        b"a: 1\n---\nb: 2\n",
        "2:1",
        "a second document begins here, but a file has only one",
    ),
    "half": (b'a: 1\nb: "\\ud800"\n', "2:4", "an escape that is no character"),
    "nul": (b'a: [1, "x\\0"]\n', "1:8", "an escape that is no character"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_yaml_is_said_where_it_stands(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, place, message = WRONG[case]
    file = tmp_path / "study.yaml"
    file.write_bytes(content)
    with pytest.raises(StudyError) as caught:
        read(file)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{file}:{place}: ")
    assert message in line
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "text",
    [
        b"%YAML 1.2\n---\na: 1\n",
        b"\xef\xbb\xbfa: 1\n",
        b"a: 1\r\n",
        "a: 1  # größe × 漢 🙂\n".encode(),
        b"a: 1 # %YAML 1.1\n",
    ],
)
def test_what_yaml_allows_is_read(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_bytes(text)
    assert read(tmp_path / "study.yaml").data == {"a": 1}


SECRET = "hunter2"
STRANGE = [
    f"root:{SECRET}:19000:0:99999:7:::\ndaemon:*:19000\n",
    f"{SECRET}\n",
    f"password: {SECRET}\n",
    f"password: {SECRET}\n{SECRET} word: 1\n",
    f"password: !!{SECRET} {SECRET}\n",
    f"password: *{SECRET}\n",
    f"password: &{SECRET} 1\nother: &{SECRET} 2\n",
    f"a b {SECRET}: 1\na b {SECRET}: 2\n",
    f"password: [{SECRET}\n",
    f"password: '{SECRET}\n",
    f"password: {SECRET}: {SECRET}\n",
    f"{{password: {SECRET}}} {SECRET}\n",
    f"%{SECRET} {SECRET}\n---\npassword: {SECRET}\n",
]


@pytest.mark.parametrize("text", STRANGE)
def test_a_file_that_was_not_meant_is_not_shown(text: str, tmp_path: Path) -> None:
    (tmp_path / "strange").write_text(text)
    (tmp_path / "study.yaml").write_text("study: s\nspace: strange\n")
    for load, file in ((load_study, "study.yaml"), (load_study, "strange")):
        with pytest.raises(StudyError) as caught:
            load(tmp_path / file)
        assert SECRET not in str(caught.value)
        assert str(tmp_path / "strange") in str(caught.value)
    with pytest.raises(StudyError) as caught:
        load_architecture(str(tmp_path / "strange"))
    assert SECRET not in str(caught.value)


def test_a_file_without_a_known_key_is_told_its_keys(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("study: s\nspace: study.yaml\n")
    with pytest.raises(StudyError) as caught:
        load_study(tmp_path / "study.yaml")
    assert (
        "study.yaml:1:1: no key here belongs in such a file; its keys are architecture, axes, budget"
        in (str(caught.value))
    )


@pytest.mark.parametrize("number", ["9000000000000000000", "9e18", "1_000_001"])
@pytest.mark.parametrize("field", ["trials", "seeds"])
def test_trainings_without_end_are_refused_in_their_place(
    field: str, number: str, tmp_path: Path
) -> None:
    (tmp_path / "space.yaml").write_text(
        "architecture: sret_digits\naxes:\n  drop_path: {low: 0, high: 0.5}\n"
    )
    text = f"study: s\nspace: space.yaml\nsearch: {{sampler: random, {field}: {number}}}\n"
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(StudyError) as caught:
        load_study(tmp_path / "study.yaml")
    column = text.splitlines()[2].index(number) + 1
    line = str(caught.value).splitlines()[0]
    assert line.startswith(f"{tmp_path}/study.yaml:3:{column}: ")
    assert "at most 1,000,000 is needed" in line or "a whole number is needed" in line


def test_descriptions_of_earlier_programs_are_still_read(recwarn: pytest.WarningsRecorder) -> None:
    assert parse("%YAML 1.1\n---\na: 1e-3\n", Path("stored")).data == {"a": 1e-3}
    assert not recwarn
