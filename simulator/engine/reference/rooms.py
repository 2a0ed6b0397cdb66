"""Which rooms an engine has, in the order in which vLLM asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.engine.modes.connector.reference import ConnectorRoom
from simulator.engine.modes.drafts.reference import DraftsRoom, drafts_of
from simulator.engine.modes.encoder.reference import EncoderRoom
from simulator.engine.modes.flight.reference import FlightRoom
from simulator.engine.modes.grammar.reference import GrammarRoom
from simulator.engine.modes.lora.reference import LoraRoom
from simulator.engine.modes.offload.reference import OffloadRoom
from simulator.engine.modes.offload.spec import offload_of
from simulator.engine.modes.tables.rooms import TablesRoom
from simulator.engine.modes.waves.reference import WavesRoom
from simulator.engine.reference.doors import Plain

if TYPE_CHECKING:
    from simulator.engine.reference.scheduler import Scheduler


def rooms_of(scheduler: Scheduler) -> tuple[Plain, ...]:
    """Rooms of the modes that the engine is in; those that requests alone ask for are always there."""
    config = scheduler.config
    modes = config.modes
    drafts = drafts_of(config)
    offload = offload_of(modes)
    connector = OffloadRoom(scheduler, offload) if offload else ConnectorRoom(scheduler)
    rooms: list[Plain] = [connector, GrammarRoom(scheduler)]
    if modes.flight is not None:
        rooms.append(FlightRoom(scheduler, modes.flight))
    if modes.max_loras:
        rooms.append(LoraRoom(scheduler, modes.max_loras))
    if modes.waves is not None:
        rooms.append(WavesRoom(scheduler, modes.waves))
    if modes.chunks_end_at_states:
        rooms.append(TablesRoom(scheduler))
    if modes.encoder is not None:
        rooms.append(EncoderRoom(scheduler, modes.encoder))
    if drafts is not None:
        rooms.append(DraftsRoom(scheduler, drafts))
    return tuple(rooms)
