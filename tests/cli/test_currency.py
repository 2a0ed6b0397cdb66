"""A currency that is stated wrongly is one clear error at its place; one of answers gives a scenario that holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from cyclopts import CycloptsError

from simulator.cli.main import _run
from simulator.errors import InputError
from simulator.scenario.load import load_scenario

SMALL = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
GOOD = {"code": "EUR", "usd_per_unit": "1.08", "date": "2026-11-20", "source": "ECB"}


def stated(**changed: str | None) -> str:
    said = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    return f"currency={{{', '.join(f'{name}: {value}' for name, value in said.items())}}}"


@pytest.mark.parametrize(
    ("sets", "place", "words"),
    [
        (stated(code="EUX"), "currency.code", "unknown currency 'EUX'"),
        (stated(code="eur"), "currency.code", "unknown currency 'eur': did you mean 'EUR'?"),
        (stated(code="USD"), "currency.code", "amounts are in USD anyway"),
        (stated(usd_per_unit="0"), "currency.usd_per_unit", "must be greater than 0"),
        (stated(usd_per_unit="-1.08"), "currency.usd_per_unit", "must be greater than 0"),
        (stated(usd_per_unit=None), "currency", "'usd_per_unit' is missing"),
        (stated(date=None), "currency", "'date' is missing"),
        (stated(date="yesterday"), "currency.date", "must be a day"),
        (stated(date="'2026-02-30'"), "currency.date", "is no day of the calendar"),
        (stated(date="2999-01-01"), "currency.date", "is in the future"),
        (stated(source=None), "currency", "'source' is missing"),
        (stated(source="''"), "currency.source", "at least 1"),
        (stated(rate="1"), "currency.rate", "unknown key"),
        ("currency=EUR", "currency", "must be a mapping"),
    ],
)
def test_a_wrong_currency_is_one_error_at_its_place(sets: str, place: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        load_scenario(SMALL, sets=[sets])
    (problem,) = refused.value.problems
    assert problem.path == place
    assert words in problem.message


def test_a_good_one_is_taken_and_a_null_is_none() -> None:
    loaded = load_scenario(SMALL, sets=[stated()])
    assert loaded.currency == {"code": "EUR", "usd_per_unit": 1.08, "date": "2026-11-20", "source": "ECB"}
    assert load_scenario(SMALL, sets=["currency=null"]).currency is None


def test_a_sweep_over_rates_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["sweep", str(SMALL), "--grid", "currency.usd_per_unit=1.0,1.1"]) == 2
    assert "changes no result" in capsys.readouterr().err


def test_answers_with_a_currency_write_it(tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    rate = ("--usd-per-unit", "1.08", "--rate-date", "2026-11-20", "--rate-source", "ECB: daily")
    assert _run(["new", str(file), "--users", "20", "--no-ask", "--currency", "EUR", *rate]) == 0
    found = load_scenario(file).currency
    assert found == {"code": "EUR", "usd_per_unit": 1.08, "date": "2026-11-20", "source": "ECB: daily"}


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (("--currency", "EUR"), "usd_per_unit: a currency needs its rate"),
        (("--currency", "EUR", "--usd-per-unit", "1.08"), "rate_date: a currency needs its rate"),
        (("--usd-per-unit", "1.08"), "usd_per_unit: say of which currency"),
    ],
)
def test_half_an_answer_is_told(
    answers: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert _run(["new", str(tmp_path / "new.yaml"), "--users", "20", "--no-ask", *answers]) == 2
    except CycloptsError as error:
        pytest.fail(str(error))
    assert words in capsys.readouterr().err
    assert not (tmp_path / "new.yaml").exists()
