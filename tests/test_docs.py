"""What the documentation says is so."""

import dataclasses
import json
import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from sret_search.architecture.parts import ResidualKind
from sret_search.architecture.variants import VARIANTS
from sret_search.config.controls import CONTROLS
from sret_search.config.space_file import Budget
from sret_search.config.study_file import Compute, Scheduler, Search, Storage, StudyFile
from sret_search.cost import cost, train_memory
from sret_search.job import Augment, Data, DepthTraining, Recipe
from sret_search.study import load_architecture, load_study
from sret_search.trials import failures

TEXT = (Path(__file__).parents[1] / "docs" / "architectures.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("` "): [cell.strip() for cell in cells[1:]]
    for line in TEXT.splitlines()
    if line.startswith(("| `sret", "| `deit"))
    for cells in [line.strip("| ").split("|")]
}


def test_every_variant_stands_in_a_table():
    assert ROWS.keys() == VARIANTS.keys() - {"deit_ti", "sret_digits"}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_what_the_variant_costs(name):
    a, known, row = VARIANTS[name], cost(VARIANTS[name]), ROWS[name]
    if "1000" not in name:
        shown = (known.params, known.params_shared, known.params_per_execution, known.macs)
        assert row[:4] == [f"{value:,}" for value in shown]
        return
    assert row[0] == "/".join(str(stage.width) for stage in a.stages)
    shown = (known.executions, known.sub_layers, known.params, known.params_per_execution)
    assert row[1:6] == [f"{value:,}" for value in (*shown, known.macs)]
    memory = [train_memory(a, 32).total / 1e9, train_memory(a, 32, 0).total / 1e9]
    assert row[6:] == [f"{memory[0]:.0f}", f"{memory[1]:.1f}"]


def test_the_routes_to_1000_layers_have_13_to_15_million_parameters():
    routes = [cost(a) for name, a in VARIANTS.items() if name.startswith("sret_1000_")]
    assert len(routes) == 6
    for known in routes:
        assert 13e6 < known.params < 15e6
        assert known.executions == 1000 or known.sub_layers >= 1000


def test_the_example_is_an_architecture(tmp_path):
    example = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[1]
    (tmp_path / "example.yaml").write_text(example)
    a = load_architecture(str(tmp_path / "example.yaml"))
    written = YAML(typ="safe").load(example)
    plain = a.to_dict(complete=True)
    assert {key: plain[key] for key in written if key not in ("stages", "nll", "residual")} == {
        key: value for key, value in written.items() if key not in ("stages", "nll", "residual")
    }
    assert a.stages[0].loops == (1, 6, 6, 1)


TRAINING = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_examples_of_the_documentation_can_be_read():
    blocks = re.findall(r"```yaml\n(.*?)```", TRAINING, re.DOTALL)
    lines = [YAML(typ="safe").load(line) for block in blocks for line in block.splitlines() if line]
    data = [line["data"] for line in lines if "data" in line]
    trainings = [line["depth_training"] for line in lines if "depth_training" in line]
    assert (len(data) >= 5, len(trainings) >= 3) == (True, True)
    assert len(data) + len(trainings) == len(lines)
    for kind, examples in ((Data, data), (DepthTraining, trainings)):
        for example in examples:
            TypeAdapter(kind).validate_json(json.dumps(example))


def test_every_field_of_a_recipe_is_documented():
    words = set(re.findall(r"`([a-z_]+)`", TRAINING))
    for kind in (Recipe, Augment):
        assert {field.name for field in dataclasses.fields(kind)} <= words


def test_the_defaults_of_the_documentation_are_those_of_a_recipe():
    recipe = Recipe()
    assert (recipe.length, recipe.unit, recipe.batch_size) == (10, "epochs", 32)
    assert "| 10 epochs |" in TRAINING
    assert "| 32, 1 |" in TRAINING
    assert f"| {recipe.weight_decay} |" in TRAINING
    timetable = Recipe(steps=100, schedule="wsd").timetable(1000)
    assert (timetable.warmup, timetable.stable_until) == (10, 80)


RUNNING = (Path(__file__).parents[1] / "docs" / "running.md").read_text(encoding="utf-8")


def test_the_examples_of_running_are_parts_of_a_study():
    parts = {}
    for example in re.findall(r"```yaml\n(.*?)```", RUNNING, re.DOTALL):
        parts |= YAML(typ="safe").load(example)
    whole = json.dumps({"study": "s", "space": "s.yaml"} | parts)
    study = TypeAdapter(StudyFile).validate_json(whole)
    assert study.branches[0].trial == 3
    assert study.storage.url.startswith("postgresql://")


def test_what_is_done_about_failures_is_what_the_page_says():
    limits = {failures.DIED: 8, failures.HUNG: 3, failures.MACHINE: 4, failures.MEMORY: 2}
    assert limits == failures._LIMITS
    assert "failed after 4 in a row without a new checkpoint" in RUNNING
    assert "failed after 8 in a row without a new checkpoint" in RUNNING
    assert "another attempt, 3 in all" in RUNNING
    assert "once more, in a fresh process" in RUNNING
    compute, storage = Compute(), Storage()
    assert f"`compute.checkpoint_every` ({compute.checkpoint_every})" in RUNNING
    assert f"`compute.step_timeout` ({compute.step_timeout})" in RUNNING
    assert f"`storage.quota` ({storage.quota})" in RUNNING


SEARCHING = (Path(__file__).parents[1] / "docs" / "searching.md").read_text(encoding="utf-8")


def test_the_rungs_of_the_documentation_are_those_of_its_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = re.search(r"```yaml\n(objectives[^`]*scheduler[^`]*)```", SEARCHING)[1]
    (tmp_path / "space.yaml").write_text(
        "architecture: sret_digits\naxes: {stages.*.loops: {choices: [1, 2]}}\n"
    )
    (tmp_path / "study.yaml").write_text(f"study: s\nspace: space.yaml\n{example}")
    study = load_study(tmp_path / "study.yaml")
    assert study.rungs == (1, 3, 9)
    assert "rungs after 1, 3 and 9 epochs" in SEARCHING
    assert f"({study.cohort} above;" in SEARCHING
    assert study.file.scheduler == Scheduler(name="mo_asha")


GLOSSARY = (Path(__file__).parents[1] / "docs" / "glossary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "word",
    [
        *CONTROLS,
        *(name for name in Budget.model_fields if name not in ("executions", "seconds")),
        *get_args(ResidualKind),
        *get_args(Search.model_fields["order"].annotation),
    ],
)
def test_the_glossary_has_every_name_of_a_file_that_is_a_term(word):
    assert re.search(rf"\b{word}\b", GLOSSARY)


def test_a_term_stands_once_in_the_glossary():
    terms = re.findall(r"^\| ([^|]+?) \|", GLOSSARY, re.MULTILINE)
    terms = [term for term in terms if term not in ("word", "---")]
    assert len(terms) > 40
    assert len(terms) == len(set(terms))
