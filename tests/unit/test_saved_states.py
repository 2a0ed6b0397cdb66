"""States that a kernel saves amid a chunk: where chunks end, the blocks they take, and what is found again, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import GroupKind, KvGroup, Modes
from simulator.engine.reference.request import Request
from simulator.engine.reference.scheduler import Scheduler

SIZE = 16
STATES = KvGroup(GroupKind.LINEAR, SIZE, aligned=True)


def scheduler(saves: bool, budget: int = 512) -> Scheduler:
    groups = (replace(STATES, saves_amid_chunk=saves), KvGroup(GroupKind.FULL, SIZE))
    modes = Modes(groups=groups, chunks_end_at_states=True)
    return Scheduler(
        EngineConfig(num_blocks=64, block_size=SIZE, max_num_batched_tokens=budget, max_model_len=512, modes=modes)
    )


def chunks(made: Scheduler, number: int, isl: int, n_shared: int = 0) -> list[int]:
    """Tokens of a request's chunks up to its first token, one after the other."""
    content = ((0, n_shared), (number + 1, isl - n_shared)) if n_shared else ((number + 1, isl),)
    request = Request(number, float(number), isl=isl, osl=2, segments=content)
    made.add(request)
    found = []
    while request.num_tokens == isl:
        plan = made.schedule()
        found += [tokens for who, tokens, _ in plan.scheduled if who == number]
        made.update(plan)
    return found


@pytest.mark.parametrize(
    ("isl", "budget", "saved", "ended"),
    [
        (100, 512, [100], [96, 4]),
        (96, 512, [96], [80, 16]),
        (97, 512, [97], [96, 1]),
        (16, 512, [16], [16]),
        (17, 512, [17], [16, 1]),
        (100, 64, [64, 36], [64, 32, 4]),
        (100, 50, [48, 48, 4], [48, 48, 4]),
        (30, 10, [10, 6, 10, 4], [10, 6, 10, 4]),
    ],
)
def test_the_last_chunk_does_not_end_at_the_state_that_it_saves(
    isl: int, budget: int, saved: list[int], ended: list[int]
) -> None:
    assert chunks(scheduler(True, budget), 0, isl) == saved
    assert chunks(scheduler(False, budget), 0, isl) == ended


def test_the_state_takes_a_block_for_one_step() -> None:
    made = scheduler(True)
    made.add(Request(0, 0.0, isl=100, osl=3, segments=((1, 100),)))
    first = made.schedule()
    assert first.free_blocks == 63 - 7 - 2
    made.update(first)
    assert made.schedule().free_blocks == 63 - 7 - 1


@pytest.mark.parametrize("saves", [True, False])
def test_what_was_saved_is_found_by_the_next_equal_prompt(saves: bool) -> None:
    made = scheduler(saves)
    assert sum(chunks(made, 0, 100, n_shared=100)) == 100
    assert chunks(made, 1, 100, n_shared=100) == [4]


def test_a_chunk_ends_at_a_junction_and_the_rest_saves_its_state() -> None:
    """The second user of a beginning finds full attention's blocks and no state, so that the third one finds both."""
    made = scheduler(True)
    assert chunks(made, 0, 100, n_shared=48) == [100]
    assert chunks(made, 1, 100, n_shared=48) == [48, 52]
    assert chunks(made, 2, 100, n_shared=48) == [52]
