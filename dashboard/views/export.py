"""Export: can I take it to the meeting?"""

from __future__ import annotations

import stat
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import streamlit as st

from dashboard.components.words import markdown, plain
from dashboard.context import Context
from dashboard.links import links
from dashboard.loading import stamp
from simulator.report.bill_xlsx import bill_workbook
from simulator.report.html import render
from simulator.report.memo import memo
from simulator.report.memo_docx import memo_document
from simulator.report.memo_html import memo_page
from simulator.report.memo_pdf import memo_pdf
from simulator.results.bundle import Bundle

_MAX_BYTES = 100_000_000
_KINDS = {
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv",
    ".yaml": "application/yaml",
    ".json": "application/json",
}


_MEMO = "export.memo_text"
_TABLES = (
    "<style>.st-key-export-memo_text table "
    "{display: block; overflow-x: auto; width: max-content; max-width: 100%}</style>"
)
"""Tables of the memo are moved sideways where they are wider than the page."""
_OFFICE = "application/vnd.openxmlformats-officedocument"
_MIME = {
    ".md": "text/markdown",
    ".html": "text/html",
    ".pdf": "application/pdf",
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
}
_NEEDS = {".pdf": "reportlab", ".docx": "docx", ".xlsx": "openpyxl"}


def show(context: Context) -> None:
    """Memo, report, tables and scenario as files, and the link of this page."""
    st.title("Export")
    bundle = context.bundle
    text = _memo(str(bundle.path), stamp(bundle.path), bundle)
    name = bundle.path.name
    files: tuple[tuple[str, str, str, Callable[[], str | bytes] | str, str], ...] = (
        ("memo", "Memo (Markdown)", ":material/description:", text, f"{name}.md"),
        ("memo_html", "Memo (HTML)", ":material/web:", lambda: memo_page(bundle), f"{name}-memo.html"),
        ("memo_pdf", "Memo (PDF)", ":material/picture_as_pdf:", lambda: memo_pdf(bundle), f"{name}.pdf"),
        ("memo_docx", "Memo (Word)", ":material/article:", lambda: memo_document(bundle), f"{name}.docx"),
        ("bill", "Bill (Excel, with formulas)", ":material/table:", lambda: bill_workbook(bundle), f"{name}.xlsx"),
        ("report", "Report (HTML, offline)", ":material/web:", lambda: render(bundle), f"{name}.html"),
    )
    row = st.container(horizontal=True)
    for key, label, icon, content, called in files:
        kind = Path(called).suffix
        if kind in _NEEDS and find_spec(_NEEDS[kind]) is None:
            row.caption(f"{label}: `pip install 'servecast[memo]'`")
            continue
        row.download_button(
            label,
            content,
            called,
            _MIME[kind],
            key=f"export.{key}",
            icon=icon,
            on_click="ignore",
        )
    st.header("Files of the run")
    with st.container(horizontal=True):
        for file in sorted(bundle.path.iterdir()):
            if file.suffix in _KINDS and stat.S_ISREG(file.lstat().st_mode):
                _file(file)
    st.header("Links")
    st.caption(
        "The address of a page holds the run, the topologies, the baseline and what is chosen on it. These open the "
        "pages that you have looked at as you left them:"
    )
    for title, address in links(name):
        st.markdown(f"**{title}**")
        st.code(address, language=None, wrap_lines=True)
    st.html(_TABLES)
    with st.expander("The memo", expanded=True, key=_MEMO):
        st.markdown(markdown(text))


@st.cache_data(max_entries=16)
def _memo(folder: str, written: str, _bundle: Bundle) -> str:
    return memo(_bundle)


def _file(file: Path) -> None:
    size = file.stat().st_size
    if size > _MAX_BYTES:
        st.caption(
            f"{plain(file.name)} is too large to download here ({size / 1e6:,.0f} MB); it is in the run's folder."
        )
        return
    st.download_button(
        f"{plain(file.name)} ({size / 1e3:,.0f} kB)",
        file.read_bytes,
        file.name,
        _KINDS[file.suffix],
        key=f"export.{file.name}",
        on_click="ignore",
    )
