"""Runs of several currencies beside each other: what their amounts are shown in is told."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

EUR = {"code": "EUR", "usd_per_unit": 1.08, "date": "2026-11-20", "source": "ECB"}


def _page(mine: dict[str, object] | None, its: dict[str, object] | None) -> None:
    from pathlib import Path
    from types import SimpleNamespace

    from dashboard.components.rates import show_rate
    from simulator.money import shown_in

    here, there = (SimpleNamespace(summary={"currency": one}, path=Path("there")) for one in (mine, its))
    with shown_in(mine):
        show_rate(SimpleNamespace(bundle=here), there)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mine", "its", "told"),
    [
        (EUR, EUR, []),
        (None, None, []),
        (EUR, None, ["shown in EUR", "there by itself: Amounts in USD."]),
        (None, EUR, ["shown in USD", "there by itself: Amounts in EUR at 1.08 USD per EUR of 2026-11-20 (ECB)"]),
        (EUR, {**EUR, "usd_per_unit": 1.2}, ["shown in EUR", "Amounts in EUR at 1.2 USD per EUR"]),
    ],
)
def test_another_rate_than_that_of_the_run_shown_is_told(mine: Any, its: Any, told: list[str]) -> None:
    app = AppTest.from_function(_page, args=(mine, its)).run()
    assert not app.exception
    words = " ".join(caption.value for caption in app.caption)
    assert bool(words) is bool(told)
    assert all(part in words for part in told)
