"""The Python API: few names, quick to import, typed, and as its page says."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import made_up
import pytest

import sret_search
from sret_search import api
from sret_search.study import StudyError, load_study

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
SPACE = "architecture: sret_digits\naxes:\n  stages.*.loops: {choices: [1, 2, 4]}\n"
STUDY = "study: mine\nspace: space.yaml\nsearch: {sampler: grid}\n"


LOOK = """
import sys, time
before, start = set(sys.modules), time.process_time()
import sret_search
seconds = time.process_time() - start
new = {name.partition('.')[0] for name in set(sys.modules) - before}
print(seconds, *(new - set(sys.stdlib_module_names)))
"""


def test_importing_it_imports_nothing_else_and_takes_no_time():
    look = [sys.executable, "-c", LOOK]
    done = subprocess.run(look, capture_output=True, text=True, check=True)
    seconds, *modules = done.stdout.split()
    assert modules == ["sret_search"]
    assert float(seconds) < 0.1


def test_names_are_those_of_the_stub_and_of_the_page():
    stub = Path(sret_search.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    names = set(sret_search.__all__) - {"__version__"}
    assert names == sret_search._ROOMS.keys()
    assert set(re.findall(r" as (\w+)$", stub, re.MULTILINE)) == names
    assert all(f"`{name}" in PAGE.read_text(encoding="utf-8") for name in names)
    assert names <= set(dir(sret_search))
    for name in names:
        assert callable(getattr(sret_search, name))


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'costs'"):
        _ = sret_search.costs


def test_cost_is_the_room_and_the_function():
    from sret_search import cost

    a = sret_search.load_architecture("sret_t")
    assert cost(a).params == sret_search.cost(a).params == cost.cost(a).params == 4_755_979


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C is heard, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return made_up.written(SPACE, STUDY)


def accuracy(entry):
    return made_up.complete(0.5 + 0.1 * entry.values["stages.*.loops"])


def test_the_page_does_as_it_says(mine, monkeypatch, capsys):
    def run(study):
        return api.results(made_up.run(load_study(study), accuracy))

    namespace = {}
    monkeypatch.setattr(api, "run_study", run)
    for snippet in SNIPPETS:
        exec(compile(snippet, str(PAGE), "exec"), namespace)
    said = capsys.readouterr().out
    assert "4755979 1112444672 20" in said
    assert "49 tokens" in said
    assert "torch.Size([2, 10])" in said
    assert "3 [16, 8, 4]" in said
    assert "run it first" in said
    assert said.splitlines()[-1] == "4 0.9"


def test_results_are_read_from_a_file_or_a_study(mine):
    made_up.run(mine, accuracy)
    for given in (mine, mine.path, str(mine.path)):
        table = api.results(given)
        assert sorted(table.val_accuracy) == pytest.approx([0.6, 0.7, 0.9])
        assert list(table.state) == ["complete"] * 3


class Child:
    """Stands for the command: says a line, and ends with a code."""

    def __init__(self, monkeypatch, code, before=""):
        self.commands, self.children = [], []
        start = subprocess.Popen

        def popen(command, **options):
            self.commands.append(command)
            body = f"{before}\nprint('said', flush=True)\nraise SystemExit({code})"
            self.children.append(start([sys.executable, "-c", body], **options))
            return self.children[-1]

        monkeypatch.setattr(subprocess, "Popen", popen)


def test_a_run_prints_and_gives_results(mine, monkeypatch, capsys):
    made_up.run(mine, accuracy)
    child = Child(monkeypatch, 0)
    assert len(api.run_study("study.yaml", fresh=True)) == 3
    assert capsys.readouterr().out == "said\n"
    [command] = child.commands
    assert command[1:] == ["-m", "sret_search.run", "--fresh", "--", "study.yaml"]


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_run_that_is_not_done_raises(code, mine, monkeypatch):
    Child(monkeypatch, code)
    with pytest.raises(api.RunError, match="said") as raised:
        api.run_study(mine)
    assert raised.value.code == code


def test_a_wrong_file_is_told_before_anything_starts(mine):
    Path("study.yaml").write_text(STUDY.replace("grid", "grit"))
    with pytest.raises(StudyError, match=r"study\.yaml:3:"):
        api.run_study("study.yaml")


def test_an_interrupted_run_is_stopped_in_order(mine, heard, monkeypatch, capsys):
    waiting = (
        "import time\ntry:\n    print('up', flush=True)\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('in order', flush=True)"
    )
    child = Child(monkeypatch, 3, waiting)

    def interrupted(text, **_):
        if text == "up\n":
            signal.raise_signal(signal.SIGINT)
        sys.stdout.write(text)

    monkeypatch.setattr(api, "print", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt):
        api.run_study(mine)
    assert "in order" in capsys.readouterr().out
    assert child.children[0].poll() == 3
