"""What windows keep findable: only what is read before a place at which a later request can resume; none is lost."""

from __future__ import annotations

import pytest
from parts import few
from test_laws_groups_vs_reference import large_case, with_groups

from simulator.engine.modes.spec import GroupKind
from simulator.engine.reference.engine import make_request
from simulator.engine.reference.limits import can_serve
from simulator.engine.reference.request import Request
from simulator.engine.reference.scheduler import Scheduler

VERSIONS = ("0.32.0", "0.33.0")


def resumable(request: Request, window: int, size: int) -> set[int]:
    """Blocks that layers with a window read before the prompt's last whole block, and before a junction."""
    tail = -(-(window - 1) // size)
    ends = [place // size for place in (request.isl - 1, request.junction)]
    return {index for end in ends for index in range(end - tail, end)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("layout", ["windows and full", "two windows"])
@pytest.mark.parametrize("seed", few(range(8), 0, 1))
def test_what_becomes_findable_is_resumable_and_every_block_is_free_or_held(
    seed: int, layout: str, version: str
) -> None:
    config, requests = large_case(seed, 60)
    config = with_groups(config, layout, "sync", version)
    scheduler = Scheduler(config)
    for row in range(len(requests)):
        if can_serve(config, int(requests.isl[row]), int(requests.osl[row])):
            scheduler.add(make_request(requests, row, 0.0))
    manager = scheduler.kv_cache_manager
    pool, null = manager.block_pool, manager.block_pool.null_block
    kept: set[tuple[int, object]] = set()
    found = {GroupKind.WINDOW: 0, GroupKind.FULL: 0}

    def look() -> None:
        """A block that another request of the same plan has hit may be resumable of the one that computed it alone."""
        for group in manager.groups:
            resumed: dict[tuple[int, object], bool] = {}
            for request, table in group.held.items():
                ours = resumable(request, group.spec.window_tokens, config.block_size)
                for index, block in enumerate(table):
                    name = (block.block_id, block.block_hash)
                    if block is not null and block.block_hash is not None and name not in kept:
                        resumed[name] = resumed.get(name, False) or index in ours
            found[group.spec.kind] += len(resumed)
            assert group.spec.kind == GroupKind.FULL or all(resumed.values())
        kept.clear()
        kept.update((block.block_id, block.block_hash) for block in pool.blocks if block.block_hash is not None)

    while scheduler.has_requests:
        plan = scheduler.schedule()
        held = [block for group in manager.groups for table in group.held.values() for block in table]
        assert plan.free_blocks + len({block.block_id for block in held if block is not null}) == config.num_blocks - 1
        assert all(block.ref_cnt == held.count(block) for block in pool.blocks if block is not null)
        look()
        scheduler.update(plan)
        look()
    assert pool.get_num_free_blocks() == config.num_blocks - 1
    if config.enable_prefix_caching:
        assert 0 < found[GroupKind.WINDOW] < found[GroupKind.FULL]
    else:
        assert found == {GroupKind.WINDOW: 0, GroupKind.FULL: 0}
