"""Where nothing is true, pages claim next to nothing, and intervals hold what they are for."""

import null_studies
import pytest
from null_designs import designs
from null_pages import Design
from null_studies import SHORT, SHORT_SEEDS, Rate


@pytest.mark.parametrize(
    "design", [one for one in designs() if not one.long], ids=lambda design: design.name
)
def test_false_claims_are_rare_and_intervals_hold(design: Design) -> None:
    rates = [
        rate
        for seeds in SHORT_SEEDS
        if seeds in design.seeds
        for rate in null_studies.simulate(design, seeds, SHORT * design.pages // 100, short=True)
    ]
    assert [rate for rate in rates if rate.is_outside] == []


def test_a_rate_is_over_pages_whose_own_claims_depend() -> None:
    pages = [[True] * 10, [False] * 10] * 50
    rate = Rate.over(pages, "claim", "holds", "design", 3, 0.0, "all")
    assert rate is not None
    assert (rate.rate, rate.pages, rate.of) == (0.5, 100, 1000)
    assert rate.error == pytest.approx(0.05, rel=0.1)  # of 100 pages, not of 1000 claims
    assert rate.is_outside


def test_a_sentence_of_no_known_kind_is_an_error() -> None:
    assert null_studies.kind_of("Best: 90.0 % on validation.") == "best"
    with pytest.raises(LookupError, match="Loops are magic"):
        null_studies.kind_of("Loops are magic.")
