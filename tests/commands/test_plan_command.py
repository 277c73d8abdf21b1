"""`sret-search plan`: what it says is what the study is, and nothing is trained or written."""

import json
from pathlib import Path

import pytest

from sret_search.__main__ import main
from sret_search.machine.step_time import FILE
from sret_search.planning import calibration
from sret_search.planning.disk_usage import estimate_disk_usage
from sret_search.search.samplers.build import learnt_trials
from sret_search.study import load_study
from sret_search.training import speed
from sret_search.training.speed import MeasuringError, Speed

SPACE = """\
architecture: sret_digits
axes:
  stages.*.loops: {choices: [1, 2, 4, 8, 1000]}
  stages.*.width: {choices: [16, 24, 32]}
  stages.*.heads: {choices: [1, 3]}
budget: {params: {max: 50_000}, macs: {max: 10e6}}
"""
STUDY = """\
study: planned
space: space.yaml
recipe: {epochs: 3, batch_size: 64}
search: {sampler: grid, seeds: 2}
compute: {concurrent: 2}
"""
SHIPPED = sorted((Path(__file__).parents[2] / "studies").rglob("*.yaml"))
RANDOM = "{sampler: random, trials: 9}"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)


def write(folder, search="{sampler: grid, seeds: 2}", space=SPACE, extra=""):
    (folder / "space.yaml").write_text(space)
    text = STUDY.replace("{sampler: grid, seeds: 2}", search) + extra
    (folder / "study.yaml").write_text(text)
    return load_study(folder / "study.yaml")


def plan(capsys, *arguments):
    assert main(["plan", "study.yaml", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_object_says_what_the_study_is(tmp_path, capsys):
    study = write(tmp_path)
    facts = plan(capsys)
    # Three heads divide a width of 24 alone, and 1000 loops are over the budget.
    space = facts["space"]
    assert (space["combinations"], space["looked_at"], space["exact"]) == (30, 30, True)
    assert (space["built"], space["feasible"], space["distinct"]) == (20, 16, 16)
    assert space["feasible_share"] == pytest.approx(16 / 30)
    params = [candidate.cost.params for candidate in study.grid]
    assert space["costs"]["params"]["least"] == min(params)
    assert space["costs"]["params"]["most"] == max(params)
    assert facts["trainings"] == {
        "total": 32, "exact": True, "by_role": {"search": 32}, "sampler": "grid", "model_based": 0,
    }  # fmt: skip
    assert facts["compute"]["at_a_time"] == 2
    assert facts["disk"]["total"] == estimate_disk_usage(study, 2).total
    assert len(facts["samples"]) == 10
    assert facts["samples"][0]["params"] == min(params)
    assert facts["samples"][-1]["params"] == max(params)
    assert len({json.dumps(sample["values"]) for sample in facts["samples"]}) == 10


def test_it_writes_nothing(tmp_path, capsys):
    before = set(tmp_path.rglob("*"))
    assert plan(capsys)["plot"] is None
    assert set(tmp_path.rglob("*")) == before


def test_asked_to_it_draws_the_space_and_writes_nothing_else(tmp_path, capsys):
    facts = plan(capsys, "--plot")
    folder = tmp_path / "reports" / "planned"
    drawn = sorted(path.name for path in folder.iterdir())
    assert drawn == ["plan.pdf", "plan.png", "plan.svg"]
    assert facts["plot"] == "reports/planned/plan.png"
    assert "budget: 50,000 params" in (folder / "plan.svg").read_text()
    first = (folder / "plan.svg").read_bytes()
    plan(capsys, "--plot")
    assert (folder / "plan.svg").read_bytes() == first
    assert not (tmp_path / "runs").exists()


def test_the_tables_say_the_same_in_words(capsys):
    assert main(["plan", "study.yaml", "--plot"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "feasible 53.3 %" in text
    assert "trainings 32 32 asked for by the sampler" in text
    assert "uncalibrated, a guess: --calibrate measures" in text
    assert "plot: reports/planned/plan.png" in text


@pytest.mark.parametrize(
    ("search", "chosen"),
    [(RANDOM, 0), ("{sampler: tpe, trials: 9}", 0), ("{sampler: tpe, trials: 60, seeds: 2}", 40),
     ("{sampler: optuna.samplers:NSGAIISampler, options: {population_size: 16}, trials: 60}", 44),
     ("{sampler: gp, trials: 60}", 50), ("{sampler: optuna.samplers:GPSampler, trials: 60}", 50),
     ("{sampler: stratified, trials: 60}", 0), ("{sampler: sobol, trials: 60}", 0),
     ("{sampler: frontier, trials: 60, seeds: 2}", 50)],
)  # fmt: skip
def test_trials_that_a_model_chooses(tmp_path, search, chosen):
    assert learnt_trials(write(tmp_path, search)) == chosen


@pytest.mark.parametrize(
    ("search", "chosen"),
    [("{sampler: tpe, trials: 100}", 70), ("{sampler: frontier, trials: 100}", 95),
     ("{sampler: tpe, trials: 200, order: strict}", 164)],
)  # fmt: skip
def test_under_a_scheduler_few_trials_come_to_an_end_to_learn_from(tmp_path, search, chosen):
    scheduler = "{name: mo_asha, grace: 1, eta: 3, strata: 3}"
    study = write(tmp_path, search, extra=f"scheduler: {scheduler}\n")
    assert len(study.rungs) == 1
    assert learnt_trials(study) == chosen


def test_a_length_in_multiply_adds_is_told_in_samples(tmp_path, capsys):
    assert plan(capsys)["lengths"] == []
    study = write(tmp_path)
    text = STUDY.replace("epochs: 3", "macs: 2e12")
    (tmp_path / "study.yaml").write_text(text)
    (tmp_path / "space.yaml").write_text(
        SPACE.replace("budget:", "  recipe.macs: {choices: [1e12, 2e12]}\nbudget:")
    )
    facts, macs = plan(capsys), [candidate.cost.macs for candidate in study.grid]
    assert [length["macs"] for length in facts["lengths"]] == [1e12, 2e12]
    for length in facts["lengths"]:
        wanted = [length["macs"] / (3 * each) for each in (min(macs), max(macs))]
        assert [length["cheapest"], length["dearest"]] == pytest.approx(wanted, abs=32)
    ends = facts["space"]["costs"]["train_macs"]
    assert [ends["least"], ends["most"]] == pytest.approx([1e12, 2e12], rel=0.001)
    assert main(["plan", "study.yaml"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    first = facts["lengths"][0]
    assert f"1e+12 MACs {first['cheapest']:,} samples of the cheapest candidate" in said
    assert f"{first['dearest']:,} of the dearest" in said


def test_parts_that_no_gradient_reaches_are_named(tmp_path, capsys):
    assert plan(capsys)["untrained"] is None
    (tmp_path / "study.yaml").write_text(
        STUDY.replace("epochs: 3", "epochs: 3, depth_training: {backprop: 2}")
    )
    (tmp_path / "space.yaml").write_text(
        SPACE.replace("budget:", "  order: {choices: [cycle]}\nbudget:")
    )
    text = plan(capsys)["untrained"]
    assert text.startswith("stem and positions keep their initial weights in 8 of 16: no gradient")
    assert main(["plan", "study.yaml"]) == 0
    assert "not trained" in capsys.readouterr().out


def test_what_is_drawn_counts_as_often_as_it_will_be_trained(tmp_path, capsys):
    write(tmp_path, RANDOM)
    facts = plan(capsys)
    assert facts["trainings"]["total"] == 9
    sampled = [sample["seconds"] for sample in facts["samples"]]
    mean = facts["time"]["seconds_of_trials"] / 9
    assert min(sampled) <= mean <= max(sampled)


def test_branches_are_trainings_too(tmp_path, capsys):
    before = plan(capsys)["trainings"]["total"]
    write(tmp_path, extra="branches: [{trial: 0, recipe: {epochs: 1}}]\n")
    assert plan(capsys)["trainings"]["total"] == before + 1


def test_a_calibration_is_kept_and_used(tmp_path, capsys, monkeypatch):
    asked = []

    def measured(jobs, at_a_time, gpus):
        asked.extend(jobs)
        assert at_a_time == 2
        for job in jobs:
            yield Speed(0.5 * job.architecture.executions, 0.25, 180)

    monkeypatch.setattr(speed, "speeds", measured)
    facts = plan(capsys, "--calibrate")
    assert len(asked) == calibration.MEASURED
    assert max(job.architecture.executions for job in asked) == 32
    assert facts["time"]["calibrated"]
    assert facts["time"]["points"] == 6
    deepest = max(facts["samples"], key=lambda sample: sample["executions"])
    steps = 3 * 20
    assert deepest["seconds"] == pytest.approx(steps * 0.5 * 32, rel=0.05)
    assert plan(capsys)["time"] == facts["time"]
    assert FILE.exists()


def test_what_cannot_be_measured_is_said_in_a_line(capsys, monkeypatch):
    def measured(jobs, at_a_time, gpus):
        raise MeasuringError("32 executions: out of memory")
        yield

    monkeypatch.setattr(speed, "speeds", measured)
    assert main(["plan", "study.yaml", "--calibrate"]) == 2
    wanted = "study.yaml: cannot be measured: 32 executions: out of memory"
    assert capsys.readouterr().err.splitlines() == [wanted]
    assert not FILE.exists()


def test_a_budget_of_seconds_can_be_calibrated(tmp_path, capsys, monkeypatch):
    def measured(jobs, at_a_time, gpus):
        for job in jobs:
            yield Speed(0.5 * job.architecture.executions, 0.25, 180)

    monkeypatch.setattr(speed, "speeds", measured)
    space = SPACE.replace("macs: {max: 10e6}", "seconds: {max: 500}")
    (tmp_path / "space.yaml").write_text(space)
    assert main(["plan", "study.yaml"]) == 2
    assert "--calibrate" in capsys.readouterr().err
    facts = plan(capsys, "--calibrate")
    assert facts["space"]["costs"]["seconds"]["most"] == pytest.approx(60 * 0.5 * 16, rel=0.05)


def test_a_wrong_calibration_and_an_impossible_budget_are_lines(tmp_path, capsys):
    FILE.parent.mkdir()
    FILE.write_text("[]")
    assert main(["plan", "study.yaml"]) == 2
    assert capsys.readouterr().err.startswith("runs/calibration.json: not a calibration")
    (tmp_path / "space.yaml").write_text(SPACE.replace("50_000", "500"))
    assert main(["plan", "study.yaml"]) == 2
    assert "no candidate meets the budget; the closest has" in capsys.readouterr().err


def test_data_that_must_be_seen_first_is_said(tmp_path, capsys):
    (tmp_path / "space.yaml").write_text("architecture: sret_t\n")
    text = STUDY + "data: {imagefolder: images, image_size: 224}\n"
    (tmp_path / "study.yaml").write_text(text)
    facts = plan(capsys)
    assert facts["time"]["seconds"] is None
    assert main(["plan", "study.yaml"]) == 0
    assert "the data was not read yet: --calibrate reads it" in " ".join(
        capsys.readouterr().out.split()
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_study_can_be_planned(path, capsys):
    assert main(["plan", str(path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["trainings"]["total"] > 0
    if load_study(path).file.data.sizes is None:  # known once a function of the user was called
        assert facts["time"]["seconds"] is None
    else:
        assert facts["time"]["seconds"] > 0


def test_a_scheduler_makes_hours_an_upper_bound(tmp_path, capsys):
    search = "{sampler: random, trials: 9}"
    write(tmp_path, search)
    assert plan(capsys)["scheduler"] is None
    whole = plan(capsys)["time"]["seconds"]
    made = write(tmp_path, search, extra="scheduler: {name: mo_asha, eta: 2}\n")
    facts = plan(capsys)
    # All take one epoch of three, one in two the second, one in four the third.
    assert facts["scheduler"] == {
        "name": "mo_asha", "rungs": [1, 2], "epochs": 3,
        "share_trained": pytest.approx((1 + 1 / 2 + 1 / 4) / 3),
    }  # fmt: skip
    assert facts["time"]["seconds"] == whole
    assert made.rungs == (1, 2)
    assert main(["plan", "study.yaml"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "compares trials after 1, 2 of 3 epochs" in said
    assert "if no trial were stopped" in said
