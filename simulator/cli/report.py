"""`servecast report`: a run bundle as one HTML page, or as a memo."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def report(bundle: Path, /, *, out: Path | None = None, format: Literal["html", "md"] = "html") -> int:
    """Write a self-contained HTML report of a run bundle, or a memo in Markdown.

    For example:

        servecast report runs/quickstart-4fb36670
        servecast report runs/quickstart-4fb36670 --format md --out memo.md

    Parameters
    ----------
    bundle
        Folder written by `servecast run`.
    out
        File to write; report.html or memo.md in the bundle unless given.
    format
        Html for the report, md for the memo.
    """
    from simulator.report.html import write_report
    from simulator.report.memo import memo
    from simulator.results.bundle import read_bundle
    from simulator.results.files import write_text

    target = out or bundle / ("report.html" if format == "html" else "memo.md")
    if format == "html":
        write_report(bundle, target)
    else:
        write_text(target, memo(read_bundle(bundle)))
    print(target)
    return 0
