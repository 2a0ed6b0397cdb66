"""Every figure has its provenance, every name its look-up, and copies agree with what they were copied from."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from simulator.catalog.costs import cost_entries, cost_entry, cost_words
from simulator.catalog.gpus import gpu, gpu_called, gpus
from simulator.catalog.listing import ENTRIES, LISTINGS, listing, names, provenance
from simulator.catalog.models import Model, models
from simulator.catalog.offers import TIERS, offer_name
from simulator.catalog.precisions import layout
from simulator.catalog.quantity import read_yaml
from simulator.catalog.sites import engine_start_s, site, sites
from simulator.catalog.tokens import token_offer
from simulator.catalog.vllm import default_limits
from simulator.errors import InputError
from simulator.resolve.places import cold_start, reliability

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.mark.parametrize("kind", list(ENTRIES))
def test_every_figure_says_where_it_is_from(kind: str) -> None:
    for name in ENTRIES[kind]():
        rows = provenance(kind, name)
        assert rows, name
        for row in rows:
            assert row["source"], (name, row)
            assert row["date"], (name, row)
            assert row["kind"] in {"sourced", "derived", "estimate"}
            assert row["unit"], (name, row)


@pytest.mark.parametrize("kind", list(LISTINGS))
def test_every_kind_lists_its_names(kind: str) -> None:
    rows = listing(kind)
    assert rows
    assert set(names(kind)) == {row["name"] for row in rows}


def test_names_are_known_without_what_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of choices needs no architecture of any model."""
    monkeypatch.setattr(Model, "architecture", property(lambda self: pytest.fail(self.name)))
    assert len(names("models")) == len(models())


def test_going_through_all_models_twice_reads_each_once() -> None:
    """A cache of fewer than there are forgets each one just before it is asked for again."""
    first = [one.architecture for one in models().values()]
    assert all(one is other.architecture for one, other in zip(first, models().values(), strict=True))


def test_listings_refuse_unknown_names() -> None:
    with pytest.raises(InputError, match="did you mean 'h100-nvl', 'h100-sxm' or 'h100-pcie'"):
        gpu("H100")
    with pytest.raises(InputError, match="did you mean 'gpus'"):
        listing("gpu")
    with pytest.raises(InputError, match="known are"):
        provenance("dragons", "h100-sxm")
    with pytest.raises(InputError, match="did you mean 'h100-sxm'"):
        provenance("gpus", "h100-smx")


@pytest.mark.parametrize(
    ("look_up", "wrong", "right"),
    [
        (gpu, "h100-smx", "h100-sxm"),
        (site, "aws-us-eats", "aws-us-east"),
        (token_offer, "groq/llama-3.3-70", "groq/llama-3.3-70b"),
        (cost_entry, "power.pu", "power.pue"),
    ],
)
def test_unknown_names_are_met_with_the_closest(look_up: object, wrong: str, right: str) -> None:
    assert callable(look_up)
    with pytest.raises(InputError, match=f"did you mean '{right}'"):
        look_up(wrong)
    assert look_up(right)


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(InputError, match="unknown dtype"):
        layout("fp6")
    with pytest.raises(InputError, match="unknown kv_dtype"):
        layout("bf16", "fp4")
    assert layout("bf16", "auto").kv_value_bytes == 2
    assert layout("fp8", "fp8").kv_value_bytes == 1


def test_a100_has_no_fp8_but_runs_weight_only_formats() -> None:
    device = gpu("a100-80").device
    assert "fp8" not in device.peak_flops
    assert {"bf16", "int8", "int4", "w8a16"} <= set(device.precisions)
    assert not {"fp8", "fp4"} & set(device.precisions)


@pytest.mark.parametrize(
    ("name", "version", "tokens", "sequences"),
    [
        ("b200", None, 16384, 1024),
        ("b200", "0.27", 8192, 1024),
        ("b200", "0.28", 16384, 1024),
        ("h100-sxm", None, 8192, 1024),
        ("a100-80", None, 2048, 256),
        ("a100-80", "0.8.5", 8192, 1024),
        ("a100-80", "0.6", 8192, 1024),
        ("l4", None, 2048, 256),
        ("mi300x", None, 16384, 1024),
    ],
)
def test_default_limits_are_those_of_the_server(name: str, version: str | None, tokens: int, sequences: int) -> None:
    limits = default_limits(version, name, gpu(name).memory.value)
    assert (limits.max_num_batched_tokens, limits.max_num_seqs) == (tokens, sequences)


def test_power_that_was_not_measured_says_so() -> None:
    assert {name for name, entry in gpus().items() if not entry.power_is_estimate} == {"h100-sxm", "b200"}
    assert gpu("a100-80").power_curve.low_w == pytest.approx(300 * 400 / 700)
    assert gpu("b200").power_curve.low_w == 452
    assert gpu("h200").power["idle"].kind == "sourced"
    assert gpu("l40s").power_curve.idle_w == 35 + 66
    for entry in gpus().values():
        assert 0 < entry.power["idle"].value < entry.power["low"].value < entry.power["high"].value
        assert entry.power["high"].value <= entry.board_power.value
        assert all(figure.source and figure.date for figure in entry.power.values())


def test_restricted_data_stays_inside() -> None:
    for entry in sites().values():
        assert ("restricted" in entry.data_classes) == (entry.perimeter == "inside")


def test_cold_starts_grow_with_the_model_and_reserved_capacity_is_there() -> None:
    cloud = site("aws-us-east")
    small, large = cold_start(cloud, 16e9), cold_start(cloud, 141e9)
    assert small.total_s < large.total_s
    assert large.weights_s == pytest.approx(200, rel=0.02)
    assert cold_start(site("datacentre"), 16e9).total_s < small.total_s
    assert cold_start(site("groq"), 16e9).total_s == 0
    assert engine_start_s(1e9) == 34
    assert engine_start_s(1e12) == 205
    assert reliability(cloud, 8).mtbf_s == pytest.approx(365 * 86400 / (8 * 0.173))
    assert reliability(cloud, 8).reclaim_mtbf_s == 0
    assert reliability(cloud, 8, "spot").reclaim_notice_s == 120
    assert reliability(cloud, 8, "reserved_1y").unavailable_probability == 0
    assert reliability(site("openai"), 1).mtbf_s == 0


def test_parts_of_a_cost_figure() -> None:
    assert cost_entry("power.pue_hyperscale").number("gcp") == 1.1
    assert cost_entry("power.context_w").number("hbm") == 38
    with pytest.raises(InputError, match="did you mean 'gcp'"):
        cost_entry("power.pue_hyperscale").number("gpc")


def test_cost_figures_that_move_a_bill_have_words_of_their_own() -> None:
    """Those with a range are inputs of draws and stand in charts and memos, where `onprem.wacc` says nothing."""
    moving = [entry for entry in cost_entries().values() if entry.interval]
    assert moving
    assert not [entry.id for entry in moving if not entry.words]
    told = [entry.words for entry in cost_entries().values() if entry.words]
    assert len(set(told)) == len(told)
    assert not [words for words in told if "," in words or "_" in words]
    assert cost_words("onprem.wacc") == "cost of capital"
    assert cost_words("onprem.lead_time_weeks.own_site") == "time from order to service (own site)"
    assert cost_words("price of tokens") == "price of tokens"
    assert cost_words("8xl40s.host") == "power beside the GPUs of 8xl40s"
    assert cost_words("l40s.bare") == "power without a model of l40s"
    assert cost_words("datacentre.pue") == "PUE of datacentre"
    assert cost_words("openai/gpt-4.1.cached_input") == "price of cached input tokens of openai/gpt-4.1"
    assert cost_words("aws-us-east/h100-sxm/reserved_1y") == "price of h100-sxm at aws-us-east, reserved for 1 year"
    assert cost_words("residency.openai_premium") == "surcharge of data residency at OpenAI"
    offered = [offer_name("lambda", "h100-sxm", tier) for tier in TIERS]
    assert not [words for name in offered if "/" in (words := cost_words(name)) or "_" in words]


@pytest.mark.skipif(not SHARED.exists(), reason="the reference figures are not here")
def test_gpus_agree_with_the_reference_table() -> None:
    named = {"a100_sxm": "a100-80", "h100_sxm": "h100-sxm", "h100_pcie": "h100-pcie", "h200_sxm": "h200"}
    named |= {"b200_sxm": "b200", "l40s": "l40s", "l4": "l4"}
    with (SHARED / "data/serving/gpu_specs.csv").open(encoding="utf-8") as file:
        rows = {named[row["gpu"]]: row for row in csv.DictReader(file) if row["gpu"] in named}
    assert len(rows) == len(named)
    for name, row in rows.items():
        device = gpu(name).device
        assert device.memory_bytes == float(row["memory_bytes"])
        assert device.bandwidth_bytes_per_s == float(row["memory_bandwidth_bytes_per_s"])
        assert device.intra_node_bytes_per_s == float(row["intra_node_bandwidth_bytes_per_s"])
        assert device.inter_node_bytes_per_s == float(row["inter_node_bandwidth_bytes_per_s"])
        for precision, column in (("bf16", "bf16_dense_flops"), ("fp8", "fp8_dense_flops"), ("int8", "int8_dense_ops")):
            assert device.peak_flops.get(precision, 0) == float(row[f"{column}_per_s"]), (name, precision)


def test_columns_of_a_listing_are_the_figures_that_they_are_called() -> None:
    """An H100 as NVIDIA's sheet has it: 700 W, NVLink 900 GB/s in both directions, 3.35 TB/s, 80 GB."""
    (row,) = (row for row in listing("gpus") if row["name"] == "h100-sxm")
    assert (row["board_power_w"], row["intra_node_bytes_per_s"]) == (700, 450e9)
    assert (row["bandwidth_bytes_per_s"], row["memory_bytes"]) == (3.35e12, 80 * 2**30)
    assert (row["bf16_flops"], row["inter_node_bytes_per_s"]) == (989e12, 50e9), "400 Gbit/s a GPU"


def test_models_are_all_there() -> None:
    assert len(models()) >= 60


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA A100-SXM4-40GB", "a100-40"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("NVIDIA L40S", "l40s"),
        ("Tesla T4", "t4"),
        ("NVIDIA A10G", "a10g"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "rtx-pro-6000"),
        ("AMD Instinct MI300X", "mi300x"),
        ("H200", "h200"),
        ("H100", "H100"),
        ("NVIDIA GeForce RTX 4090 D", "NVIDIA GeForce RTX 4090 D"),
    ],
)
def test_gpus_are_known_as_the_driver_prints_them(called: str, name: str) -> None:
    """A name that fits several GPUs, or a GPU that is none of them, stays as it is and is refused by `gpu`."""
    assert gpu_called(called) == name


def test_all_other_names_of_gpus_are_of_the_catalog() -> None:
    assert set(read_yaml("gpus.yaml")["called"].values()) <= gpus().keys()
