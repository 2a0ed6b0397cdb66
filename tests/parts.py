"""Values of which `make test` tries a few, and `make test-exhaustive` the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few(values: Iterable[Any], *quick: Any) -> list[Any]:
    """The values for `parametrize`; all but the `quick` ones are marked `exhaustive`."""
    listed = list(values)
    assert set(quick) <= set(listed), "what is tried quickly is one of the values"
    return [value if value in quick else pytest.param(value, marks=pytest.mark.exhaustive) for value in listed]
