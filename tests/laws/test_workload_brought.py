"""What requests bring for modes: the shares that are asked for, nothing else changed, whatever the chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.workload.requests import Extras, Requests
from simulator.workload.source import build_source
from simulator.workload.spec import (
    Adapters,
    Brought,
    ClassWorkload,
    ClosedLoopArrivals,
    Constant,
    Images,
    Leaves,
    Lognormal,
    Poisson,
    Prefixes,
    Sessions,
    StructuredOutputs,
    Uniform,
    WorkloadSpec,
)

ISL, OSL = Lognormal(600.0, 0.7), Constant(50)
CHAT = ClassWorkload("chat", Poisson(10.0), ISL, OSL, Prefixes(5, Constant(100), share=0.5))
TALK = ClassWorkload("talk", Sessions(10.0, Uniform(1, 4), 5.0, Uniform(10, 90), system_tokens=64), osl=OSL)
ALL = Brought(
    Leaves(0.2, 8.0),
    Adapters(6, 0.9, 1.0),
    StructuredOutputs(0.3, 0.5),
    Images(2, Uniform(50, 300), 0.6, 9),
)


def chunks(*classes: ClassWorkload, chunk: int = 10_000, horizon_s: float = 300.0) -> Iterator[Requests]:
    return iter(build_source(WorkloadSpec(classes), horizon_s, 3, chunk).chunks())


def bringing(cls: ClassWorkload, brought: Brought = ALL) -> ClassWorkload:
    return replace(cls, brought=brought)


def extras_of(requests: Requests) -> Extras:
    assert requests.extras is not None
    return requests.extras


def brought_by(requests: Requests, row: int) -> tuple[object, ...]:
    extras = extras_of(requests)
    span = slice(extras.picture_start[row], extras.picture_start[row + 1])
    pictures = (extras.picture_offset, extras.picture_tokens, extras.picture_content)
    scalars = (extras.leaves_s, extras.adapter, extras.grammar_s)
    return (*(column[row].item() for column in scalars), *(tuple(column[span].tolist()) for column in pictures))


@pytest.mark.parametrize("cls", [CHAT, TALK])
def test_nothing_else_changes_and_nothing_is_brought_unless_asked_for(cls: ClassWorkload) -> None:
    plain, rich = next(chunks(cls)), next(chunks(bringing(cls)))
    assert plain.extras is None
    for one in fields(Requests):
        if one.name not in ("extras", "segment_id"):
            left, right = getattr(plain, one.name), getattr(rich, one.name)
            assert np.array_equal(left, right, equal_nan=one.name == "arrival_s"), one.name
    assert len(extras_of(rich).adapter) == len(rich)


def test_shares_and_times_are_those_asked_for() -> None:
    requests = next(chunks(bringing(CHAT)))
    extras, n = extras_of(requests), len(requests)
    goes = extras.leaves_s > 0
    assert abs(goes.mean() - 0.2) < 4 * np.sqrt(0.16 / n)
    assert extras.leaves_s[goes].mean() == pytest.approx(8.0, rel=4 / np.sqrt(goes.sum()))
    weights = 0.9 / np.arange(1, 7) / (1 / np.arange(1, 7)).sum()
    found = np.bincount(extras.adapter, minlength=7) / n
    assert found == pytest.approx([0.1, *weights], abs=4 * np.sqrt(0.25 / n))
    has = extras.grammar_s >= 0
    assert set(extras.grammar_s[has].tolist()) == {0.5}
    assert abs(has.mean() - 0.3) < 4 * np.sqrt(0.21 / n)
    assert set(np.unique(extras.picture_content).tolist()) == set(range(9))


def test_pictures_lie_in_the_prompt_behind_what_it_shares_and_do_not_overlap() -> None:
    requests = next(chunks(bringing(CHAT)))
    extras = extras_of(requests)
    some = 0
    for row in range(len(requests)):
        span = slice(requests.segment_start[row], requests.segment_start[row + 1])
        end = int(requests.segment_tokens[span].sum())
        for k in range(extras.picture_start[row], extras.picture_start[row + 1]):
            assert extras.picture_offset[k] == end
            end += int(extras.picture_tokens[k])
            some += 1
        assert end <= requests.isl[row]
    assert some > 500


def test_prompts_of_different_adapters_share_nothing() -> None:
    requests = next(chunks(bringing(CHAT, Brought(adapters=Adapters(4, 0.8)))))
    adapter = np.repeat(extras_of(requests).adapter, np.diff(requests.segment_start))
    for text in np.unique(requests.segment_id):
        assert len(set(adapter[requests.segment_id == text].tolist())) == 1
    assert len(np.unique(requests.segment_id)) == 5 * 5


def test_a_conversation_keeps_its_adapter() -> None:
    requests = next(chunks(bringing(TALK)))
    of_one: dict[int, set[int]] = {}
    for session, adapter in zip(requests.session_id.tolist(), extras_of(requests).adapter.tolist(), strict=True):
        of_one.setdefault(session, set()).add(adapter)
    assert all(len(adapters) == 1 for adapters in of_one.values())
    assert len(set().union(*of_one.values())) == 7


@pytest.mark.parametrize("cls", [CHAT, TALK])
def test_chunks_and_other_classes_change_nothing(cls: ClassWorkload) -> None:
    def opens(*classes: ClassWorkload, chunk: int = 10_000) -> list[tuple[object, ...]]:
        return [
            brought_by(requests, row)
            for requests in chunks(*classes, chunk=chunk, horizon_s=40.0)
            for row in range(requests.n_open)
            if requests.class_id[row] == 0
        ]

    alone = opens(bringing(cls))
    assert opens(bringing(cls), chunk=17) == alone
    assert opens(bringing(cls), replace(CHAT, name="other")) == alone
    assert opens(bringing(cls), replace(bringing(CHAT), name="other"), chunk=17) == alone


def test_users_who_wait_bring_the_same_and_pictures_differ_between_classes() -> None:
    users = replace(bringing(CHAT, replace(ALL, images=Images(2, Constant(50)))), arrivals=ClosedLoopArrivals(3))
    (loop,) = build_source(WorkloadSpec((users,)), 10.0, 3).closed_loops
    contents = extras_of(loop.rows).picture_content
    assert len(np.unique(contents)) == len(contents) > 0
    two = next(chunks(bringing(CHAT), replace(bringing(CHAT), name="other")))
    owner = np.repeat(two.class_id, np.diff(extras_of(two).picture_start))
    assert not set(extras_of(two).picture_content[owner == 0]) & set(extras_of(two).picture_content[owner == 1])


def test_several_answers_bring_the_same() -> None:
    requests = next(chunks(replace(bringing(CHAT), n=2), horizon_s=20.0))
    for row in range(0, len(requests), 2):
        assert brought_by(requests, row) == brought_by(requests, row + 1)


@pytest.mark.parametrize(
    "wrong", [lambda: Leaves(2.0, 1.0), lambda: Leaves(0.5, 0.0), lambda: Adapters(0), lambda: Images(0, OSL)]
)
def test_what_cannot_be_is_refused(wrong: object) -> None:
    with pytest.raises(InputError):
        wrong()  # type: ignore[operator]
