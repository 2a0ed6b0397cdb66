"""Colours of topologies: seen on a light and a dark page, and told apart by people who see fewer colours."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.report.charts import PALETTE, topology_colour
from simulator.report.decision_charts import flip_chart

Colour = NDArray[np.float64]

PAGES = ("#FFFFFF", "#0E1117")
"""Streamlit's backgrounds, light and dark."""
LEAST_CONTRAST = 2.2
LEAST_DISTANCE = 12.0
"""CIE76 units; about 2 is just noticeable side by side."""
VISION = {
    "full": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
"""Linear RGB to what is seen of it: Machado, Oliveira and Fernandes (2009), severity 1."""
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> Colour:
    coded = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Ratio of relative luminances, as WCAG 2 defines it."""
    low, high = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: Colour) -> Colour:
    share = TO_XYZ @ np.clip(rgb, 0, 1) / TO_XYZ.sum(axis=1)
    x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("page", PAGES)
def test_every_colour_can_be_seen_on_either_page(page: str) -> None:
    assert min(contrast(colour, page) for colour in PALETTE) >= LEAST_CONTRAST


@pytest.mark.parametrize("vision", list(VISION))
def test_any_two_colours_can_be_told_apart(vision: str) -> None:
    seen = [lab(VISION[vision] @ linear(colour)) for colour in PALETTE]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)) >= LEAST_DISTANCE


def test_eight_topologies_have_eight_colours() -> None:
    scale = topology_colour([f"t{k}" for k in range(8)]).to_dict()["scale"]
    assert scale["range"] == list(PALETTE)
    assert len(set(PALETTE)) == 8


def test_what_flips_is_seen_on_both_pages() -> None:
    drawn = flip_chart([{"assumption": "price of servers", "factor": 0.8, "winner": "own"}]).to_dict()
    colours = {layer["mark"]["type"]: layer["mark"].get("color") for layer in drawn["layer"]}
    assert colours["rule"] == colours["text"] == "gray", "a theme gives these two none"
