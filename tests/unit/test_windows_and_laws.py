"""How many further windows are simulated, what a law takes for equal, and what an engine holds outside torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.catalog.shapes.border import _block_configs
from simulator.memory.profile import Card, runtime_bytes
from simulator.metrics.laws import _equal
from simulator.simulate import lasting
from simulator.sweep.result import write_inputs


@pytest.mark.parametrize(
    ("most_rps", "most", "grows", "settled", "windows"),
    [
        (1.0, 500_000, 99, True, [4, 8, 16]),
        (1.0, 16 * 600, 99, False, [4, 8, 16]),
        (1.0, 16 * 600 - 1, 99, False, [4, 8]),
        (1.0, 4 * 600 - 1, 99, False, []),
        (1.0, 500_000, 8, False, [4, 8]),
        (1.0, 500_000, 64, False, [4, 8, 16, 32, 64]),
        (1.0, 500_000, 999, False, [4, 8, 16, 32, 64, 128, 256]),
        (11.0, 500_000, 99, True, [4]),
        (11.0, 500_000, 99, False, [4, 8, 16]),
    ],
)
def test_windows_double_until_they_tell(
    most_rps: float, most: int, grows: int, settled: bool, windows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten requests a second for a minute; beyond the rough capacity it is asked on while nothing has settled."""
    asked: list[tuple[int, float]] = []

    def over(fleet: Any, demand: Any, number: int, many: int, rate_rps: float) -> Any:
        asked.append((many, rate_rps))
        return SimpleNamespace(grows=many >= grows, settled=settled)

    known = {
        "_may_hide": lambda *_: True,
        "coming_again": lambda fleet, window_s: fleet,
        "mean_replicas": lambda fleet, window_s: [],
        "slo_met": lambda terms: True,
        "load_of": lambda *_: SimpleNamespace(rate_rps=10.0),
        "capacity_rps": lambda *_: most_rps,
        "_grew": lambda *_: True,
        "_over": over,
        "MOST_REQUESTS": most,
    }
    for name, value in known.items():
        monkeypatch.setattr(lasting, name, value)
    demand: Any = SimpleNamespace(horizon_s=60.0, warmup_s=0.0, absent=(), source=lambda number: None)
    fleet: Any = SimpleNamespace(providers=())
    run: Any = SimpleNamespace(samples={})
    metrics: Any = SimpleNamespace(terms=lambda absent: [])
    found = lasting.later_windows(fleet, demand, 0, metrics, run)
    assert [many for many, _ in asked] == windows
    assert {rate for _, rate in asked} <= {0.0 if most_rps < 10 else 10.0}
    assert (found is None) == (not windows)


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (0.9e-6, 0.0, True),
        (1.1e-6, 0.0, False),
        (-1.1e-6, 0.0, False),
        (0.5 + 0.9e-6, 0.5, True),
        (0.5 + 1.1e-6, 0.5, False),
        (1e6 + 0.9, 1e6, True),
        (1e6 + 1.1, 1e6, False),
        (float("nan"), 1.0, False),
        (1.0, float("nan"), False),
    ],
)
def test_figures_of_a_law_are_equal_to_a_millionth(a: float, b: float, equal: bool) -> None:
    assert _equal(a, b) is equal


def held_bytes(card: Card, tp: int = 1, pp: int = 1, graphs: bool = False, **rules: bool) -> float:
    """Each constant a digit of its own, so that a sum says what is in it."""
    costs: Any = SimpleNamespace(
        host=0.5,
        context=1.0,
        rocm_runtime=10.0,
        group_pcie=100.0,
        group_first=1e3,
        group_doubling=1e4,
        group_peers=1e5,
        link_first=1e6,
        link_doubling=1e7,
    )
    known: Any = SimpleNamespace(
        **{
            "graphs_profiled": False,
            "context_in_budget": False,
            "virtual_buffers": True,
            "peers_held": False,
            "communicators_before": False,
            "runtime_bytes": 2e8,
            "eager_runtime_bytes": 5e8,
            **rules,
        }
    )
    split: Any = SimpleNamespace(tp=tp, pp=pp)
    return runtime_bytes(card, split, known, costs, graphs)


CARD = Card("h100", 8e10, "hopper")
ALONE = replace(CARD, peers=False)


@pytest.mark.parametrize(
    ("card", "given", "expected"),
    [
        (CARD, {}, 5e8),
        (CARD, {"graphs": True}, 5e8),
        (CARD, {"graphs_profiled": True}, 5e8),
        (CARD, {"graphs": True, "graphs_profiled": True}, 2e8),
        (CARD, {"context_in_budget": True}, 5e8 + 1),
        (replace(CARD, generation="cdna"), {}, 5e8 + 10),
        (CARD, {"pp": 2}, 5e8 + 1e3),
        (CARD, {"pp": 2, "graphs": True, "graphs_profiled": True}, 5e8 + 1e3),
        (CARD, {"pp": 2, "communicators_before": True}, 5e8),
        (CARD, {"tp": 2, "pp": 2, "graphs": True, "graphs_profiled": True}, 2e8 + 1e3),
        (replace(CARD, host_memory=True), {}, 5e8 + 0.5),
        (CARD, {"tp": 2, "pp": 2}, 5e8 + 1e3),
        (CARD, {"tp": 8}, 5e8 + 1e3 + 2e4),
        (CARD, {"tp": 8, "peers_held": True}, 5e8 + 1e3 + 2e4 + 1e5),
        (CARD, {"tp": 4, "peers_held": True, "graphs_profiled": True}, 5e8 + 1e3 + 1e4),
        (CARD, {"tp": 4, "peers_held": True, "graphs_profiled": True, "graphs": True}, 2e8 + 1e3 + 1e4 + 1e5),
        (ALONE, {"tp": 4, "virtual_buffers": False}, 5e8 + 100),
        (ALONE, {"tp": 4}, 5e8 + 1e3),
        (ALONE, {"tp": 4, "peers_held": True, "graphs_profiled": True, "graphs": True}, 2e8 + 1e3 + 1e4),
        (replace(CARD, nvlinks=3), {"tp": 4, "virtual_buffers": False}, 5e8 + 3 * (1e6 + 1e7)),
        (CARD, {"tp": 4, "virtual_buffers": False}, 5e8 + 1e3 + 1e4),
    ],
)
def test_an_engine_holds_libraries_and_the_buffers_of_its_group(
    card: Card, given: dict[str, Any], expected: float
) -> None:
    assert held_bytes(card, **given) == expected


def test_texts_of_a_sweep_are_written_and_files_copied() -> None:
    asked: list[tuple[str, ...]] = []
    bundle: Any = SimpleNamespace(
        text=lambda name, source: asked.append(("text", name, source)),
        copy=lambda name, source: asked.append(("copy", name, str(source))),
    )
    write_inputs(bundle, {"a.yaml": "name: a", "b.csv": Path("there/b.csv")})
    assert asked == [("text", "a.yaml", "name: a"), ("copy", "b.csv", "there/b.csv")]


@pytest.mark.parametrize(
    ("blocks", "wrong"),
    [
        ([{"attention": {"n_heads_in_group": 8}, "ffn": {"ffn_mult": 1.5}}], None),
        ([{"attention": {"no_op": True}, "ffn": {"no_op": True}}], None),
        ([], None),
        ({}, "must be a list"),
        ([3], "each must be"),
        ([{"attention": {"no_op": True}}], "each must have an attention and an ffn that are objects"),
        ([{"attention": 1, "ffn": {"no_op": True}}], "each must have an attention and an ffn that are objects"),
        ([{"attention": {}, "ffn": {"no_op": True}}], "n_heads_in_group must be"),
        ([{"attention": {"n_heads_in_group": 0}, "ffn": {"no_op": True}}], "n_heads_in_group must be"),
        ([{"attention": {"no_op": True}, "ffn": {}}], "ffn_mult must be"),
    ],
)
def test_blocks_of_a_config_have_an_attention_and_an_ffn(blocks: Any, wrong: str | None) -> None:
    found = _block_configs(blocks)
    assert (found is None) == (wrong is None)
    assert wrong is None or str(found).startswith(wrong)
