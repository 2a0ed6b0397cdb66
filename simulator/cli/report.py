"""`servecast report`: a run bundle as one HTML page."""

from __future__ import annotations

from pathlib import Path


def report(bundle: Path, /, *, out: Path | None = None) -> int:
    """Write a self-contained HTML report of a run bundle.

    Parameters
    ----------
    bundle: folder written by `servecast run`
    out: HTML file; report.html in the bundle unless given
    """
    from simulator.report.html import write_report

    target = out or bundle / "report.html"
    write_report(bundle, target)
    print(target)
    return 0
