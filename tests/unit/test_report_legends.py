"""Names and colours of charts: what is named is not cut, and what differs looks different."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from simulator.report.charts import BAR_PX, legend_px, names_axis, names_legend
from simulator.report.cost_charts import line_items
from simulator.report.decision_charts import flip_chart


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["own", "api", "cloud", "hybrid"], 3),
        (["follows_load", "by_complexity"], 3),
        (["spot_follows_load", "own"], 2),
        (["owned_servers_in_the_basement_of_headquarters", "api"], 1),
        ([], 3),
    ],
)
def test_names_below_a_chart_are_not_cut_on_a_phone(names: list[str], columns: int) -> None:
    legend = names_legend(names).to_dict()
    assert legend["columns"] == columns
    letters, px = max(map(len, names), default=0), 7
    assert legend["labelLimit"] >= letters * px


def test_a_row_of_names_fits_beside_the_axis_on_a_phone() -> None:
    """Seven topologies of four GPUs on 390 px: 30 px of margins, 90 of the axis, 24 of a symbol, 6.5 of a letter."""
    names = ["on_prem", "cloud", "hybrid", "on_prem_h200", "on_prem_b200", "cloud_b200", "on_prem_l40s"]
    columns = names_legend(names).to_dict()["columns"]
    widths = [24 + 6.5 * max(map(len, names[k::columns])) for k in range(columns)]
    assert sum(widths) <= 390 - 30 - 90
    assert columns == 2
    assert legend_px(names) > legend_px(names[:2]) == 0


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("own", ["own"]),
        ("price of rented GPUs", ["price of ", "rented GPUs"]),
        ("rented_gpus_in_frankfurt", ["rented_gpus_in_", "frankfurt"]),
        ("a-b.c_d", ["a-b.c_d"]),
        ("x" * 40, ["x" * 40]),
        ("one_two_three_four_five_six_seven_eight", ["one_two_three_", "four_five_six_", "seven_eight"]),
        (
            "aaaaaaaaa_bbbbbbbbb_ccccccccc_ddddddddd_ee_ff",
            ["aaaaaaaaa_", "bbbbbbbbb_", "ccccccccc_", "ddddddddd_ee_ff"],
        ),
        (
            "aaaaaaaaaa_bbbbbbbbbb_cccccccccc_dddddddddd_ee_fffff",
            [*(f"{x * 10}_" for x in "abc"), "dddddddddd_ee_fffff"],
        ),
    ],
)
def test_long_names_beside_bars_go_on_in_a_second_line(name: str, lines: list[str]) -> None:
    expression = names_axis([name]).to_dict()["labelExpr"]
    assert json.loads(expression.partition("[datum.label]")[0]) == {name: lines}
    assert "".join(lines) == name


def test_lines_of_a_name_fit_beside_its_bar_and_are_about_its_middle() -> None:
    short, long = "own", "owned_servers_in_the_basement_of_headquarters"
    axis = names_axis([short, long]).to_dict()
    moved = {one["test"]: one["value"] for one in axis["labelOffset"]["condition"]}
    assert [value for test, value in moved.items() if long in test] == [-1.5 * axis["labelLineHeight"]]
    assert not [test for test in moved if json.dumps(short) in test]
    assert 4 * axis["labelLineHeight"] < BAR_PX
    assert "labelOffset" not in names_axis([short]).to_dict()


def test_line_items_have_a_colour_each_that_no_run_changes() -> None:
    """Committed GPUs and tokens once had the same blue, as the eleventh kind began anew."""
    kinds = [f"fee {k}" for k in range(6)] + ["tokens", "committed", "hardware", "staff"]
    many, few = (colours_of_lines(part) for part in (kinds, kinds[-4:]))
    assert len(set(many.values())) == len(kinds)
    assert few == {name: many[name] for name in few}


def colours_of_lines(kinds: list[str]) -> dict[str, str]:
    data = pd.DataFrame({"topology": "own", "owner": "own", "category": kinds, "item": kinds, "usd": 1.0})
    data = data.assign(usd_per_month=1.0, is_unused=False)
    scale = line_items(data, ["own"], "$").to_dict()["encoding"]["color"]["scale"]
    return dict(zip(scale["domain"], scale["range"], strict=True))


def test_what_would_flip_the_verdict_is_named_whole_in_lines_beside_its_bar() -> None:
    """Two prices that begin alike are told apart by their ends."""
    names = [f"price of {gpu} on demand at lambda" for gpu in ("h100-sxm", "b200")]
    flips = [
        {"assumption": name, "factor": factor, "winner": "cloud"}
        for name, factor in zip(names, (2.0, 3.0), strict=True)
    ]
    spec = flip_chart(flips).to_dict()
    axis = spec["layer"][0]["encoding"]["y"]["axis"]
    lines = json.loads(axis["labelExpr"].partition("[datum.label]")[0])
    assert all("".join(its) == name for name, its in lines.items())
    assert all(name.endswith("Lambda") for name in lines)
    assert len(lines) == len(names)
    assert max(map(len, lines.values())) * axis["labelLineHeight"] <= spec["height"] / len(flips)
