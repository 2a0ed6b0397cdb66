"""Codes of currencies that amounts may be shown in."""

from __future__ import annotations

from functools import lru_cache

from simulator.catalog.quantity import read_yaml


@lru_cache
def currencies() -> dict[str, str]:
    """Names of currencies by their code of ISO 4217, all but the dollar that everything is computed in."""
    return {str(code): str(name) for code, name in read_yaml("currencies.yaml")["currencies"].items()}
