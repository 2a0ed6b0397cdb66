"""What is shown is said once: words, units and digits of every table come from the table of figures."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from simulator.figures.glossary import glossary_rows
from simulator.figures.table import FIGURES, figure
from simulator.plan import table as plan_table
from simulator.report.decision import decision_screen
from simulator.report.html import render
from simulator.report.memo import memo
from simulator.report.paired import differences_to
from simulator.report.screen import first_screen
from simulator.report.table import comparison, ordered
from simulator.results.bundle import Bundle, read_bundle
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario
from simulator.sweep.table import table as sweep_table

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "tests/data/scenarios/dashboard.yaml"
RETIRED = re.compile(r"GPU busy|GPUs busy|busy[ _]share|utili[sz]ation(?!\s*limit)", re.IGNORECASE)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(simulate(load_scenario(SCENARIO), tmp_path_factory.mktemp("figures")).bundle)


def words_of(label: str) -> str:
    """A label without its unit and without the kind of its interval."""
    return re.sub(r"(, 95 %|, 90 % of draws)?( \[[^]]*\])?$", "", label)


def known(label: str) -> bool:
    return words_of(label) in {shown.words for shown in FIGURES.values()}


def test_every_row_is_a_figure_or_a_term_of_the_slo(bundle: Bundle) -> None:
    topologies = ordered(bundle.summary)
    terms = {f"{row['class']}: {row['term']}" for row in topologies["own"]["metrics"]["slo_terms"]}
    for rows, _ in (comparison(topologies), comparison(topologies, short=True), differences_to(topologies, "own")):
        labels = [row[0] for row in rows]
        assert len(set(labels)) == len(labels)
        assert [label for label in labels if not known(label) and label not in terms] == []
    assert terms <= {row[0] for row in comparison(topologies, short=True)[0]}


def test_headers_of_sweeps_and_plans_are_figures() -> None:
    columns = {"status": [], "topology": []}
    _, headers = sweep_table(pd.DataFrame(columns), [])
    assert [header for header in headers if header not in ("topology",) and not known(header)] == []
    own = ("topology", "GPU", "TP", "PP", "replicas", "GPUs", "SLO met in")
    assert [header for header in plan_table.plan_headers() if header not in own and not known(header)] == []


def test_a_figure_is_the_same_number_in_the_table_and_in_the_summary(bundle: Bundle) -> None:
    topologies = ordered(bundle.summary)
    rows, headers = comparison(topologies)
    shown = {row[0]: dict(zip(headers[1:], row[1:], strict=True)) for row in rows}
    for name, summary in topologies.items():
        expected = {
            **{key: summary["metrics"][key] for key in ("served_share", "turns_served", "output_tokens_per_s")},
            **{key: value for key, value in summary["cost"].items() if key in FIGURES and key != "usd_per_month"},
            "time_in_steps": summary["time_in_steps"],
        }
        for key, value in expected.items():
            if key.startswith("saved_by_"):
                usd = sum(one["usd_per_month"] for one in value)
                assert shown.get(figure(key).label, {}).get(name, "-") == figure(key).text(usd or None), key
                continue
            assert shown[figure(key).label][name] == figure(key).text(value), key


def test_rows_of_one_table_agree(bundle: Bundle) -> None:
    for summary in ordered(bundle.summary).values():
        metrics, cost = summary["metrics"], summary["cost"]
        month_s = 730 * 3600.0
        for rates, price in (
            (("output_tokens_per_s",), "usd_per_million_output_tokens"),
            (("input_tokens_per_s", "output_tokens_per_s"), "usd_per_million_tokens"),
            (("processed_tokens_per_s",), "usd_per_million_processed_tokens"),
        ):
            tokens = sum(metrics[rate] for rate in rates) * month_s
            assert cost[price] * tokens / 1e6 == pytest.approx(cost["usd_per_month"], rel=1e-9)
        thousands = metrics["answered_rps"] * month_s / 1_000
        assert cost["usd_per_thousand_requests"] * thousands == pytest.approx(cost["usd_per_month"], rel=1e-9)


def test_retired_words_are_gone(bundle: Bundle) -> None:
    page = re.sub(r"<script.*?</script>", "", render(bundle), flags=re.DOTALL)
    texts: dict[str, str] = {
        "screen": first_screen(bundle.summary, bundle.summary["verdict"]),
        "memo": memo(bundle),
        "page": page,
    }
    for folder in ("docs", "dashboard", "simulator/report", "simulator/cli", "simulator/figures", "simulator/run"):
        for path in [*(ROOT / folder).rglob("*.md"), *(ROOT / folder).rglob("*.py")]:
            texts[str(path.relative_to(ROOT))] = path.read_text()
    found = {
        name: RETIRED.findall(re.sub("gpu.memory.utilization|kv-cache-utilization-scorer", "", text))
        for name, text in texts.items()
    }
    assert {name: words for name, words in found.items() if words} == {}


def test_the_glossary_has_every_figure() -> None:
    text = (ROOT / "docs/glossary.md").read_text()
    missing = [row for row in glossary_rows() if row not in text]
    assert missing == []
    assert text.count("| `") >= len(glossary_rows())


def test_a_figure_without_a_value_is_a_dash() -> None:
    for shown in FIGURES.values():
        for value in (None, float("nan"), float("inf")):
            assert shown.text(value) == "-"
            assert shown.span(0.5, value) == "-"
    assert figure("ttft_p99_s").text(0.4456) == "446"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (30_000.0, "30,000.000"),
        (4.0912, "4.091"),
        (0.1, "0.100"),
        (0.0999, "0.0999"),
        (0.000614, "0.000614"),
        (0.0, "0.000"),
    ],
)
def test_what_is_told_per_million_tokens_has_three_digits(value: float, said: str) -> None:
    for key in ("usd_per_million_tokens", "usd_per_million_output_tokens", "kwh_per_million_tokens"):
        assert figure(key).text(value) == said
    assert figure("usd_per_month").span(1000.2, 2000.7) == "1,000 to 2,001"


def test_a_narrow_terminal_has_the_figures_of_each_topology_below_the_other(bundle: Bundle) -> None:
    """No line that a terminal of 64 letters breaks, and no word less than without an end."""
    told = [
        first_screen(bundle.summary, "Buy two. " * 30, *width)
        + decision_screen(bundle.decision, list(bundle.summary["order"]), True, *width)
        for width in ((), (64,))
    ]
    wide, narrow = (max(map(len, text.splitlines())) for text in told)
    assert narrow <= 64 < 100 <= wide
    one, other = (set(text.replace("-", " ").split()) for text in told)
    assert one == other


def test_the_first_screen_begins_with_the_verdict(bundle: Bundle) -> None:
    text = first_screen(bundle.summary, "Buy two.\n\nThen four.")
    order = (bundle.summary["scenario"], "Buy two.", "Then four.", "SLO met", "730 hours")
    place = [text.index(words) for words in order]
    assert place == sorted(place)
    prose = [line for line in text.splitlines() if not line.startswith(("-", " ")) and "  " not in line]
    assert max(map(len, prose)) <= 100
