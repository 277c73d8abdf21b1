"""The command line before a command begins: help with examples, names, completion, speed."""

import os
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from sret_search.__main__ import COMMANDS, PROG, main
from sret_search.export import extras

ROOT = Path(__file__).parents[2]


def parser_of(command):
    return import_module(COMMANDS[command].module).parser(f"{PROG} {command}")


def examples(command):
    text = parser_of(command).epilog.partition("examples:\n")[2]
    return [shlex.split(line, comments=True) for line in text.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_examples_that_it_understands(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert "\nexamples:\n" in capsys.readouterr().out
    assert examples(command)
    for words in examples(command):
        start = ["python", "-m", "sret_search.run"] if words[0] == "python" else [PROG, command]
        assert words[: len(start)] == start
        arguments = parser_of(command).parse_args(words[len(start) :])
        studies = getattr(arguments, "studies", []) or [getattr(arguments, "study", None)]
        for study in filter(None, studies):
            assert list(ROOT.glob(str(study)))


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("raport", "did you mean report?"), ("cots", "did you mean cost?"), ("Plan", "plan?"),
     ("xyzzy", f"valid: {', '.join(sorted(COMMANDS))}")],
)  # fmt: skip
def test_a_mistyped_command_is_answered_with_the_nearest(typed, offered, capsys):
    with pytest.raises(SystemExit) as end:
        main([typed, "study.yaml"])
    assert end.value.code == 2
    assert offered in capsys.readouterr().err


def test_a_mistyped_variant_is_answered_with_the_nearest(capsys):
    assert main(["cost", "sret_tt"]) == 2
    assert "did you mean sret_t?" in capsys.readouterr().err


def completed(line, tmp_path):
    """What the shell would offer after a line."""
    answer = tmp_path / "answer"
    environment = os.environ | {
        "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "_ARGCOMPLETE_IFS": "\n",
    }  # fmt: skip
    code = "from sret_search.__main__ import main; main()"
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
    return {word.strip() for word in answer.read_text().split("\n")}


def test_a_shell_completes_commands_options_variants_and_files(tmp_path):
    pytest.importorskip("argcomplete")
    (tmp_path / "study.yaml").touch()
    (tmp_path / "notes.txt").touch()
    assert completed(f"{PROG} re", tmp_path) == {"report"}
    assert completed(f"{PROG} plan --cal", tmp_path) == {"--calibrate"}
    assert completed(f"{PROG} plan ", tmp_path) >= {"study.yaml"}
    assert "notes.txt" not in completed(f"{PROG} plan ", tmp_path)
    assert completed(f"{PROG} cost sret_1000_n", tmp_path) >= {"sret_1000_narrow"}


def test_completion_without_its_extra_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert main(["completion", "fish"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "argcomplete is not installed; install with: pip install 'sret-search[completion]'\n"
    )


SMOKE = ROOT / "studies" / "smoke.yaml"
HEAVY = {"torch", "ray", "optuna", "pandas", "scipy", "sklearn", "matplotlib", "pyarrow"}


@pytest.mark.parametrize(
    ("arguments", "never"),
    [(["--help"], HEAVY | {"pydantic", "numpy", "rich"}), (["cost", "sret_t"], HEAVY),
     (["plan", str(SMOKE)], HEAVY), (["plan", str(SMOKE), "--json"], HEAVY)],
)  # fmt: skip
def test_a_quick_command_loads_nothing_slow(arguments, never, tmp_path):
    code = (
        "import sys\nfrom sret_search.__main__ import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print(sorted({never!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
