"""A run as files: memo in four forms, the bill as a workbook that adds up, a comment, a trace of steps."""

from __future__ import annotations

import html
import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simulator.cli.main import _run
from simulator.report.blocks import Bullets, Heading, Paragraph, Picture, Table
from simulator.report.comment import comparison_comment
from simulator.report.memo import memo, memo_blocks
from simulator.report.memo_html import memo_page
from simulator.report.perfetto import perfetto_trace
from simulator.report.table import ordered
from simulator.results.bundle import Bundle
from simulator.run.steps import replica_steps

Capture = pytest.CaptureFixture[str]


def value(book: Any, formula: Any) -> float:
    """What a spreadsheet shows for the few kinds of formulas that a bill has."""
    if not isinstance(formula, str) or not formula.startswith("="):
        return float(formula)
    if found := re.fullmatch(r"=E(\d+)\*G\1", formula):
        sheet = book["Bill"]
        return value(book, sheet[f"E{found[1]}"].value) * value(book, sheet[f"G{found[1]}"].value)
    if found := re.fullmatch(r"=SUMIF\(Bill!A\$2:A\$(\d+),A(\d+),Bill!H\$2:H\$\1\)", formula):
        bill, name = book["Bill"], book["Summary"][f"A{found[2]}"].value
        rows = range(2, int(found[1]) + 1)
        return sum(value(book, bill[f"H{row}"].value) for row in rows if bill[f"A{row}"].value == name)
    if found := re.fullmatch(r'=IF\(C(\d+)>0,B\1/C\1\*1000000,""\)', formula):
        sheet = book["Summary"]
        return value(book, sheet[f"B{found[1]}"].value) / value(book, sheet[f"C{found[1]}"].value) * 1e6
    rows_of = r"SUMIFS\(Bill!H\$2:H\$(\d+),Bill!A\$2:A\$\d+,A(\d+),Bill!%s\)"
    paid, unused = rows_of % r'H\$2:H\$\d+,">0"', rows_of % r"I\$2:I\$\d+,0"
    found = re.fullmatch(rf'=IF\({paid}>0,{unused}/{paid},""\)', formula)
    assert found, formula
    assert len(set(found.groups())) == 2, formula
    bill, name = book["Bill"], book["Summary"][f"A{found[2]}"].value
    rows = [row for row in range(2, int(found[1]) + 1) if bill[f"A{row}"].value == name]
    usd = {row: value(book, bill[f"H{row}"].value) for row in rows}
    unused_usd = sum(usd[row] for row in rows if bill[f"I{row}"].value == 0)
    return unused_usd / sum(one for one in usd.values() if one > 0)


def test_the_workbook_s_formulas_give_the_run_s_figures_and_follow_a_price(bundle: Bundle) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    from simulator.report.bill_xlsx import bill_workbook

    book = openpyxl.load_workbook(io.BytesIO(bill_workbook(bundle)))
    summary = {row[0].value: row for row in book["Summary"].iter_rows(min_row=2, max_row=4)}
    assert list(summary) == bundle.summary["order"]
    for name, found in bundle.summary["topologies"].items():
        cost = found["cost"]
        keys = ("usd_per_month", "tokens_per_month", "usd_per_million_tokens", "unused_share")
        figures = [cost[key] for key in keys]
        assert [value(book, cell.value) for cell in summary[name][1:]] == pytest.approx(figures)
    bill = book["Bill"]
    (tokens,) = [row for row in bill.iter_rows(min_row=2) if row[0].value == "api" and row[3].value == "input"]
    before = value(book, summary["api"][1].value)
    line = value(book, tokens[7].value)
    tokens[6].value *= 2
    assert value(book, summary["api"][1].value) == pytest.approx(before + line)
    figures_sheet = {row[0]: row[1:] for row in book["Figures"].iter_rows(min_row=2, values_only=True)}
    assert figures_sheet["SLO met"] == ("yes", "yes", "yes")
    assert {row[0] for row in book["Sources"].iter_rows(min_row=2, values_only=True)} == set(summary)


def test_viewers_that_compute_nothing_see_what_the_formulas_give(bundle: Bundle) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    from simulator.report.bill_xlsx import bill_workbook

    content = bill_workbook(bundle)
    book, shown = (openpyxl.load_workbook(io.BytesIO(content), data_only=only) for only in (False, True))
    cells = [cell for name in ("Summary", "Bill") for row in book[name].iter_rows() for cell in row]
    formulas = [cell for cell in cells if cell.data_type == "f"]
    assert len(formulas) > len(bundle.table("costs"))
    for cell in formulas:
        assert shown[cell.parent.title][cell.coordinate].value == pytest.approx(value(book, cell.value))


def test_every_form_of_the_memo_says_the_same(bundle: Bundle) -> None:
    docx = pytest.importorskip("docx")
    from simulator.report.memo_docx import memo_document

    document = docx.Document(io.BytesIO(memo_document(bundle)))
    said = [paragraph.text for paragraph in document.paragraphs]
    cells = [[cell.text for cell in row.cells] for table in document.tables for row in table.rows]
    page, text = memo_page(bundle), memo(bundle)
    plain = html.unescape(page)
    for block in memo_blocks(bundle):
        lines = [block.text] if isinstance(block, Heading | Paragraph) else []
        lines += block.lines if isinstance(block, Bullets) else []
        if isinstance(block, Picture):
            assert block.words in said, "below its picture"
        for line in lines:
            assert line in text
            assert line in plain
            assert line in said
        if isinstance(block, Table):
            assert list(block.headers) in cells
            assert all(list(row) in cells for row in block.rows)
    sizes = {run.font.size.pt for table in document.tables for cell in table._cells for run in cell.paragraphs[0].runs}
    assert sizes == {8.0}, "a table of many columns fits the page"
    headings = [
        (one.style.name, one.text) for one in document.paragraphs if one.style.name.startswith(("Title", "Head"))
    ]
    levels = {"Title": 1, "Heading 1": 2, "Heading 2": 3}
    blocks = [(block.level, block.text) for block in memo_blocks(bundle) if isinstance(block, Heading)]
    assert [(levels[style], text) for style, text in headings] == blocks
    assert document.core_properties.title == bundle.summary["scenario"]
    assert page.count("<svg") == 2
    assert len(document.inline_shapes) == 2
    assert {round(shape.width.inches, 2) for shape in document.inline_shapes} == {6.3}
    assert "<script" not in page
    assert "src=" not in page
    assert "url(http" not in page


def test_the_memo_as_pdf_says_the_same_and_is_reproducible(bundle: Bundle) -> None:
    pypdf = pytest.importorskip("pypdf")
    pytest.importorskip("reportlab")
    from simulator.report.memo_pdf import memo_pdf

    summary = {**bundle.summary, "scenario": "\u6771 & <b>own</b>"}
    content = memo_pdf(replace(bundle, summary=summary))
    assert content == memo_pdf(replace(bundle, summary=summary))
    document = pypdf.PdfReader(io.BytesIO(content))
    said = "".join("".join(page.extract_text() for page in document.pages).split())
    assert "?&<b>own</b>" in said
    for block in memo_blocks(bundle):
        lines = (
            [block.text] if isinstance(block, Heading | Paragraph) and block.text != bundle.summary["scenario"] else []
        )
        lines += block.lines if isinstance(block, Bullets) else []
        if isinstance(block, Picture):
            assert "".join(block.words.split()) in said, "below its picture"
        lines += [*block.headers, *(cell for row in block.rows for cell in row)] if isinstance(block, Table) else []
        for line in lines:
            assert "".join(line.split()) in said
    assert sum(len(page.images) for page in document.pages) == 2


def test_a_comment_folds_what_is_long_and_mentions_nobody(bundle: Bundle) -> None:
    topologies = {f"@team/{name}": found for name, found in ordered(bundle.summary).items()}
    why, differing = ["own costs $1 less: *all*"], [["name", "a", "b"]]
    text = comparison_comment(topologies, "own | <b>wins</b>", why, differing, differing, ["x", "y"])
    assert "\\@team/own" in text
    assert " @team" not in text
    assert "\\<b\\>wins" in text
    assert "own costs $1 less: \\*all\\*" in text
    assert text.count("<details>") == 4
    assert comparison_comment(topologies, "v", [], [], [], []).count("<details>") == 2


def test_a_trace_has_every_step_and_every_part_of_a_request(bundle: Bundle) -> None:
    view = replica_steps(bundle, "own", "base", 0, 20.0, 5.0)
    events = perfetto_trace(view, "own/base #0")["traceEvents"]
    steps = [event for event in events if event.get("cat") == "step"]
    assert [event["ts"] for event in steps] == pytest.approx((1e6 * view.steps["start_s"]).tolist())
    assert [event["dur"] for event in steps] == pytest.approx((1e6 * view.steps["duration_s"]).tolist())
    parts = [event for event in events if event.get("cat") == "request"]
    assert sum(event["args"]["tokens"] for event in parts) == sum(
        event["args"]["prefill_tokens"] + event["args"]["decode_tokens"] for event in steps
    )
    named = {event["tid"] for event in events if event["ph"] == "M" and event["pid"] == 2}
    assert named - {0} == {event["tid"] for event in parts} - {0}


@pytest.mark.parametrize(
    ("form", "name"), [("memo", "memo.html"), ("pdf", "memo.pdf"), ("docx", "memo.docx"), ("xlsx", "bill.xlsx")]
)
def test_the_command_writes_each_form(bundle: Bundle, form: str, name: str, tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("docx")
    pytest.importorskip("openpyxl")
    pytest.importorskip("reportlab")
    target = tmp_path / name
    assert _run(["report", str(bundle.path), "--format", form, "--out", str(target)]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    if form == "memo":
        assert target.read_text(encoding="utf-8") == memo_page(bundle)
    elif form == "pdf":
        assert target.read_bytes().startswith(b"%PDF-")
    else:
        assert zipfile.is_zipfile(target)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_command_writes_a_trace(bundle: Bundle, tmp_path: Path) -> None:
    target = tmp_path / "steps.json"
    arguments = ["steps", str(bundle.path), "--topology", "own", "--format", "perfetto", "--out", str(target)]
    assert _run(arguments) == 0
    assert {"displayTimeUnit", "otherData", "traceEvents"} == set(json.loads(target.read_text()))
