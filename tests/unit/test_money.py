"""Amounts in the currency that is shown, by hand."""

from __future__ import annotations

import subprocess
import sys

import pytest

from simulator.figures.differences import CostLine, Side, differences_in_words
from simulator.figures.table import figure
from simulator.money import USD, Currency, amount, column, in_sign, input_sign, money, rate_words, shown_in, sign
from simulator.report.table import _money

EUR = Currency("EUR", 1.25, "2026-11-20", "ECB reference rate")
YEN = {"code": "JPY", "usd_per_unit": 0.008, "date": "2026-11-20", "source": "a bank"}

SPAWNS = """
import threading
from simulator.money import money, shown_in
from simulator.processes import results

def told(shared, task):
    return money(task)

if __name__ == "__main__":
    threading.Thread(target=threading.Event().wait, daemon=True).start()  # so that workers are no copies
    with shown_in({"code": "EUR", "usd_per_unit": 1.25, "date": "2026-11-20", "source": "ECB"}):
        print(sorted(text for _, text in results(told, None, [125.0, 250.0, 375.0], 2)))
"""


@pytest.mark.parametrize(
    ("usd", "dollars", "euros", "yen"),
    [
        (125_000.0, "$125,000", "EUR 100,000", "JPY 15,625,000"),
        (124.0, "$124", "EUR 99.20", "JPY 15,500"),  # below 100 in the one, above it in the other
        (1.25, "$1.25", "EUR 1.00", "JPY 156"),
        (1.0, "$1.00", "EUR 0.80", "JPY 125"),
        (0.0, "$0", "EUR 0", "JPY 0"),
        (-250.0, "$-250", "EUR -200", "JPY -31,250"),
    ],
)
def test_an_amount_is_divided_by_the_rate_and_rounded_as_that_currency(
    usd: float, dollars: str, euros: str, yen: str
) -> None:
    assert money(usd) == dollars
    with shown_in(EUR):
        assert money(usd) == euros
        with shown_in(YEN):
            assert money(usd) == yen
        assert money(usd) == euros
    assert money(usd) == dollars


def test_names_of_figures_and_columns_say_the_currency() -> None:
    per_token = figure("usd_per_million_tokens")
    assert (sign(), input_sign(), column("usd_per_month"), rate_words()) == ("$", "$", "usd_per_month", "")
    assert (per_token.label, per_token.text(2.5)) == ("$ per 1M tokens, delivered", "2.500")
    with shown_in(EUR):
        assert (sign(), input_sign(), column("usd_per_month")) == ("EUR", "USD", "eur_per_month")
        assert (per_token.label, per_token.text(2.5)) == ("EUR per 1M tokens, delivered", "2.000")
        assert in_sign("owed [$]") == "owed [EUR]"
        assert "at 1.25 USD per EUR of 2026-11-20 (ECB reference rate)" in rate_words()
        assert figure("kwh_per_million_tokens").text(2.5) == "2.500"
        assert figure("ttft_p50_s").text(0.25) == "250"


def test_an_interval_and_a_price_within_a_sentence_are_converted_too() -> None:
    cost = {"usd_per_month": 1000.0, "usd_per_month_half_width": 100.0}
    sides = [
        Side(name, (CostLine("rented", "on demand", "busy", hours, "GPU-hours", usd),), {}, {}, {})
        for name, hours, usd in (("one", 100.0, 400.0), ("other", 80.0, 200.0))
    ]
    (told,) = differences_in_words(*sides)
    assert _money({"cost": cost}) == "1,000 ± 100"
    assert "costs $200 a month more" in told.text
    assert "at $4.00 instead of $2.50 each" in told.text
    with shown_in(EUR):
        (told,) = differences_in_words(*sides)
        assert _money({"cost": cost}) == "800 ± 80"
        assert "costs EUR 160 a month more" in told.text
        assert "at EUR 3.20 instead of EUR 2.00 each" in told.text


def test_an_error_leaves_the_currency_as_it_was() -> None:
    with pytest.raises(ZeroDivisionError), shown_in(EUR):
        raise ZeroDivisionError
    assert (sign(), amount(1250.0)) == ("$", "1,250")
    with shown_in(EUR), shown_in(None):
        assert money(1250.0) == "$1,250"
    assert USD.usd_per_unit == 1.0


def test_workers_that_are_no_copies_of_their_parent_speak_its_currency(tmp_path: object) -> None:
    file = f"{tmp_path}/spawns.py"
    with open(file, "w") as written:
        written.write(SPAWNS)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "['EUR 100', 'EUR 200', 'EUR 300']"
