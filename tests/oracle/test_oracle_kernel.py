"""The compiled scheduler does what vLLM 0.32.0 did, in every step of every recording."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from parts import few
from replayed import STEPS, TRACES

from simulator.engine.trace_reader import load_schedule_trace
from simulator.engine.verify import check_schedule, compare_steps
from simulator.fleet.replay import replay_kernel

pytestmark = pytest.mark.rare_kernels


def test_every_recording_is_replayed() -> None:
    assert {path.stem for path in TRACES.glob("*.json")} == set(STEPS)


@pytest.mark.parametrize("name", few(STEPS, "h100_engine"))
def test_kernel_reproduces_every_recorded_step(name: str) -> None:
    n_steps = STEPS[name]
    (check,) = check_schedule(TRACES / f"{name}.json", {"kernel": replay_kernel})
    assert check.first_difference is None
    assert (check.engine, check.identical_steps, check.n_steps) == ("kernel", n_steps, n_steps)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("longprefill", {"long_prefill_token_threshold": 0}),
        ("watermark", {"watermark": 0.0}),
        ("prefix", {"enable_prefix_caching": False}),
        ("preempt", {"num_blocks": 161}),
        ("plain", {"max_num_seqs": 8}),
    ],
)
def test_kernel_under_another_configuration_differs(name: str, change: dict[str, float]) -> None:
    trace = load_schedule_trace(TRACES / f"{name}.json")
    other = dataclasses.replace(trace, config=dataclasses.replace(trace.config, **change))  # type: ignore[arg-type]
    (steps,) = replay_kernel(other)
    assert not compare_steps(name, trace.steps, steps).identical


MODES = Path(__file__).resolve().parents[1] / "data" / "vllm-schedule-modes"
IN_FLIGHT = (
    *("b_async_nochunk", "b_async_plain", "b_async_prefix_preempt", "b_async_priority", "b_async_stop"),
    *("e_pp2", "e_pp2_async_v2", "e_pp4_preempt", "h_priority"),
)
WITH_DRAFTS = (
    *("a_spec_draft_model", "a_spec_eagle", "a_spec_eagle_async", "a_spec_eagle_prefix", "a_spec_mtp"),
    "a_spec_ngram_always",
)
IN_GROUPS = (
    *("c_chunked_local", "c_gemma", "c_gemma_prefix", "c_gptoss", "c_gptoss_async", "c_mamba", "c_mamba_align"),
    *("c_window_only", "c_window_only_prefix"),
)


def reproduces(name: str, version: str, *, more_than: int) -> None:
    (check,) = check_schedule(MODES / version / f"{name}.json.gz", {"kernel": replay_kernel})
    assert check.missing == ""
    assert check.first_difference is None
    assert check.identical_steps == check.n_steps > more_than


VERSIONS = few(["0.32.0", "0.33.0"], "0.33.0")
QUICK = ("b_async_prefix_preempt", "e_pp2_async_v2", "a_spec_eagle_async", "c_gptoss_async", "c_mamba_align")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", few(IN_FLIGHT + WITH_DRAFTS + IN_GROUPS, *QUICK))
def test_kernel_reproduces_modes(name: str, version: str) -> None:
    reproduces(name, version, more_than=80)


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", ["0.32.0", "0.33.0"])
def test_clients_that_leave_while_they_wait_are_timeouts(version: str) -> None:
    path = MODES / version / "h_abort_waiting.json.gz"
    (check,) = check_schedule(path, {"kernel": replay_kernel})
    assert check.first_difference is None
    assert check.identical_steps == check.n_steps > 500
    trace = load_schedule_trace(path)
    (steps,) = replay_kernel(dataclasses.replace(trace, events=()))
    assert not compare_steps("without those who left", trace.steps, steps).identical


FROM_OUTSIDE = (
    *("d_decode", "d_decode_async", "d_decode_priority", "d_decode_spec", "d_external", "d_prefill"),
    *("h_abort", "h_abort_async", "h_reset_cache"),
)
ASKED = (
    *("a_spec_dynamic", "a_spec_mtp_modules", "a_spec_ngram", "a_spec_ngram_fullhit", "h_long_prefill_adaptive"),
    *("f_dp2", "f_dp2_async", "f_dp4_interval", "g_encoder", "g_encoder_whole", "g_lora", "g_lora_priority"),
    *("g_structured", "g_structured_async"),
)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "name", few(FROM_OUTSIDE + ASKED, "d_decode_async", "h_abort_async", "f_dp2", "g_lora_priority")
)
def test_kernel_reproduces_modes_that_ask_and_what_comes_from_outside(name: str, version: str) -> None:
    reproduces(name, version, more_than=60)


@pytest.mark.parametrize("name", few(["h_abort", "h_reset_cache"], "h_reset_cache"))
def test_without_what_came_from_outside_it_differs(name: str) -> None:
    trace = load_schedule_trace(MODES / "0.33.0" / f"{name}.json.gz")
    (steps,) = replay_kernel(dataclasses.replace(trace, events=()))
    assert not compare_steps(name, trace.steps, steps).identical


@pytest.mark.exhaustive
def test_kernel_with_other_drafts_differs() -> None:
    trace = load_schedule_trace(MODES / "0.33.0/a_spec_eagle_async.json.gz")
    for change in (
        {"num_lookahead_tokens": 0},
        {"modes": dataclasses.replace(trace.config.modes, flight=None)},
        {"modes": dataclasses.replace(trace.config.modes, drafts=None), "drop_last_hit_block": True},
    ):
        config = dataclasses.replace(trace.config, **change)  # type: ignore[arg-type]
        (steps,) = replay_kernel(dataclasses.replace(trace, config=config))
        assert not compare_steps("other", trace.steps, steps).identical, change


@pytest.mark.exhaustive
def test_kernel_with_other_groups_differs() -> None:
    trace = load_schedule_trace(MODES / "0.32.0" / "c_gptoss.json.gz")
    wider = tuple(
        dataclasses.replace(group, window_tokens=2 * group.window_tokens) for group in trace.config.modes.groups
    )
    config = dataclasses.replace(trace.config, modes=dataclasses.replace(trace.config.modes, groups=wider))
    (steps,) = replay_kernel(dataclasses.replace(trace, config=config))
    assert not compare_steps("wider", trace.steps, steps).identical
