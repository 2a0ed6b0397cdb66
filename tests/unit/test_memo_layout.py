"""How a memo is laid out as a PDF document: sizes of letters, widths of columns, what every page repeats."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.report.blocks import Bullets, Heading, Paragraph, Table

pypdf = pytest.importorskip("pypdf")
pytest.importorskip("reportlab")

from simulator.report import memo_pdf as module  # noqa: E402
from simulator.report.memo_pdf import _known, _widths, memo_pdf  # noqa: E402

BLOCKS = [
    Heading(1, "Title"),
    Heading(2, "Part"),
    Heading(3, "Piece"),
    Paragraph("plain words"),
    Paragraph("strong words", strong=True),
    Bullets(["first point", "second point"]),
    Table(["", "header"], [[f"row {k}", f"value {k}"] for k in range(90)]),
]


@pytest.fixture(scope="module")
def pages() -> list[list[tuple[str, float, str, float, float]]]:
    """Of each page text, size and font, and where it begins."""
    bundle: Any = SimpleNamespace(summary={"scenario": "chat of mine"}, manifest={"servecast": "9.8.7"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "memo_blocks", lambda found: BLOCKS if found is bundle else [])
        document = pypdf.PdfReader(io.BytesIO(memo_pdf(bundle)))
    assert document.metadata.title == "chat of mine"
    assert document.metadata.author == "servecast 9.8.7"
    assert [round(float(side)) for side in document.pages[0].mediabox[2:]] == [595, 842], "A4"
    found = []
    for page in document.pages:
        parts: list[tuple[str, float, str, float, float]] = []

        def keep(text: str, cm: Any, tm: Any, font: Any, size: float, parts: Any = parts) -> None:
            if text.strip():
                x, y = tm[4] * cm[0] + cm[4], tm[5] * cm[3] + cm[5]
                parts.append((text.strip(), size, str(font["/BaseFont"]) if font else "", x, y))

        page.extract_text(visitor_text=keep)
        found.append(parts)
    return found


def test_sizes_and_weights_of_letters(pages: Any) -> None:
    fonts = {text: (size, "Bold" in name) for text, size, name, _, _ in pages[0]}
    assert fonts["Title"] == (18, True)
    assert fonts["Part"] == (13, True)
    assert fonts["Piece"] == (11, True)
    assert fonts["plain words"] == (9, False)
    assert fonts["strong words"] == (9, True)
    assert fonts["second point"] == (9, False)
    assert fonts["header"] == (7, True)
    assert fonts["row 0"] == fonts["value 0"] == (7, False)


def test_every_page_has_its_number_and_the_headers_of_the_table(pages: Any) -> None:
    assert len(pages) == 3
    for number, page in enumerate(pages, 1):
        texts = [text for text, *_ in page]
        assert texts.count("header") == 1
        ((_, size, _, x, y),) = [part for part in page if part[0] == str(number)]
        assert (size, y) == (7, 25.0)
        assert 535 < x < 545, "at the right margin"
    rows = [text for page in pages for text, *_ in page if text.startswith("row ")]
    assert rows == [f"row {k}" for k in range(90)]


def test_all_but_the_page_s_number_is_within_the_margins(pages: Any) -> None:
    places = [(x, y) for page in pages for text, _, _, x, y in page if not text.isdigit()]
    assert min(x for x, _ in places) >= 50
    assert max(x for x, _ in places) < 545
    assert min(y for _, y in places) >= 50
    assert max(y for _, y in places) < 792


@pytest.mark.parametrize(
    ("headers", "rows", "shares"),
    [
        # two letters count as six, thirty as they are, eighty as forty
        (["ab", "c" * 30, "d"], [["a", "c", "d" * 80]], [6, 30, 40]),
        (["a" * 7, "b"], [["a", "b" * 39], ["a", "b" * 3]], [7, 39]),
        (["", ""], [], [6, 6]),
    ],
)
def test_columns_are_as_wide_as_their_longest_text_within_bounds(
    headers: list[str], rows: list[list[str]], shares: list[int]
) -> None:
    found = _widths(Table(headers, rows), 500.0)
    assert found == pytest.approx([500.0 * one / sum(shares) for one in shares])


def test_letters_that_the_font_lacks_are_question_marks() -> None:
    assert _known({ord(letter) for letter in "ab<&"}, "a<b\n&c") == "a&lt;b\n&amp;?"
