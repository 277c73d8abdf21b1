"""Several made-up studies on one page, published models beside a study, and odd studies."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up import complete, run, written

from sret_search.__main__ import main
from sret_search.reporting.analyses import costs
from sret_search.reporting.published import points
from sret_search.reporting.render.chart import Axis, Chart, Panel
from sret_search.reporting.results import Results
from sret_search.reporting.write import write_report
from sret_search.study import Study
from sret_search.trials.trial import TrialRecord

SPACE = """\
architecture: sret_digits
axes: {stages.*.mlp_ratio: {choices: [1, 2, 4]}}
budget: {params: {max: 100_000}}
"""


pytestmark = pytest.mark.usefixtures("here")


def study(name: str, seeds: int = 2, more: str = "") -> Study:
    text = f"study: {name}\nspace: space.yaml\nsearch: {{seeds: {seeds}}}\n{more}"
    return written(SPACE, text, name)


def better(by: float) -> Any:
    return lambda entry: complete(0.8 + entry.cost["params"] / 1e6 + by + 0.001 * entry.seed)


def test_studies_of_the_same_images_stand_on_one_page(capsys: pytest.CaptureFixture[str]) -> None:
    run(study("a"), better(0.0))
    run(study("b"), better(0.02))
    run(study("c"), better(0.0), most=0)
    files = [f"{name}/study.yaml" for name in "abc"]
    assert main(["report", *files]) == 0
    assert capsys.readouterr().out == "report: reports/a+b+c/report.html\n"
    folder = Path("reports/a+b+c")
    page = html.unescape((folder / "report.html").read_text())
    assert "The best of all is of study b" in page
    assert "The best of study a" in page
    assert re.search(
        r"; -2\.0 points \(95 % interval -\d\.\d to [-+]\d\.\d, paired by seed\)", page
    )
    assert "Study c has no complete trial yet" in page
    rows = {
        row["study"]: row for row in json.loads((folder / "summary.json").read_text())["studies"]
    }
    assert rows["b"]["hypervolume"] > rows["a"]["hypervolume"] > rows["c"]["hypervolume"] == 0
    assert rows["a"]["behind"] == pytest.approx(-0.02)
    assert list(pd.read_csv(folder / "trials.csv").study.value_counts()) == [6, 6]
    chart = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', page)[0])
    assert {trace["name"] for trace in chart["data"]} == {"a", "b", "front of a", "front of b"}
    assert {trace["name"] for trace in chart["data"] if "error_y" in trace} == {"a", "b"}
    grown = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', page)[-1])
    assert {trace["name"] for trace in grown["data"]} == {"a (grid)", "b (grid)"}
    ends = {trace["name"][0]: trace["y"][-1] for trace in grown["data"]}
    assert ends == {name: pytest.approx(rows[name]["hypervolume"]) for name in "ab"}
    assert main(["report", *files, "--out", "elsewhere"]) == 0
    assert Path("elsewhere/accuracy_params.svg").exists()


def test_studies_of_other_images_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    run(study("a"), better(0.0), most=1)
    run(study("b", more="data: {name: digits, split_seed: 1}\n"), better(0.0), most=1)
    assert main(["report", "a/study.yaml", "b/study.yaml"]) == 2
    assert capsys.readouterr().err == (
        "b/study.yaml: b cannot be compared with a: data.split_seed is 1 there and 0 here, so they"
        " were not measured on the same images\n"
    )
    assert main(["report", "a/study.yaml", "a/study.yaml"]) == 2
    assert "study a is given more than once" in capsys.readouterr().err
    assert not Path("reports").exists()


def test_published_models_are_left_out_of_studies_on_other_images_and_that_is_said() -> None:
    made = run(study("a", more="report: {reference: sret_imagenet}\n"), better(0.0), most=1)
    text = "are not shown, since this study is trained differently: its images are those of digits"
    assert text in write_report(made).read_text()
    assert "published" not in (Path("reports/a") / "accuracy_params.svg").read_text()


@pytest.mark.parametrize(
    ("axes", "recipe", "models", "reason"),
    [
        ("{}", "deit", 19, "224 pixels, 300 epochs, without distillation"),
        ("{}", "{name: deit, epochs: 100}", 0, "was published for 224 pixels, 100 epochs"),
        ("{recipe.epochs: {choices: [300, 100]}}", "deit", 0, "its candidates differ in epochs"),
    ],
)
def test_published_models_stand_beside_what_was_trained_alike(
    axes: str, recipe: str, models: int, reason: str
) -> None:
    made = written(
        f"architecture: sret_t\naxes: {axes}\n",
        f"study: s\nspace: space.yaml\ndata: {{name: imagenet, root: x}}\nrecipe: {recipe}\n"
        "report: {reference: sret_imagenet}\n",
    )
    results = Results.read(run(made, lambda entry: complete(0.7), most=1))
    reference = points.published(results)
    assert reference is not None
    assert reason in reference.text
    assert len(reference.models) == models
    assert {point.epochs for point in reference.models} <= {300}
    chart = costs.chart(results, "params")
    assert chart is not None
    drawn = points.with_published(chart, reference)
    names = {series.name for series in drawn.panels[0].series}
    assert ("published: SReT" in names) == (models > 0)
    if models:
        low, high = drawn.panels[0].x.range or (0, 0)
        assert low < 4.8e6 < 88e6 < high
    assert points.with_published(replace(chart, name="failures"), reference).panels == chart.panels


def test_every_published_point_is_read() -> None:
    models = points.read("sret_imagenet")
    sret = [point for point in models if point.model == "SReT-T"]
    assert len(models) == 29
    assert [(round(p.accuracy, 4), p.distilled) for p in sret] == [(0.76, False), (0.776, True)]
    assert {p.macs for p in sret} == {1.112e9}
    chart = Chart("other", "", "", (Panel(Axis(""), Axis(""), ()),))
    assert points.with_published(chart, None) is chart


def lost(entry: TrialRecord) -> dict[str, Any]:
    return {"state": "failed", "cause": "error", "reason": "<b>no</b> \u202eway"}


@pytest.mark.parametrize(
    ("result", "most", "sentence", "answers"),
    [
        (lost, 0, "No trial is complete yet: none has begun.", 0),
        (lost, 6, "No trial is complete yet: 6 failed.", 0),
        (better(0.0), 1, "Best: ", 1),
    ],
)
def test_odd_studies_have_sensible_pages(
    result: Any, most: int, sentence: str, answers: int
) -> None:
    made = run(study("odd"), result, most=most)
    page = write_report(made).read_text()
    assert sentence in page
    assert page.count('<article class="choice">') == answers
    assert ("No trial has begun." in page) == (most == 0)
    assert page.count("&lt;b&gt;no&lt;/b&gt;") == (6 if result is lost and most else 0)
    table = pd.read_parquet("reports/odd/trials.parquet")
    assert len(table) == most
    front = Path("reports/odd/front.tex").read_text()
    assert front.count(r"\\") == 1 + answers


def test_a_front_is_a_table_for_papers() -> None:
    made = run(study("a", seeds=3), better(0.0))
    write_report(made)
    tex, text = (Path(f"reports/a/front.{kind}").read_text() for kind in ("tex", "md"))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    summary = json.loads(Path("reports/a/summary.json").read_text())
    assert len(rows) == 2 + len(summary["front"])
    first = summary["front"][0]
    cells = [cell.strip() for cell in rows[2].strip("|").split("|")]
    assert cells[:2] == [first["candidate"], f"{first['params']:,}"]
    assert cells[6].startswith(f"{100 * first['val_accuracy']:.1f} (")
    assert r"\toprule" in tex
    assert "95 \\%" not in tex.split(r"\begin")[1]
    assert len([line for line in tex.splitlines() if line.endswith(r"\\")]) == 1 + len(rows[2:])
