"""A comparison as a comment on a pull request, in GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tabulate import tabulate

from simulator.report.charts import Summaries
from simulator.report.table import comparison, period_words, warnings

_MOST = 60_000
"""Characters that fit into a comment, with room to spare."""
_MARKS = re.compile(r"([\\`*_\[\]<>|#@])")


def comparison_comment(
    topologies: Summaries,
    verdict: str,
    why: Sequence[str],
    differing: Sequence[Sequence[str]],
    found: Sequence[Sequence[str]],
    runs: Sequence[str],
    rate: str = "",
) -> str:
    """Verdict and why first, the tables and what they rest on folded below.

    Parameters
    ----------
    why : sentences
    differing, found : rows of what the scenarios differ in, and of what their searches found
    runs : their names: the columns of both
    rate : what amounts are converted at, in words
    """
    rows, headers = comparison(topologies)
    short, _ = comparison(topologies, short=True)
    parts = [f"### servecast\n\n**{_text(verdict)}**", _bullets(why), _table(short, headers), _text(rate)]
    for title, told in (("In what the scenarios differ", differing), ("What their searches found", found)):
        if told:
            parts.append(_folded(title, _table(told, ["", *runs])))
    parts.append(_folded("All figures", "\n\n".join([_table(rows, headers), _text(period_words(topologies))]).strip()))
    parts.append(_folded("What the figures rest on", _bullets(warnings(topologies))))
    while sum(map(len, parts)) > _MOST and len(parts) > 3:
        parts.pop()
    return "\n\n".join(part for part in parts if part) + "\n"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_text(line)}" for line in lines)


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    cells = [[_text(cell) for cell in row] for row in rows]
    return tabulate(cells, headers=[_text(name) for name in headers], tablefmt="github", disable_numparse=True)


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _text(text: str) -> str:
    """The same letters, whatever Markdown, HTML or a mention would make of them."""
    return _MARKS.sub(r"\\\1", text).replace("\n", " ")
