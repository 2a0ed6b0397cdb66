"""Paths of a scenario as people read them."""

from __future__ import annotations

from collections.abc import Sequence


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Paths by their last part, by more of it where two would be the same."""
    found: dict[str, str] = {}
    for path in paths:
        parts = path.split(".")
        for size in range(1, len(parts) + 1):
            short = ".".join(parts[-size:])
            if all(other == path or not f".{other}".endswith(f".{short}") for other in paths):
                break
        found[path] = short
    return found
