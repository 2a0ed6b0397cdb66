"""Hardware of the user's own: figures of the GPU, limits of power and clock, links."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenario_cases import chat, written

from simulator.catalog.gpus import gpu
from simulator.catalog.overheads import through_the_host
from simulator.catalog.vllm import default_limits
from simulator.errors import InputError
from simulator.perf.transport import all_reduce_s
from simulator.resolve.engines import PlannedEngine, plan_engine
from simulator.resolve.hardware import Machine, machine_of
from simulator.resolve.memory import answer
from simulator.resolve.memory_question import Question
from simulator.resolve.topology import plan_topology
from simulator.run.fingerprint import fingerprint
from simulator.run.trust import doubts, expected_errors
from simulator.scenario.load import LoadedScenario
from simulator.scenario.references import references
from simulator.scenario.resolved import resolved_yaml
from simulator.schema.engine import EngineSettings
from simulator.schema.hardware import HardwareSettings


def machine(name: str, **own: Any) -> Machine:
    return machine_of(name, HardwareSettings.model_validate(own), Path())


def planned(card: str, tp: int = 1, model: str = "qwen3-8b", **own: Any) -> PlannedEngine:
    settings = EngineSettings(max_model_len=4096)
    hardware = HardwareSettings.model_validate(own) if own else None
    return plan_engine(model, card, tp, 1, settings, Path(), own=hardware)


def reduce_s(found: Machine, group: int, message_bytes: float) -> float:
    assert found.hardware is not None
    return float(all_reduce_s(np.array([message_bytes / 2]), 1.0, group, found.hardware)[0])


def test_what_is_not_given_is_the_relatives() -> None:
    same, own = planned("l4"), planned("l4", name="mine")
    assert own.gpu.name == "mine"
    assert np.array_equal(same.step_time.token_time_s, own.step_time.token_time_s)
    assert own.memory.num_blocks == same.memory.num_blocks


def test_memory_bandwidth_and_peaks_are_the_users() -> None:
    base = planned("rtx-5090")
    small = planned("rtx-5090", memory_gib=25.0)
    assert small.memory.plan.terms.total_bytes == 25.0 * 2**30
    slow = planned("rtx-5090", bandwidth_gb_per_s=gpu("rtx-5090").bandwidth.value / 2e9)
    assert slow.step_time.decode_attn_s == pytest.approx(2 * base.step_time.decode_attn_s)
    bf16 = gpu("rtx-5090").peaks["bf16"].value
    weak = planned("rtx-5090", peaks_tflops={"bf16": bf16 / 4e12})
    large = slice(1024, None)
    assert np.all(weak.step_time.token_time_s[0, large] > 2 * base.step_time.token_time_s[0, large])
    fp8, only = EngineSettings(quantization="fp8"), HardwareSettings(peaks_tflops={"bf16": 100.0})
    with pytest.raises(InputError, match="does not compute in fp8"):
        plan_engine("qwen3-8b", "rtx-5090", 1, 1, fp8, Path(), own=only)


def test_the_server_knows_a_card_by_its_name() -> None:
    """vLLM looks for "a100" anywhere in the device's name."""
    tokens = {
        name: machine_of("a100-80", HardwareSettings(name=name), Path()).card.name for name in ("Lab A100", "Lab A800")
    }
    limits = {name: default_limits(None, card, 80.0 * 2**30) for name, card in tokens.items()}
    assert limits["Lab A100"] == default_limits(None, "a100-80", 80.0 * 2**30)
    assert limits["Lab A800"] == default_limits(None, "h100-sxm", 80.0 * 2**30)


def test_a_group_without_peer_access_has_no_buffers_for_it() -> None:
    def outside(**links: Any) -> float:
        own = {"links": links} if links else {"name": "mine"}
        return planned("h100-sxm", tp=2, **own).memory.plan.terms.runtime_bytes

    assert outside(peer_access=True) == outside() == planned("h100-sxm", tp=2).memory.plan.terms.runtime_bytes
    assert outside(peer_access=False) < outside() - 1e8


def test_the_error_to_expect_is_that_of_other_gpus() -> None:
    measured, own = planned("h100-sxm"), planned("h100-sxm", power_limit_w=500)
    assert measured.step_time.expected_error is not None
    assert own.step_time.expected_error is not None
    assert "each GPU left out in turn" in own.step_time.expected_error.basis
    for metric in ("tpot", "tpot_p90", "ttft", "ttft_p90", "tpot_full", "tpot_full_p90", "throughput"):
        assert getattr(own.step_time.expected_error, metric) >= getattr(measured.step_time.expected_error, metric)
    assert any("a like GPU's stand in" in words for words in doubts([own]))
    assert any("kernels of h100-sxm stand in; given: power_limit_w" in words for words in doubts([own]))
    assert expected_errors([own]) is not None


def test_a_power_limit_slows_compute_by_its_cube_root_and_lowers_power() -> None:
    full, half = planned("h100-sxm"), planned("h100-sxm", power_limit_w=410.0)
    curve, board = full.gpu.power_curve, full.gpu.board_power.value
    share = ((410.0 - curve.idle_w) / (board - curve.idle_w)) ** (1 / 3)
    assert half.step_time.prefill_attn_s == pytest.approx(full.step_time.prefill_attn_s / share)
    assert half.step_time.decode_attn_s == full.step_time.decode_attn_s
    assert half.power_w_by_seqs.max() <= 410.0
    assert half.power_w_by_seqs[0] == full.power_w_by_seqs[0]
    capped = planned("h100-sxm", clock_share=share)
    assert np.allclose(capped.step_time.token_time_s, half.step_time.token_time_s)
    for limit in (10.0, board + 1):
        with pytest.raises(InputError, match="power_limit_w"):
            machine("h100-sxm", power_limit_w=limit)


@pytest.mark.parametrize("group", [2, 4, 8])
def test_links_scale_bandwidths_and_leave_latencies(group: int) -> None:
    four = machine("rtx-pro-6000", links={"pcie_generation": 4})
    five = machine("rtx-pro-6000", links={"pcie_generation": 5})
    eight = machine("rtx-pro-6000", links={"pcie_generation": 5, "pcie_lanes": 8})
    host = machine("rtx-pro-6000", links={"peer_access": False})
    plain = machine_of("rtx-pro-6000", None, Path())
    assert reduce_s(five, group, 2**30) == pytest.approx(reduce_s(plain, group, 2**30))
    assert reduce_s(four, group, 2**30) == pytest.approx(2 * reduce_s(plain, group, 2**30), rel=0.02)
    assert reduce_s(four, group, 2**30) == reduce_s(eight, group, 2**30)
    assert reduce_s(host, group, 2**30) == pytest.approx(reduce_s(plain, group, 2**30) / through_the_host(), rel=0.02)
    assert reduce_s(host, group, 1.0) == pytest.approx(reduce_s(plain, group, 1.0), rel=0.001)


def test_a_measured_bus_bandwidth_is_what_large_messages_reach() -> None:
    for group in (2, 4):
        found = machine("l40s", links={"bus_gb_per_s": 11.0})
        message = 2.0**32
        assert 2 * (group - 1) / group * message / reduce_s(found, group, message) == pytest.approx(11e9, rel=0.01)


def test_a_bridge_joins_two_cards_and_no_more() -> None:
    plain = machine_of("rtx-3090", None, Path())
    bridged = machine("rtx-3090", links={"nvlink_pair_gb_per_s": 56.25})
    assert reduce_s(bridged, 2, 2**26) < 0.3 * reduce_s(plain, 2, 2**26)
    assert reduce_s(bridged, 4, 2**26) == reduce_s(plain, 4, 2**26)


def test_cards_whose_driver_gives_no_peer_access_are_slower_over_the_same_links() -> None:
    game = machine_of("rtx-4090", None, Path())
    peers = machine("rtx-4090", links={"peer_access": True})
    assert reduce_s(game, 2, 2**28) == pytest.approx(reduce_s(peers, 2, 2**28) / through_the_host(), rel=0.03)
    server, told = (machine_of("l40s", None, Path()), machine("l40s", links={"peer_access": True}))
    assert reduce_s(server, 2, 2**28) == reduce_s(told, 2, 2**28)


def with_hardware(folder: Path, hardware: str) -> LoadedScenario:
    pool = f"one: {{pools: [{{name: main, site: aws-us-east, gpu: h100-sxm, hardware: {hardware}}}]}}"
    return written(folder, chat(pool, study=""))


def memory_of(folder: Path, hardware: str) -> float:
    (engine,) = plan_topology(with_hardware(folder, hardware), "one").engines
    return engine.memory.plan.terms.total_bytes


def test_hardware_stands_in_a_scenario_or_in_a_file(tmp_path: Path) -> None:
    own = "{name: mine, memory_gib: 61.5}"
    (tmp_path / "mine.yaml").write_text(own, encoding="utf-8")
    assert memory_of(tmp_path, own) == memory_of(tmp_path, "mine.yaml") == 61.5 * 2**30


def test_a_file_of_hardware_goes_into_the_bundle_and_decides_its_name(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("{memory_gib: 61.5}", encoding="utf-8")
    loaded = with_hardware(tmp_path, "mine.yaml")
    (file,) = references(loaded)
    assert (file.path, file.copy) == ("topologies.one.pools[0].hardware", "hardware/mine.yaml")
    assert 'hardware: "hardware/mine.yaml"' in resolved_yaml(loaded, [file])
    before = fingerprint(loaded, [file])
    (tmp_path / "mine.yaml").write_text("{memory_gib: 40.5}", encoding="utf-8")
    assert fingerprint(loaded, references(loaded)) != before


@pytest.mark.parametrize(
    ("hardware", "message"),
    [
        ("{memory_gb: 61.5}", r"scenario.yaml:\d+:\d+.*memory_gb"),
        ("{power_limit_w: -1}", "power_limit_w"),
        ("{links: {pcie_generation: 7}}", "pcie_generation"),
        ("nowhere.yaml", r"scenario.yaml:\d+:\d+: .*pools\[0\].hardware: no such file"),
        ("wrong.yaml", r"wrong.yaml:1:13: memory_gb: unknown key"),
    ],
)
def test_hardware_that_is_not_understood_is_named(tmp_path: Path, hardware: str, message: str) -> None:
    (tmp_path / "wrong.yaml").write_text("{memory_gb: 61.5}", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        memory_of(tmp_path, hardware)


def test_a_file_of_hardware_is_a_gpu_of_servecast_memory(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("{like: h100-sxm, name: mine, memory_gib: 60.0}", encoding="utf-8")
    found = answer(Question("qwen3-8b", str(file), max_model_len=4096))
    assert (found.card.name, found.card.generation, found.plan.terms.total_bytes) == ("mine", "hopper", 60.0 * 2**30)


@pytest.mark.parametrize(
    ("card", "refused"),
    [
        ("generation: blackwell-rtx", ""),
        ("generation: blackwell-rtx, peers: true", ""),
        ("generation: blackwell-rtx, peers: yes", "peers: must be true or false"),
        ("generation: volta", r"mine.yaml:1:44: generation: unknown generation"),
        ("generation: [ada]", r"mine.yaml:1:32: generation: must be a valid string"),
        ("like: mine.yaml", "unknown GPU"),
    ],
)
def test_a_card_of_any_generation_of_the_catalog_may_be_described(tmp_path: Path, card: str, refused: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"{{name: mine, memory_gib: 31.0, {card}}}", encoding="utf-8")
    question = Question("qwen3-8b", str(file), max_model_len=4096)
    if refused:
        with pytest.raises(InputError, match=refused):
            answer(question)
    else:
        assert answer(question).card.peers == ("true" in card)
