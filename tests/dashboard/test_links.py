"""Addresses of pages as they were left, and charts with what they draw behind them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from simulator.results.bundle import Bundle

Open = Callable[..., AppTest]


def test_the_link_of_a_page_holds_what_is_chosen_on_it(open_view: Open, bundle: Bundle) -> None:
    app = open_view("load", **{"load.topology": "cloud"})
    left = app.session_state["links.left"]["load"]
    assert ("run", bundle.path.name) in left
    assert ("load.topology", "cloud") in left


def test_export_lists_the_pages_of_the_run_that_were_looked_at(open_view: Open, bundle: Bundle) -> None:
    app = open_view("export")
    assert [block.value for block in app.code] == [f"/?run={bundle.path.name}"]
    chosen = [("run", bundle.path.name), ("load.window", "1"), ("load.window", "2.5")]
    app.session_state["links.left"] = {"load": chosen, "cost": [("run", "another")]}
    app.run()
    address = f"/load?run={bundle.path.name}&load.window=1&load.window=2.5"
    assert [block.value for block in app.code] == [f"/?run={bundle.path.name}", address]


@pytest.mark.parametrize("view", ["overview", "cost", "latency", "load", "break_even", "compare"])
def test_every_chart_has_its_values_behind_it(open_view: Open, view: str) -> None:
    app = open_view(view)
    assert not app.exception
    charts = len(app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart"))
    assert charts == sum(box.label.startswith("Values: ") for box in app.expander) > 0
