"""A study is read once and planned once, and keeps what it was read from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_up
import pytest

from sret_search.config import yaml_source
from sret_search.execution import callbacks
from sret_search.planning import plan, preflight
from sret_search.planning.disk_usage import estimate_disk_usage
from sret_search.planning.duration import trainings
from sret_search.planning.plan import least_trials, train_macs_planned
from sret_search.planning.user_inputs import check_inputs
from sret_search.space import feasible_set
from sret_search.study import Study, StudyError, load_study
from sret_search.trials import compatibility, postgres

pytestmark = pytest.mark.usefixtures("here")

SPACE = """\
architecture: sret_digits
axes: {stages.0.loops: {choices: [1, 2, 4]}}
"""
STUDY = """\
study: once
space: space.yaml
recipe: {epochs: 1}
"""


def counted(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, key: Callable[..., Any]
) -> list[Any]:
    """What a function is called for from now on."""
    calls, function = [], getattr(module, name)

    def counting(*arguments: Any, **named: Any) -> Any:
        calls.append(key(*arguments, **named))
        return function(*arguments, **named)

    monkeypatch.setattr(module, name, counting)
    return calls


def all_that_a_run_asks(study: Study) -> Study:
    """What is asked of a study before its first trial."""
    preflight.check(study)
    study = check_inputs(study)
    callbacks.named(study)
    compatibility.describe(study)
    compatibility.describe(study)
    estimate_disk_usage(study)
    estimate_disk_usage(study, 2)
    assert least_trials(study) == sum(phase.trials for phase in trainings(study)) == 5
    assert train_macs_planned(study) > 0
    return study


def test_files_are_read_once_and_plans_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("space.yaml").write_text(SPACE)
    Path("study.yaml").write_text(f"{STUDY}controls: [shallow, unshared]\n")
    reads = counted(monkeypatch, yaml_source, "read", lambda file: file.name)
    plans = counted(monkeypatch, plan, "_planned", lambda study, draws: draws)
    study = load_study("study.yaml")
    for _ in range(2):
        all_that_a_run_asks(study)
    assert reads == ["study.yaml", "space.yaml"]
    assert len(plans) == 1


def test_what_was_built_is_kept_once_the_data_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    study = made_up.written(SPACE, STUDY)
    screens = counted(monkeypatch, feasible_set, "screen", lambda space, points, terms: len(points))
    names = [candidate.name for candidate in study.grid]
    for sizes in (study.sizes, (10, 5, 5)):
        known = study.with_data(sizes, None)
        assert (known.sizes, known.terms.images) == (sizes, sizes[0])
        assert [candidate.name for candidate in known.grid] == names
        assert known.points.whole.candidates is study.points.whole.candidates
    assert screens in ([], [3])


def test_limits_of_training_hold_once_the_data_is_known() -> None:
    study = made_up.written(SPACE, STUDY)
    images = study.sizes[0]
    most = 3 * study.grid[0].cost.macs * images
    study = made_up.written(f"{SPACE}budget: {{train_macs: {{max: {most}}}}}\n", STUDY)
    assert study.points.number == study.with_data((images - 1, 5, 5), None).points.number == 3
    assert study.with_data((images + 1, 5, 5), None).points.number == 2


WRONG = {
    "resources": ("compute: {cpus_per_trial: 100_000}", preflight.check, "4:27"),
    "callbacks": ("branches: []\ncompute: {callbacks: [no_module:name]}", callbacks.named, "5:23"),
    "database": ("storage: {url: 'postgresql://u:p?a=b@host/name'}", postgres.server, "4:16"),
}


@pytest.mark.parametrize(("text", "step", "place"), WRONG.values(), ids=WRONG)
def test_a_file_that_was_edited_since_is_not_read_again(
    text: str, step: Callable[[Study], Any], place: str
) -> None:
    study = made_up.written(SPACE, f"{STUDY}{text}\n")
    path = study.path
    path.write_text(f"# another line\n\n{path.read_text()}")
    for _ in range(2):
        with pytest.raises(StudyError, match=f"{path.name}:{place}: "):
            step(study)
        path.unlink(missing_ok=True)


def test_a_ledger_keeps_the_texts_that_were_read() -> None:
    study = made_up.written(SPACE, STUDY)
    for file in (study.path, study.space_source.file):
        file.write_text("edited: since")
    described = compatibility.describe(study)
    assert (described.text, described.space_text) == (STUDY, SPACE)
