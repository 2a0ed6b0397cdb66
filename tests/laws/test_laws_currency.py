"""A currency changes how amounts are shown, all of them, and nothing else."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pypdf
import pytest
from parts import few

from simulator.cli.main import _run
from simulator.money import amount, shown_in
from simulator.report.bill_xlsx import bill_workbook
from simulator.report.by_name import _DRAWN, chart
from simulator.report.html import render, spec
from simulator.report.memo import memo
from simulator.report.memo_docx import memo_document
from simulator.report.memo_html import memo_page
from simulator.report.memo_pdf import memo_pdf
from simulator.report.table import comparison, ordered
from simulator.results.bundle import Bundle, read_bundle
from simulator.run.simulate import Run, simulate
from simulator.scenario.load import load_scenario
from simulator.simulate.store import Store

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
SETS = (
    "run.horizon_s=40",
    "run.warmup_s=5",
    "study.months=6",
    "study.load_steps=[{from_month: 3, load: 2}]",
    "topologies.own.pools[base].replicas=auto",
    "topologies.cloud.pools[rented].billing=reserved",
    "topologies.cloud.pools[rented].term_months=12",
    "topologies.cloud.pools[rented].price_usd_per_gpu_hour=2.5",
    "topologies.cloud.fees=[{name: support, usd_per_month: 50}]",
    "cost.draws=20",
)
RATE = "at {:g} USD per EUR of 2026-11-20 (ECB reference rate)"


def run(folder: Path, usd_per_unit: float | None, store: Store | None = None) -> Run:
    stated = [f"currency={{code: EUR, usd_per_unit: {usd_per_unit}, date: 2026-11-20, source: ECB reference rate}}"]
    loaded = load_scenario(SCENARIO, sets=[*SETS, *(stated if usd_per_unit else [])])
    return simulate(loaded, folder, store=store, advise=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[float | None, Bundle]:
    """By rate: in USD, in a currency of the same worth, and in one of twice that; of one store of trials."""
    folder, store = tmp_path_factory.mktemp("runs"), Store()
    return {rate: read_bundle(run(folder, rate, store).bundle) for rate in (None, 1.0, 2.0)}


def printed(*arguments: str) -> str:
    with redirect_stdout(io.StringIO()) as out:
        assert _run([*arguments]) in (0, 1)
    return out.getvalue()


def of_html(text: str) -> str:
    """What a page says: without the library of charts, whose own code has any letter."""
    head, _, script = text.partition('<script type="module">')
    return head + "".join(re.findall(r'vegaEmbed\("#[^"]*", (\{.*?\}), \{actions', script))


def of_pdf(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages)


def of_docx(content: bytes) -> str:
    found = docx.Document(io.BytesIO(content))
    cells = [cell.text for table in found.tables for row in table.rows for cell in row.cells]
    return "\n".join([*(line.text for line in found.paragraphs), *cells])


def of_xlsx(content: bytes) -> str:
    """Cells of a workbook as text; formulas, whose places have dollars, by their values."""
    book = openpyxl.load_workbook(io.BytesIO(content), data_only=True)
    return "\n".join(str(cell.value) for sheet in book for row in sheet for cell in row if cell.value is not None)


WAYS: dict[str, Callable[[Bundle], str]] = {
    "run": lambda bundle: printed("run", str(written(bundle)), "--out", str(bundle.path.parent), "--months", "--quiet"),
    "compare": lambda bundle: printed("compare", str(bundle.path)),
    "comment": lambda bundle: printed("compare", str(bundle.path), "--format", "md"),
    "plan": lambda bundle: printed("plan", str(written(bundle)), "--topology", "own", "--quiet"),
    "report": lambda bundle: of_html(render(bundle)),
    "memo": memo,
    "memo as HTML": memo_page,
    "memo as PDF": lambda bundle: of_pdf(memo_pdf(bundle)),
    "memo for Word": lambda bundle: of_docx(memo_document(bundle)),
    "workbook": lambda bundle: of_xlsx(bill_workbook(bundle)),
}


QUICK = ("compare", "comment", "memo", "memo for Word", "workbook")


def written(bundle: Bundle) -> Path:
    """The scenario of a run as it was asked, in a file."""
    file = bundle.path.parent / f"{bundle.path.name}.yaml"
    if not file.exists():
        text = bundle.scenario_file.read_text()
        file.write_text(re.sub(r"replicas: \d+  # set by .*", "replicas: auto", text))
    return file


def without_dollars(text: str) -> str:
    """Text of charts and prose without what is no amount: names of schemas and of keys."""
    return text.replace('"$schema"', "")


@pytest.mark.parametrize("way", few(list(WAYS), *QUICK))
def test_no_output_shows_a_dollar_and_each_says_the_rate_once(way: str, runs: dict[float | None, Bundle]) -> None:
    said = without_dollars(WAYS[way](runs[2.0]))
    assert "$" not in said
    assert "EUR" in said
    assert " ".join(said.split()).count(RATE.format(2.0)) == 1


@pytest.mark.parametrize("way", few(["run", "plan", *QUICK], *QUICK))
def test_of_a_currency_worth_a_dollar_all_else_is_the_same(way: str, runs: dict[float | None, Bundle]) -> None:
    """The exact twin: where the rate is 1 only the sign differs."""
    one, other = (neutral(WAYS[way](runs[rate])) for rate in (None, 1.0))
    assert one == other
    assert "¤" in " ".join(one)


def neutral(text: str) -> list[str]:
    text = re.sub(r"Amounts\s*in\s*EUR[^;]*;\s*prices\s*that\s*go\s*in\s*are\s*told\s*in\s*USD\.", " ", text)
    text = re.sub(r"(^|\n)currency:(\n  .*)+", "", text)
    text = re.sub(r"[0-9a-f]{64}|small-[0-9a-f]{8}", "HASH", text)
    text = re.sub(r"(EUR|\$)\s*", "¤", text)
    return re.sub(r"[-=|]{2,}", " ", text).split()


@pytest.mark.parametrize("name", [name for name in _DRAWN if name not in ("ttft", "tpot", "e2e", "load")])
def test_a_chart_is_in_the_currency_of_its_run(name: str, runs: dict[float | None, Bundle]) -> None:
    drawn = {rate: spec(chart(bundle, name)) for rate, bundle in runs.items()}
    assert "$" not in without_dollars(drawn[2.0])
    assert "usd" not in drawn[2.0]
    plain, twin = (json.loads(drawn[rate].replace("eur", "usd").replace("EUR", "$")) for rate in (None, 1.0))
    assert plain == twin
    one, two = (sorted(amounts(json.loads(drawn[rate]))) for rate in (1.0, 2.0))
    assert two == pytest.approx([usd / 2 for usd in one])
    assert bool(one) == (name != "differences")


def amounts(node: Any) -> list[float]:
    if isinstance(node, dict):
        own = [float(value) for key, value in node.items() if "eur" in key and isinstance(value, int | float)]
        return own + [found for value in node.values() for found in amounts(value)]
    return [found for value in node for found in amounts(value)] if isinstance(node, list) else []


def test_tables_have_each_amount_divided_by_the_rate(runs: dict[float | None, Bundle]) -> None:
    with shown_in(runs[2.0].summary["currency"]):
        shown = {row[0]: row[1:] for row in comparison(ordered(runs[2.0].summary))[0]}
        halves = [amount(found["cost"]["capex_usd"]) for found in ordered(runs[2.0].summary).values()]
    plain = {row[0]: row[1:] for row in comparison(ordered(runs[None].summary))[0]}
    assert shown["capex [EUR]"] == halves
    whole, half = (
        [float(cell.split(" ")[0].replace(",", "")) for cell in row]
        for row in (plain["$ per 1M tokens, output"], shown["EUR per 1M tokens, output"])
    )
    assert half == pytest.approx([value / 2 for value in whole], abs=1e-3)
    assert plain["SLO attainment"] == shown["SLO attainment"]


def test_the_workbook_has_each_price_and_amount_divided_by_the_rate(runs: dict[float | None, Bundle]) -> None:
    plain, halves = (
        openpyxl.load_workbook(io.BytesIO(bill_workbook(runs[rate])), data_only=True) for rate in (None, 2.0)
    )
    for sheet, columns in (("Bill", "GH"), ("Summary", "BD")):
        for column in columns:
            usd, euros = (
                [cell.value for cell in book[sheet][column][1:] if isinstance(cell.value, int | float)]
                for book in (plain, halves)
            )
            assert sum(usd) > 0
            assert euros == pytest.approx([value / 2 for value in usd])


def test_files_for_programs_stay_in_dollars_with_the_currency_beside_them(runs: dict[float | None, Bundle]) -> None:
    plain, euros = runs[None], runs[2.0]
    assert euros.summary["currency"] == {
        "code": "EUR",
        "usd_per_unit": 2.0,
        "date": "2026-11-20",
        "source": "ECB reference rate",
    }
    assert "currency" not in plain.summary
    for file in [*plain.path.glob("*.parquet"), *plain.path.glob("*.csv")]:
        assert (euros.path / file.name).read_bytes() == file.read_bytes()
    for name in ("usage.json", "terms.json", "figures.json"):
        assert (euros.path / name).read_bytes() == (plain.path / name).read_bytes()
    kept = {key: value for key, value in euros.summary.items() if key != "currency"}
    assert numbers(kept) == numbers(plain.summary)
    assert numbers(euros.decision) == numbers(plain.decision)


def numbers(node: Any, path: str = "") -> dict[str, Any]:
    """Every value that is no text, by its path."""
    if isinstance(node, dict):
        return {place: value for key, each in node.items() for place, value in numbers(each, f"{path}.{key}").items()}
    if isinstance(node, list):
        return {place: value for k, each in enumerate(node) for place, value in numbers(each, f"{path}[{k}]").items()}
    return {} if isinstance(node, str) else {path: node}


def test_runs_of_unlike_currencies_are_compared_in_dollars_and_say_so(runs: dict[float | None, Bundle]) -> None:
    said = printed("compare", *(str(runs[rate].path) for rate in (None, 2.0)))
    assert "amounts are compared in USD" in said
    assert "$ per month" in said
    data = json.loads(printed("compare", *(str(runs[rate].path) for rate in (None, 2.0)), "--format", "json"))
    assert data["currencies"] == {runs[2.0].path.name: runs[2.0].summary["currency"]}
    assert printed("compare", str(runs[2.0].path), str(runs[2.0].path)).count("EUR per month") >= 1


def test_a_sweep_shows_its_currency_and_keeps_its_table_in_dollars(tmp_path: Path) -> None:
    stated = "currency={code: EUR, usd_per_unit: 2, date: 2026-11-20, source: ECB reference rate}"
    file = str(SCENARIO)
    few = ("--set", "run.horizon_s=20", "--set", "run.warmup_s=0", "--set", "run.replications=1", "--quiet")
    grid = ("--grid", "workload.classes[chat].arrivals.rate_rps=1,2", "--jobs", "1", "--out", str(tmp_path), *few)
    said = printed("sweep", file, *grid, "--set", stated)
    assert "$" not in said
    assert said.count(RATE.format(2.0)) == 1
    data = [json.loads(printed("sweep", file, *grid, "--format", "json", *more)) for more in (("--set", stated), ())]
    assert data[0]["rows"] == data[1]["rows"]
    assert (data[0]["currency"]["code"], "currency" in data[1]) == ("EUR", False)
