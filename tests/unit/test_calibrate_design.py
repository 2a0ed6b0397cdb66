"""The steps that a profile makes an engine take: by hand for one engine, and what holds for all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.experiments.design import Limits, Phase, _levels, design, design_within, limits_from, order

SMALL = Limits(64, 8, 1000, 4096, 16, (1, 2, 4, 8))
"""Longest point: 998 tokens; 8 decode steps at each size, 998 // (8 · 14); a fall takes 14 · (2 · 8 + 2) = 252."""


def test_limits_are_those_of_the_engine_without_its_null_block() -> None:
    config = {
        "num_gpu_blocks": 257,
        "block_size": 16,
        "max_num_batched_tokens": 64,
        "max_num_seqs": 8,
        "max_model_len": 1000,
        "enable_chunked_prefill": True,
    }
    assert limits_from(config, [8, 4, 2, 1]) == SMALL
    assert not limits_from({**config, "enable_chunked_prefill": False}, []).chunked


def test_how_long_a_point_may_be() -> None:
    assert (SMALL.longest_tokens, SMALL.dwell_steps, SMALL.fall_steps) == (998, 8, 252)
    assert replace(SMALL, kv_tokens=1000).longest_tokens == 898
    assert replace(SMALL, sequence_tokens=3).longest_tokens == 2
    assert [replace(SMALL, sequence_tokens=n).dwell_steps for n in (10, 10_000)] == [3, 16]


def test_the_points_of_a_small_engine() -> None:
    points = design(SMALL)
    assert [point.name for point in points if point.name.startswith("prefill")] == [
        f"prefill-{chunk}" for chunk in sorted([8, 12, 16, 24, 32, 48, 64], key=str)
    ]
    assert {point.name for point in points if point.name.startswith("side")} == {
        *("side-by-side-2x8", "side-by-side-2x32", "side-by-side-3x21"),
        *("side-by-side-4x16", "side-by-side-5x12", "side-by-side-8x8"),
    }
    # the longest context leaves 998 - 252 tokens, and room for min(3,622 // 1,014, ...) = 3 sequences
    assert {point.name for point in points if point.kind == "decode"} == {
        *("decode-8x16", "decode-8x64", "decode-6x256", "decode-3x746"),
    }
    assert [point.tokens for point in points] == sorted(point.tokens for point in points)


def test_a_prompt_is_computed_in_chunks_at_four_depths_with_full_steps_between() -> None:
    by_name = {point.name: point for point in design(SMALL)}
    point = by_name["prefill-8"]
    assert point.phases == (
        Phase(add=((998, 2),), budget=8, steps=2),
        Phase(budget=64, steps=1),  # to 80, below a tenth of 998
        Phase(budget=8, steps=2),
        Phase(budget=64, steps=3),  # from 96 to 288
        Phase(budget=8, steps=2),
        Phase(budget=64, steps=9),  # from 304 to 880
        Phase(budget=8, steps=2),
    )
    assert (point.tokens, point.kv_tokens, point.step_tokens, point.steps) == (998, 998, 64, 21)
    full = by_name["prefill-64"]
    assert [(phase.budget, phase.steps) for phase in full.phases] == [(64, 2), (64, 3), (64, 2), (64, 7), (64, 1)]


def test_a_prompt_that_may_not_be_cut_is_one_step() -> None:
    (point,) = (one for one in design(replace(SMALL, chunked=False)) if one.name == "prefill-24")
    assert point.phases == (Phase(add=((24, 2),), steps=1),)
    assert (point.tokens, point.kv_tokens, point.step_tokens) == (24, 24, 24)


def test_a_batch_falls_and_a_prompt_joins_at_each_size() -> None:
    (point,) = (one for one in design(SMALL) if one.name == "decode-8x16")
    assert point.phases == (
        Phase(add=((15, 985),) * 8),
        Phase(steps=8, drop=0),  # full: nobody can join
        *(Phase(steps=8, drop=3), Phase(add=((48, 1),), steps=9)),
        *(Phase(steps=8, drop=1), Phase(add=((24, 1),), steps=9)),
        *(Phase(steps=8, drop=1), Phase(add=((12, 1),), steps=9)),
        *(Phase(steps=8, drop=1), Phase(add=((62, 1),), steps=9)),  # of 64, with two that decode
        *(Phase(steps=8, drop=1), Phase(add=((32, 1),), steps=9)),
    )
    assert point.tokens == 8 * 15 + 48 + 24 + 12 + 62 + 32
    assert point.kv_tokens == 8 * (16 + 252 + 16) + 64
    assert (point.step_tokens, point.steps) == (64, 6 * 8 + 5 * 9)
    assert point.seconds(100.0, 0.01) == pytest.approx(2.98 + 0.93)
    assert point.command()[2] == {"add": (), "drop": 3, "budget": None, "steps": 8}


def test_the_design_shrinks_until_it_takes_the_time_that_is_there() -> None:
    assert design_within(SMALL, 1e9, 100.0, 0.01) == (design(SMALL), 4096)
    points, most = design_within(SMALL, 0.0, 100.0, 0.01)
    assert (points, most) == (design(SMALL, 128), 128), "two full steps are left, whatever they take"
    whole_s = sum(point.seconds(100.0, 0.01) for point in design(SMALL))
    assert design_within(SMALL, whole_s, 100.0, 0.01)[1] == 4096
    points, most = design_within(SMALL, whole_s / 2, 100.0, 0.01)
    assert sum(point.seconds(100.0, 0.01) for point in points) <= whole_s / 2
    assert sum(point.seconds(100.0, 0.01) for point in design(SMALL, most * 4 // 3 + 1)) > whole_s / 2


def test_each_repeat_has_an_order_of_its_own() -> None:
    points = design(SMALL)
    first, again, second, other = (order(points, *at) for at in ((0, 1), (0, 1), (1, 1), (0, 2)))
    assert first == again
    assert first != second != other
    assert sorted(map(repr, first)) == sorted(map(repr, points)) == sorted(map(repr, second))


@pytest.mark.parametrize(
    ("most", "captured", "sizes"),
    [
        (0, (), []),
        (1, (), [1]),
        (9, (), [1, 2, 3, 4, 6, 8, 9]),
        (9, (2, 4, 8), [1, 2, 3, 4, 5, 8, 9]),
        (8, (2, 4, 8, 16), [1, 2, 3, 4, 5, 8]),
    ],
)
def test_batch_sizes_are_at_and_above_those_of_graphs(most: int, captured: tuple[int, ...], sizes: list[int]) -> None:
    assert _levels(most, captured) == sizes


@settings(max_examples=60)
@given(
    st.integers(8, 4096),
    st.integers(1, 300),
    st.integers(8, 20_000),
    st.integers(40, 100_000),
    st.sampled_from([1, 16, 128]),
    st.sampled_from([(), (1, 2, 4), tuple(range(8, 513, 8))]),
    st.booleans(),
)
def test_every_point_fits_the_engine(
    step: int, sequences: int, longest: int, kv: int, block: int, captured: tuple[int, ...], chunked: bool
) -> None:
    limits = Limits(step, sequences, longest, kv, block, captured, chunked)
    points = design(limits)
    assert len({point.name for point in points}) == len(points)
    for point in points:
        running = 0
        for phase in point.phases:
            running += len(phase.add) - phase.drop
            assert 0 <= running <= sequences
            assert all(isl > 0 and isl + osl <= max(longest, 4) for isl, osl in phase.add)
            assert phase.budget is None or 0 < phase.budget <= step
            running -= sum(osl == 1 for _, osl in phase.add)  # it has its token and leaves
        assert point.step_tokens <= step
        if point.kind == "decode":
            assert point.kv_tokens <= 0.9 * kv
            sizes = [-phase.drop for phase in point.phases if phase.drop]
            assert len(sizes) <= 14
