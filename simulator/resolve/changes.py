"""What vLLM makes otherwise than an engine of the scenario asks, and where that is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from simulator.engine.modes.spec import GroupKind
from simulator.resolve.kv_blocks import KvBlocks
from simulator.resolve.located import written_at
from simulator.scenario.load import LoadedScenario
from simulator.schema.engine import EngineSettings


@dataclass(frozen=True, slots=True)
class Change:
    """One key of an engine that does not stay as it is asked for, or is left to vLLM.

    Attributes
    ----------
    key : of the engine, as `speculative_config.method`
    """

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}"


def changes_of_cache(settings: EngineSettings, memory: KvBlocks, version: str) -> tuple[Change, ...]:
    """What becomes of the prefix cache and of the length of blocks, which depend on the model's layers.

    vLLM lengthens blocks until pages of all kinds of layers are equally large (`_align_hybrid_block_size`,
    `_align_heterogeneous_kv_block_size`, vLLM 0.32.0).

    Parameters
    ----------
    version : of vLLM, whose memory is planned
    """
    found: tuple[Change, ...] = ()
    if settings.enable_prefix_caching and not memory.prefix_caching:
        lacks = f"vLLM {version} has no prefix caching for models with a state: it is off"
        found += (Change("enable_prefix_caching", lacks),)
    sizes = {group.block_size for group in memory.groups if group.kind is not GroupKind.LINEAR}
    longest = max(sizes, default=memory.block_size)
    if "block_size" in settings.model_fields_set and longest != settings.block_size:
        longer = f"blocks of {settings.block_size} tokens become {longest} long, so that all kinds of layers have equal"
        found += (Change("block_size", f"{longer} pages"),)
    return found


def placed(loaded: LoadedScenario, pool: str, changes: Iterable[Change]) -> list[str]:
    """Each change with its place in the scenario: that of its key, else of the drafts that bring it about, else of the
    pool.

    Parameters
    ----------
    pool : path of the pool
    """
    return [
        f"{written_at(loaded, pool, f'engine.{change.key}', 'engine.speculative_config')}: {change}"
        for change in changes
    ]
