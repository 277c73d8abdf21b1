"""Studies that the version before has left: each opens, reports, and goes on where it stopped.

`tests/data/earlier` has one archive a study: the files of the study, its SQLite ledger, the folders
of its trials, its packed ledger, and `expected.json` with what the version before said of it.
"""

import json
import lzma
import tarfile
from pathlib import Path
from typing import Any

import made_up
import pytest
from in_process import InProcess

from sret_search.reporting.results import Results
from sret_search.reporting.write import write_report
from sret_search.study import Study, load_study
from sret_search.trials import about, packed
from sret_search.trials.compatibility import describe, differences
from sret_search.trials.declarations import Declaration
from sret_search.trials.trial import TrialRecord

ARCHIVES = sorted((Path(__file__).parent.parent / "data" / "earlier").glob("*.tar.xz"))
KINDS = {path.name.removesuffix(".tar.xz"): path for path in ARCHIVES}

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(params=KINDS)
def study(request: pytest.FixtureRequest) -> Study:
    with tarfile.open(KINDS[request.param]) as archive:
        archive.extractall(filter="data")
    file = Path("study.yaml")
    # The error of a study that names nsga2 says to write this.
    now = "optuna.samplers:NSGAIISampler, options: {population_size: 16}"
    file.write_text(file.read_text().replace("nsga2", now))
    return load_study(file)


def expected() -> dict[str, Any]:
    return json.loads(Path("expected.json").read_text())


def plain(entries: list[TrialRecord]) -> list[dict[str, Any]]:
    return [json.loads(json.dumps(entry.to_dict())) for entry in entries]


def test_every_kind_of_study_is_kept() -> None:
    assert KINDS.keys() == {"reruns", "rungs", "drawn", "branches", "rates", "confirmed"}


def unpacked(content: bytes) -> dict[str, Any]:
    """A packed ledger without the notes of NSGA-II, which are kept no more."""
    plain = json.loads(lzma.decompress(content))
    for entry in plain["entries"]:
        entry["notes"] = {}
    return plain


def test_its_packed_ledger_is_written_again_to_the_byte(study: Study) -> None:
    before = Path("ledger.json.xz").read_bytes()
    now = packed.write(study, Results.read(study).packed)
    assert unpacked(now) == unpacked(before)
    if b"nsga2" in lzma.decompress(before):
        before = now
    assert now == before
    entries = Results.read(study).entries
    packed.file_of(study).parent.mkdir(parents=True)
    packed.file_of(study).write_bytes(before)
    read = packed.read(study)
    assert plain(read.entries) == plain(entries)
    assert packed.write(study, read) == before


def test_its_table_says_the_same(study: Study) -> None:
    table = json.loads(Results.read(study).table.to_json(orient="columns"))
    assert table == expected()["table"]
    assert write_report(study).exists()


def test_it_goes_on_with_the_same_trial_and_comes_to_its_end(study: Study) -> None:
    resumed = InProcess(Path("study.yaml"))
    given = resumed.next()
    assert given is not None
    entry, wanted = resumed.searcher.entry_of(given[0]), expected()["next"]
    assert given[1]["until"] == wanted.pop("until")
    assert about.to_dict(entry.about) == wanted.pop("about")
    if wanted.pop("notes"):
        # NSGA-II counts its generations from the results now, and asks for another candidate.
        wanted = {name: wanted[name] for name in ("number", "role")}
    assert {name: getattr(entry, name) for name in wanted} == wanted
    resumed.train(*given)
    resumed.run()
    ended = {entry.number: entry.state for entry in resumed.ledger.entries()}
    resumed.ledger.close()
    assert "running" not in ended.values()
    known = {i: each["state"] for i, each in enumerate(expected()["entries"])}
    assert {i: state for i, state in known.items() if state != "running"}.items() <= ended.items()


def test_a_limit_that_an_earlier_version_did_not_know_is_no_other_declaration() -> None:
    space = "architecture: sret_digits\nbudget: {params: {max: 50_000}LIMIT}\n"
    text = "study: s\nspace: space.yaml\n"
    now = describe(made_up.written(space.replace("LIMIT", ""), text))
    budget = {name: limit for name, limit in now.part("budget").items() if "bytes" not in name}
    assert len(budget) < len(now.part("budget"))
    declared = Declaration(now.changed(budget=budget), "", 0, 0)
    assert declared.declares(now)
    made = made_up.written(space.replace("LIMIT", ", bytes: {max: 9e9}"), text)
    assert not declared.declares(describe(made))
    assert differences(made, declared.description) == [
        "budget.bytes.max was null and is now 9000000000.0"
    ]
