"""Bundles that are changed after they were written, with checksums that fit again."""

from __future__ import annotations

import json
from pathlib import Path

from simulator.results.seal import MANIFEST, sealed


def reseal(folder: Path) -> None:
    """Give a bundle's manifest the checksums of what stands in its folder now."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(sealed(manifest, folder)), encoding="utf-8")
