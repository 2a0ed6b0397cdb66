"""What a token API is paid beside its tokens, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from agreement import agree
from bill_cases import API, month, provider

from simulator.bill.study import bill_study, study_usd_per_month
from simulator.bill.sums import total_usd
from simulator.study.bill import Bill, MonthUse
from simulator.study.terms import ApiTerms, Terms
from simulator.study.usage import Usage

HOUR = 3600.0
UNITS = replace(API, prices=(replace(API.prices[0], input=0.0, cached_input=0.0, output=0.0),), provisioned_units=10.0)


def use(prompts: int = 1_000_000, answers: int = 0) -> MonthUse:
    """An hour of so many tokens, 730 times as many a month."""
    return month(Usage(HOUR, (), (provider([[[prompts, 0, 0, answers]]]),), ()))


def bill(api: ApiTerms, months: list[MonthUse], **more: Any) -> Bill:
    terms = Terms("api", apis=(api,), months=float(len(months)), **more)
    agree(terms, months)
    return bill_study(terms, months)


@pytest.mark.parametrize(
    ("term_months", "usd"),
    [(0, 14_600 * (1.1 + 1.21) / 2), (1, 14_600 * (1.0 + 1.1) / 2), (2, 14_600.0), (12, 14_600.0 * 6)],
)
def test_units_are_bought_at_the_price_of_their_month(term_months: int, usd: float) -> None:
    """Ten at $2 for 730 hours are $14,600 at today's price, which rises by a tenth a month; a year is owed in full."""
    api = replace(UNITS, usd_per_unit_hour=2.0, unit_term_months=term_months)
    found = bill(api, [use(), use()], token_index=np.array([1.0, 1.1, 1.21]))
    assert total_usd(found.lines) == pytest.approx(usd)


def test_units_by_the_hour_move_in_the_draws_as_tokens_do() -> None:
    """In the second draw prices double from the first month on; tokens of the same money do the same."""
    index = np.array([[1.0, 1.0], [1.0, 2.0]])
    by_unit, by_token = (
        study_usd_per_month(Terms("api", apis=(api,), months=1.0, token_index=index), [use()])
        for api in (replace(UNITS, usd_per_unit_hour=2.0), replace(API, prices=(replace(API.prices[0], input=20.0),)))
    )
    assert np.asarray(by_unit).tolist() == pytest.approx([14_600.0, 29_200.0])
    assert np.asarray(by_token).tolist() == pytest.approx([14_600.0, 29_200.0])
