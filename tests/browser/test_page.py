"""The page of a report in a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.chromium import Browser, skip_where_missing
from made_up import ENVIRONMENT, complete, run, written

from sret_search.reporting.write import write_overlay, write_report
from sret_search.trials.trial import TrialRecord

skip_where_missing()
pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

HOSTILE = (
    '<script>window.hit=1</script>', '"><img src=x onerror="window.hit=1">', "'; window.hit=1; '",
    "</script><svg onload=window.hit=1>", "\u202ertl \u05d0\u05d1\u05d2", "\u0645\u0631\u062d\u0628\u0627",
    "{{ 7 * 7 }}", "$x$ & <b>bold</b>", "https://example.com/?a=1",
)  # fmt: skip
SEARCHED = """\
architecture: sret_digits
axes:
  stages.*.mlp_ratio: {choices: [1, 1.5, 2, 3, 4]}
  stages.*.loops: {choices: [1, 2, 8, 32]}
budget: {params: {max: 200_000}}
"""
ARMS = "architecture: sret_digits\naxes: {stages.*.loops: {choices: [1, 4, 16]}}\n"


def searched(entry: TrialRecord) -> dict[str, Any]:
    """More parameters are better; some trainings fail, for reasons that do harm where they can."""
    if entry.number % 7 == 3:
        return {
            "state": "diverged",
            "reason": HOSTILE[entry.number % len(HOSTILE)],
            "cause": HOSTILE[0],
        }
    size = entry.cost["params"]
    environment = ENVIRONMENT | {"cpu": HOSTILE[1]}
    reached = 0.97 - 2000 / (size + 2000) + 0.002 * (entry.seed % 3)
    return complete(reached, environment=environment)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Reports of made-up studies, drawn once."""
    here, folder = Path.cwd(), tmp_path_factory.mktemp("pages")
    os.chdir(folder)
    comment = "".join(f"# {text}\n" for text in HOSTILE)
    text = "study: {name}\nspace: space.yaml\nsearch: {{seeds: 3}}\n"
    first = written(comment + SEARCHED, comment + text.format(name="hostile"), "hostile")
    second = written(SEARCHED, text.format(name="other"), "other")
    declared = "arms: {axis: stages.*.loops, reference: 4}\ncontrols: [unshared, iso_params]\n"
    arms = written(ARMS, text.format(name="arms") + declared, "arms")
    empty = written(ARMS, text.format(name="empty"), "empty")
    run(first, searched)
    run(second, searched, most=30)
    run(arms, lambda entry: complete(0.9 + 0.001 * entry.seed + 0.01 * (entry.role == "search")))
    run(empty, searched, most=0)
    found = {made.name: folder / write_report(made) for made in (first, arms, empty)}
    found["overlay"] = folder / write_overlay([first, second])
    yield found
    os.chdir(here)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.driver.quit()


CHARTS = "[...document.querySelectorAll('.chart')]"
NAMES = ("hostile", "arms", "empty", "overlay")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_a_page_is_drawn_whole(
    browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    browser.open(pages[name], width=width, dark=dark)
    drawn = browser.value(f"{CHARTS}.map(c => c.querySelectorAll('.trace, .bars .point').length)")
    assert (len(drawn) > 0) == (name != "empty")
    assert all(drawn), drawn
    assert browser.errors() == []
    assert browser.outside == []
    assert browser.value("document.documentElement.scrollWidth") <= width
    # No chart is wider than its place, or has no height.
    sizes = browser.value(
        f"{CHARTS}.map(c => [c.querySelector('svg').clientWidth - c.clientWidth, c.clientHeight])"
    )
    assert all(over <= 1 and height > 150 for over, height in sizes), sizes
    paper = browser.value("getComputedStyle(document.body).backgroundColor")
    ink = (
        browser.value(f"getComputedStyle({CHARTS}[0].querySelector('.xtitle')).fill")
        if drawn
        else None
    )
    bright = sum(map(int, paper[4:-1].split(","))) > 600
    assert bright == (not dark)
    if ink is not None:
        assert (sum(map(int, ink[4:-1].split(","))) > 400) == dark


def test_names_do_no_harm(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["hostile"])
    assert browser.value("window.hit === undefined")
    assert browser.value("document.querySelectorAll('body img, body b').length") == 0
    text = browser.value("document.body.textContent")
    for hostile in HOSTILE:
        assert hostile in text
    # A script that gets into the page all the same is refused by its policy.
    browser.run(
        "const s = document.createElement('script'); s.textContent = 'window.hit = 1';"
        "document.body.append(s);"
    )
    assert browser.value("window.hit === undefined")
    assert any("Content Security Policy" in line for line in browser.errors())


def test_hovering_tells_the_candidate_and_a_click_on_the_legend_hides(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["hostile"])
    browser.run("document.querySelector('#accuracy_params').scrollIntoView()")
    box = browser.value(
        "(() => { const p = [...document.querySelectorAll('#accuracy_params .scatterlayer .point')]"
        ".map(e => e.getBoundingClientRect()).filter(r => r.width > 0)[3];"
        " return [p.x + p.width / 2, p.y + p.height / 2]; })()"
    )
    browser.move(*box)
    browser.wait("document.querySelector('#accuracy_params .hoverlayer').textContent !== ''")
    told = browser.value("document.querySelector('#accuracy_params .hoverlayer').textContent")
    assert "parameters" in told
    assert "seeds" in told

    shown = (
        "document.querySelector('#accuracy_params .chart').data"
        ".filter(t => t.visible !== 'legendonly').length"
    )
    before = browser.value(shown)
    toggle = "document.querySelector('#accuracy_params .legendtoggle').getBoundingClientRect()"
    x, y = browser.value(
        f"(() => {{ const r = {toggle}; return [r.x + 10, r.y + r.height / 2]; }})()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        press = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
        browser.command("Input.dispatchMouseEvent", press)
    browser.wait(f"{shown} < {before}")
    # Another colour scheme draws anew, and what was hidden stays so.
    browser.scheme(dark=True)
    browser.wait(
        "getComputedStyle(document.querySelector('#accuracy_params .xtitle')).fill"
        " === 'rgb(232, 232, 230)'"
    )
    assert browser.value(shown) < before
    assert browser.errors() == []


def test_a_table_sorts_by_its_head_and_filters_by_what_is_typed(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["hostile"])
    table = "document.querySelector('#trials').nextElementSibling.parentNode.querySelector('#trials ~ .scroll table')"
    heads = browser.value(f"[...{table}.rows[0].cells].map(c => c.textContent)")
    column = heads.index("validation")
    values = f"[...{table}.rows].slice(1).map(r => r.cells[{column}].textContent)"
    cell = f"{table}.rows[0].cells[{column}]"
    before = browser.value(values)
    browser.run(f"{cell}.querySelector('button').focus()")
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
    for down in (False, True):
        for kind in ("keyDown", "keyUp"):
            browser.command("Input.dispatchKeyEvent", enter | {"type": kind})
        known = [float(value) for value in browser.value(values) if value]
        assert known == sorted(known, reverse=down)
        assert browser.value(f"{cell}.ariaSort") == ("descending" if down else "ascending")
        # What is not known comes last, whichever way.
        assert browser.value(values)[len(known) :] == [""] * (len(before) - len(known))
    browser.run(
        f"const f = {table}.closest('.scroll').previousElementSibling.querySelector('input');"
        "f.value = 'diverged'; f.dispatchEvent(new Event('input'));"
    )
    states = browser.value(
        f"[...{table}.rows].slice(1).filter(r => !r.hidden).map(r => r.textContent)"
    )
    assert 0 < len(states) < len(before)
    assert all("diverged" in state for state in states)


def test_a_printed_page_is_light(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["arms"], dark=True)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    browser.wait(
        f"getComputedStyle({CHARTS}[0].querySelector('.xtitle')).fill === 'rgb(27, 27, 27)'"
    )
    assert browser.value("[...document.querySelectorAll('details')].every(d => d.open)")
    browser.run("dispatchEvent(new Event('afterprint'))")
    browser.wait(
        f"getComputedStyle({CHARTS}[0].querySelector('.xtitle')).fill === 'rgb(232, 232, 230)'"
    )
    assert not browser.value("[...document.querySelectorAll('details')].some(d => d.open)")
