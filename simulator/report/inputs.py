"""The uncertain inputs of the costs in words: their values with units."""

from __future__ import annotations

from simulator.catalog.costs import cost_entries
from simulator.decide.draws import GPU_PRICE, TOKEN_PRICE

_MODELLED = {
    GPU_PRICE: "times today's",
    TOKEN_PRICE: "times today's",
}


def input_unit(name: str) -> str:
    """Unit of an input of the draws: of a cost figure the catalog's, of a modelled one in words; else nothing."""
    figure = cost_entries().get(name)
    return figure.unit if figure else _MODELLED.get(name, "")


def input_value(value: float) -> str:
    """A value with the digits that tell two of them apart, large ones in full."""
    return f"{value:,.0f}" if abs(value) >= 9_999.5 else f"{value:.4g}"
