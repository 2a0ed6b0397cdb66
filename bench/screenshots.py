"""Screenshots of every view at four widths in both themes: `python -m bench.screenshots RUNS OUT [VIEW…]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bench.browser import chromium, path_of, server, settle
from dashboard.pages import PAGES

_WIDTHS_PX = {"phone": 390, "tablet": 820, "desk": 1280, "wide": 1920}
_THEMES = ("light", "dark")
_HEIGHT_PX = 900
_DRAWING_MS = 1500
_DRAWN_MS = 60_000
"""At most, until nothing on the page is a placeholder of what is still on its way."""


def main(runs: Path, out: Path, views: list[str]) -> None:
    """Write `VIEW-WIDTH-THEME.png` below `out`, each as high as its page."""
    out.mkdir(parents=True, exist_ok=True)
    with server(runs, out=runs) as (address, _), chromium() as browser:
        for width, pixels in _WIDTHS_PX.items():
            context = browser.new_context(viewport={"width": pixels, "height": _HEIGHT_PX}, reduced_motion="reduce")
            page = context.new_page()
            for view in views:
                _open(page, address + path_of(view))
                for theme in _THEMES:
                    page.emulate_media(color_scheme=theme)
                    page.wait_for_timeout(_DRAWING_MS)
                    file = out / f"{view}-{width}-{theme}.png"
                    page.screenshot(path=file)
                    print(file, flush=True)
            context.close()


def _open(page: Any, address: str) -> None:
    """The page, as high as what is on it."""
    from playwright.sync_api import expect

    page.set_viewport_size({"width": page.viewport_size["width"], "height": _HEIGHT_PX})
    page.goto(address)
    settle(page)
    page.wait_for_timeout(_DRAWING_MS)
    inside = page.evaluate("document.querySelector('[data-testid=\"stMain\"]').scrollHeight")
    page.set_viewport_size({"width": page.viewport_size["width"], "height": max(int(inside), _HEIGHT_PX)})
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=_DRAWN_MS)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    known = [entry.view for entry in PAGES]
    if unknown := set(sys.argv[3:]) - set(known):
        raise SystemExit(f"no views: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or known)
