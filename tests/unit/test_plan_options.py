"""What a plan is asked for: the months that there are, at both ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import InputError, Problem
from simulator.plan.options import PlanOptions, check_month
from simulator.scenario.load import load_scenario

SIZED = Path(__file__).resolve().parents[1] / "data/scenarios/sized.yaml"


@pytest.mark.parametrize(("months", "last"), [("1", 1), ("6", 6), ("2.5", 3)])
def test_the_first_month_and_the_last_can_be_planned_and_none_beside_them(months: str, last: int) -> None:
    loaded = load_scenario(SIZED, sets=[f"study.months={months}"])
    for month in (None, 1, last):
        check_month(loaded, PlanOptions(month=month))
    for month in (0, -1, last + 1):
        with pytest.raises(InputError) as caught:
            check_month(loaded, PlanOptions(month=month))
        assert caught.value.problems == (Problem(f"the study has months 1 to {last}", "--month", got=str(month)),)
