"""What is shown of a value, and what of an SLO is held: by hand, from nothing of the code that shows and holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import chat, written

from simulator.figures.table import FIGURES, figure, met_words
from simulator.report import paired
from simulator.report.pareto import _missed
from simulator.simulate.demand import class_slos

LATENCIES = [f"{metric}_{share}_s" for metric in ("ttft", "tpot", "e2e") for share in ("p50", "p90", "p95", "p99")]


@pytest.mark.parametrize("name", LATENCIES)
def test_latencies_in_seconds_are_shown_in_milliseconds(name: str) -> None:
    digits = "1,250.4" if name.startswith("tpot") else "1,250"
    assert (figure(name).unit, figure(name).text(1.2504)) == ("ms", digits)
    assert figure(name).span(0.25, 1.5) == ("250.0 to 1,500.0" if name.startswith("tpot") else "250 to 1,500")


@pytest.mark.parametrize(
    ("name", "value", "unit", "shown"),
    [
        ("slo_attainment", 0.98765, "", "98.77%"),
        ("served_share", 0.5, "", "50.00%"),
        ("goodput_rps", 12.345, "requests/s", "12.35"),
        ("output_tokens_per_s", 1234.4, "tokens/s", "1,234"),
        ("capacity_used_share", 0.756, "", "76%"),
        ("unused_share", 0.756, "", "76%"),
        ("overflow_share", 0.0126, "", "1.3%"),
        ("escalated_share", 0.0126, "", "1.3%"),
        ("usd_per_million_tokens", 0.4567, "", "0.457"),
        ("usd_per_million_output_tokens", 1.7006, "", "1.701"),
        ("kwh_per_million_tokens", 0.1004, "kWh per 1M tokens", "0.100"),
        ("usd_per_month", 69843.2, "", "69,843"),
        ("job_s", 5400.0, "h", "1.50"),
        ("probability_cheapest", 0.25, "", "25%"),
    ],
)
def test_a_figure_is_shown_in_its_unit(name: str, value: float, unit: str, shown: str) -> None:
    assert (figure(name).unit, figure(name).text(value)) == (unit, shown)


def test_no_figure_is_shown_in_another_scale_than_its_unit() -> None:
    scales = {"ms": 1e3, "h": 1 / 3600}
    assert {name: one.factor for name, one in FIGURES.items() if one.factor != scales.get(one.unit, 1.0)} == {}


def test_differences_are_in_the_unit_that_their_words_say() -> None:
    scales = {"points": 100.0, "ms": 1e3, "requests/s": 1.0}
    for name, words, factor, _ in paired.FIGURES:
        unit = words[words.index("[") + 1 : -1] if "[" in words else ""
        assert factor == scales.get(unit, 1.0), name
    assert [name for name, words, *_ in paired.FIGURES if "[points]" in words] == ["slo_attainment"]


def test_what_misses_the_slo_is_what_does_not_attain_it() -> None:
    assert _missed(0.98) == pytest.approx(0.02)


def test_the_slo_is_met_in_words() -> None:
    assert [met_words(met) for met in (True, False, None)] == ["yes", "no", "not known"]


@pytest.mark.parametrize("metric", ["ttft_s", "tpot_s", "e2e_s"])
@pytest.mark.parametrize("share", ["p50", "p90", "p95", "p99"])
def test_each_term_of_an_slo_is_held(tmp_path: Path, metric: str, share: str) -> None:
    text = chat("one: {pools: [{name: p, site: lambda, gpu: h100-sxm}]}", study="")
    given = next(line for line in text.splitlines() if line.strip().startswith("slo:"))
    loaded = written(tmp_path, text.replace(given, f"      slo: {{{metric}: {{{share}: 0.25}}}}"))
    ((term,),) = (slo.terms for slo in class_slos(loaded))
    assert (term.metric, term.quantile, term.limit_s) == (metric, int(share[1:]) / 100, 0.25)
