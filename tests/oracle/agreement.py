"""The bill by the second arithmetic, from what the product writes of use and terms."""

from __future__ import annotations

import json
from pathlib import Path

import bills
import numpy as np

from simulator.bill.cents import whole_cents
from simulator.bill.ledger_file import read_terms, read_usage, terms_data, usage_data
from simulator.bill.study import bill_study
from simulator.study.bill import MonthUse
from simulator.study.terms import Terms

ATOL_USD = 1e-9
"""What two orders of adding up the same differ by; a line of no more is none, as of servers sold at their value."""


def second_bill(bundle: Path, name: str) -> bills.Study:
    """Of a topology of a bundle."""
    usage, terms = (json.loads((bundle / f"{kind}.json").read_text(encoding="utf-8")) for kind in ("usage", "terms"))
    return bills.Study(usage[name], terms[name])


def agree(terms: Terms, months: list[MonthUse]) -> bills.Study:
    """Compare line by line, payment by payment; the oracle reads JSON that was written and read again."""
    told = json.loads(json.dumps([usage_data(months), terms_data(terms)]))
    study = bills.Study(*told)
    bill = bill_study(terms, months)
    lines = [line for line in bill.lines if abs(line.usd) > ATOL_USD]
    rows = [row for row in study.mean_lines() if abs(row["usd"]) > ATOL_USD]
    assert [(line.owner, line.category, line.part, line.site) for line in lines] == [
        (row["owner"], row["category"], row["part"], row["site"]) for row in rows
    ]
    np.testing.assert_allclose([line.usd for line in lines], [row["usd"] for row in rows], rtol=1e-9, atol=ATOL_USD)
    assert list(whole_cents(lines)) == bills.cents(rows)
    paid = study.payments()
    mine = {time: usd for time, usd in zip(bill.at_months, bill.paid_usd, strict=True) if usd or time in paid}
    assert list(mine) == list(paid)
    np.testing.assert_allclose(list(mine.values()), list(paid.values()), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(bill.npv_usd, study.npv(), rtol=1e-9, atol=1e-6)
    again = bill_study(read_terms(told[1]), read_usage(told[0]))
    assert [line.usd for line in again.lines] == [line.usd for line in bill.lines]
    return study
