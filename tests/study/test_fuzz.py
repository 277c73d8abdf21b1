"""Files that are wrong in ways that nobody thought of: a place in a file, never a traceback."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sret_search.study import Study, StudyError, load_study

SPACE = """\
architecture:
  image_size: 8
  in_channels: 1
  classes: 10
  stem: convolutions
  stem_strides: [1, 2]
  stages:
    - {width: 16, heads: 2, unique: 2, loops: [1, 2], groups: [4, 2], mlp_ratio: 2}
    - {width: 32, heads: 4, unique: 1, loops: 3, mlp_ratio: 1.5}
  nll: {share: block, ratio: 0.5, rank: null}
  residual: {kind: scaled, p: 1, q: 0.5, lam: 1}
  relax: {norm: true, lora: 2}
  permutation: stride
  drop_path: 0.1
axes:
  stages.0.width: {choices: [16, 32]}
  stages.1.width: {same_as: stages.0.width, times: 2}
  stages.1.loops: {low: 1, high: 250, log: true}
  stages.*.groups: {divisors: tokens, low: 1, high: 4, entries: 2}
  nll.share: {choices: [none, block]}
  nll.rank:
    choices: [null, 3]
    when: {nll.share: [block]}
  recipe.lr: {low: 1e-3, high: 1e-2}
  recipe.epochs: {choices: [3, 6]}
budget:
  params: {max: 200_000}
  memory: {max: 2GB}
  train_macs: {min: 1, max: 1e15}
"""
STUDY = """\
study: small
space: space.yaml
data: {name: digits, split_seed: 0, val: 0.1}
recipe:
  name: small
  epochs: 3
  batch_size: 64
  lr: 5e-3
  augment: {flip: true, crop: [0.5, 1.0]}
objectives: {accuracy: max, params: min, macs: min}
search: {sampler: random, trials: 8, seeds: 2, seed: 0, order: strict}
confirm: {seeds: 2, on: train}
compute: {cpus_per_trial: 1, checkpoint_every: 10min}
storage: {quota: 20GB}
report: {hypervolume_reference: {accuracy: 0.1, params: budget}}
monitor: true
"""
TEXTS = {"space.yaml": SPACE, "study.yaml": STUDY}

ODD = [
    "null", "~", "", "true", "0", "-1", "1.5", "-0.0", "1e400", "1e-400", "99999999999999999999",
    "9" * 300, "0x" + "f" * 5000, ".nan", ".inf", "-.inf", "[]", "{}", "[[[[1]]]]", "[" * 1500,
    "{a: {b: {c: 1}}}", "[1, two, null]", "'", '"', "|", ">", "&a", "*a", "&a [*a]", "!!int x",
    "!!binary aGk=", "!!set {a, b}", "2020-01-01", "12:30:45", "\t", "- a", "? b", ": c", "a: b: c",
    "%", "@", "`", "ü", "\u2028", "日本", '"\\ud800"', '"\\0"', "/dev/zero", "..", "sret_t", "deit_ti",
    "grid", "tpe", "stages.*.loops", "<<: *a", "0o17", "1_000", "1e6", "1000000", "123456789012",
]  # fmt: skip


@st.composite
def mutated(draw):
    """Both files, one or two lines of them changed."""
    texts = dict(TEXTS)
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(texts)))
        lines = texts[name].splitlines()
        if not lines:
            continue
        i = draw(st.integers(0, len(lines) - 1))
        match draw(st.integers(0, 6)):
            case 0:
                del lines[i]
            case 1:
                lines.insert(draw(st.integers(0, len(lines))), lines[i])
            case 2:
                lines[i] = draw(st.sampled_from(["", " ", "  ", "    ", "\t"])) + lines[i].lstrip()
            case 3:
                cut = draw(st.integers(0, len(lines[i])))
                lines[i] = lines[i][:cut] + draw(st.text(max_size=5)) + lines[i][cut:]
            case 4:
                start = draw(st.integers(0, len(lines[i])))
                end = draw(st.integers(start, len(lines[i])))
                lines[i] = lines[i][:start] + lines[i][end:]
            case 5:
                head = lines[i].split(":")[0]
                lines[i] = f"{head}: {draw(st.sampled_from(ODD))}"
            case 6:
                words = lines[i].replace("{", " { ").replace(",", " , ").split(" ")
                word = draw(st.integers(0, len(words) - 1))
                words[word] = draw(st.sampled_from(ODD))
                lines[i] = " ".join(words)
        texts[name] = "\n".join(lines) + "\n"
    return texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def write(folder, texts):
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", errors="replace", newline="")


def outcome(folder, texts) -> Study | StudyError:
    """What comes of loading; a problem has a place in a file, or names one that cannot be read."""
    write(folder, texts)
    begun = time.process_time()
    try:
        found: Study | StudyError = load_study(folder / "study.yaml")
    except StudyError as error:
        found = error
    problems = found.problems if isinstance(found, StudyError) else []
    assert isinstance(found, Study) or problems
    for problem in problems:
        assert problem.message
        assert problem.file is not None, str(problem)
        unread = problem.message.startswith(("no such file", "cannot be read"))
        assert unread or (problem.line >= 1 and problem.column >= 1), str(problem)
    assert time.process_time() - begun < 20
    return found


def test_the_files_are_right_before_they_are_changed(folder):
    assert isinstance(outcome(folder, TEXTS), Study)


def replaced(name, old, new):
    assert TEXTS[name].count(old) == 1
    return TEXTS | {name: TEXTS[name].replace(old, new)}


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(mutated())
@example(replaced("space.yaml", "width: 16", "width: 99999999999999999999"))
@example(replaced("space.yaml", "mlp_ratio: 2}", "mlp_ratio: 1e308}"))
@example(replaced("space.yaml", "image_size: 8", "image_size: 1000000"))
@example(replaced("space.yaml", "loops: 3", "loops: 1000000"))
@example(replaced("space.yaml", "high: 250, log: true", "high: 9000000000000000000"))
@example(
    replaced("space.yaml", "low: 1, high: 250, log: true", "low: 1, high: 2, entries: 1000000")
)
@example(replaced("space.yaml", "entries: 2", "entries: 40"))
@example(replaced("space.yaml", "[16, 32]}", "[[16], {a: 1}]}"))
@example(replaced("space.yaml", "{nll.share: [block]}", "{nll.share: [[block]]}"))
@example(replaced("study.yaml", "epochs: 3", "epochs: 1e308"))
@example(replaced("study.yaml", "epochs: 3", "steps: 0"))
@example(replaced("study.yaml", "epochs: 3", "depth_training: sampled"))
@example(replaced("study.yaml", "space.yaml", '"\\0"'))
@example(replaced("study.yaml", "space.yaml", "/dev/zero"))
@example(replaced("study.yaml", "space.yaml", "''"))
@example(replaced("study.yaml", "20GB", f"{'9' * 400}GB"))
@example(replaced("study.yaml", "sampler: random, trials: 8", "sampler: grid"))
@example(replaced("study.yaml", "val: 0.1", "val: .nan"))
@example(replaced("study.yaml", "trials: 8", "trials: 18446744073709551616"))
def test_a_mutated_file_is_a_study_or_a_mistake_with_a_place(folder, texts):
    outcome(folder, texts)


LARGE = {
    "aliases": "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "".join(
        f"{c}: &{c} [{', '.join(f'*{p}' for _ in range(9))}]\n"
        for p, c in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "nested": "a: " + "[" * 3000 + "]" * 3000,
    "nested_a_little": "a: " + "[" * 60 + "]" * 60,
    "long": "a: " + "x " * 100_000,
    "digits": "a: 0x" + "f" * 5000,
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("name", TEXTS)
def test_a_file_that_grows_without_bounds_is_refused_at_once(folder, name, text):
    error = outcome(folder, TEXTS | {name: text})
    assert isinstance(error, StudyError)
    assert any(problem.file.name == name for problem in error.problems)


HOPELESS = {
    "a_budget_that_nobody_meets": ("space.yaml", "max: 200_000", "max: 10"),
    "no_candidate": ("space.yaml", "heads: 2", "heads: 3"),
    "mutilated": ("study.yaml", "search: {", "search: [[["),
    "infinite": ("study.yaml", "lr: 5e-3", "lr: .inf"),
}


@pytest.mark.parametrize("case", HOPELESS.values(), ids=HOPELESS)
def test_the_command_says_it_with_exit_code_2(tmp_path, case):
    write(tmp_path, replaced(*case))
    command = [sys.executable, "-m", "sret_search.run", "study.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert all(line.startswith(f"{case[0]}:") for line in done.stderr.splitlines())
    assert not (tmp_path / "runs").exists()
    assert Path(tmp_path / case[0]).exists()
