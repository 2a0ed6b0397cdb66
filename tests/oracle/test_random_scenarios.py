"""Random scenarios in which every price is given: their bills, line by line, by arithmetic that reads the scenario."""

from __future__ import annotations

import itertools
import json
from random import Random

import bills
import pytest
from agreement import ATOL_USD
from bills.payback import STEP_MONTHS
from bills.said import terms_of
from money_scenarios import courses, scenario
from parts import few

from simulator.bill.cash import payback_months
from simulator.bill.ledger_file import terms_data, usage_data
from simulator.decide.break_even import without_resale


@pytest.mark.parametrize("seed", few(range(60), 12, 15, 18))
def test_any_scenario_costs_what_its_own_prices_say(seed: int) -> None:
    """Terms are read from the scenario for the one, as the product resolved them for the other."""
    text = scenario(Random(seed))
    for name, course in courses(text).items():
        bill = course.priced.bill
        lines = {(one.owner, one.category, one.part, one.site): one.usd for one in bill.lines}
        used = json.loads(json.dumps(usage_data(course.priced.months)))
        for terms in (terms_of(text, name), json.loads(json.dumps(terms_data(course.prices.terms)))):
            study = bills.Study(used, terms)
            rows = {(row["owner"], row["category"], row["part"], row["site"]): row["usd"] for row in study.mean_lines()}
            for key in lines | rows:
                assert lines.get(key, 0.0) == pytest.approx(rows.get(key, 0.0), rel=1e-9, abs=ATOL_USD), (name, key)
            assert study.npv() == pytest.approx(float(bill.npv_usd), rel=1e-9)


@pytest.mark.parametrize("seed", few(range(60), 12))
def test_any_two_break_even_when_their_cash_flows_do(seed: int) -> None:
    """Undiscounted and discounted, without what is sold at the end, by payments that are worked out anew."""
    text = scenario(Random(seed))
    found = courses(text)
    if len(found) < 2:
        pytest.skip("one topology has no rival")
    studies, paid, rate = {}, {}, text["cost"]["discount_rate"]
    for name, course in found.items():
        bill, terms = course.priced.bill, course.prices.terms
        studies[name] = bills.Study(json.loads(json.dumps(usage_data(course.priced.months))), terms_of(text, name))
        paid[name] = without_resale(bill, terms.months)
    for mine, rival in itertools.permutations(found, 2):
        for at in (0.0, rate):
            ours = payback_months(paid[mine], paid[rival], at)
            theirs = bills.payback_months(studies[mine], studies[rival], at)
            assert (ours is None) == (theirs is None), (mine, rival, at)
            assert ours is None or ours == pytest.approx(theirs, abs=2 * STEP_MONTHS), (mine, rival, at)
