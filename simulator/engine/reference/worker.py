"""What the model makes of a plan: which requests get a token, and how many of their drafts were right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from simulator.engine.config import EngineConfig
from simulator.engine.modes.drafts.acceptance import by_class, chances_by_kind, chances_to_find
from simulator.engine.reference.plan import Sampled, StepPlan
from simulator.engine.reference.request import Request
from simulator.engine.speculation import FIRST, FOUND, NOT_FOUND, finds_drafts, kind_of, uniform
from simulator.workload.luck import draw_luck
from simulator.workload.requests import Requests

AcceptedDrafts = Callable[[int, int, int], int]
"""(request number, tokens generated so far, drafts verified) -> leading drafts accepted, 0 to all of them."""
DraftsMade = Callable[[int, int, int], int]
"""(request number, tokens generated so far, drafts asked for) -> drafts made, 0 to all of them."""


def drawn(config: EngineConfig, requests: Requests | None = None) -> AcceptedDrafts:
    """Drafts that are accepted in an engine: each with the chance of its request's class, kind and its position, or
    with that of the request itself, given that all before it were.

    The draw belongs to the request and the position of the token in its answer, so it does not depend on scheduling.

    Parameters
    ----------
    requests : those of the run, by number; all are of the first class unless given
    """
    luck, class_id, own, n_classes = _asked_by(requests)
    tables = [chances_by_kind(odds, config.num_speculative_tokens) for odds in by_class(config, n_classes)]

    def accept(number: int, generated: int, drafted: int) -> int:
        kinds, mine = tables[class_id(number)], own(number)
        accepted, chances = 0, kinds[kind_of(luck(number), len(kinds))]
        while accepted < drafted:
            chance = mine if mine >= 0.0 else chances[accepted]
            if uniform(luck(number), generated + accepted) >= chance:
                break
            accepted += 1
        return accepted

    return accept


def found(config: EngineConfig, requests: Requests | None = None) -> DraftsMade:
    """Drafts that are made in an engine: all, or none in some steps; drawn as those that are accepted, by whether the
    request's step before had any.

    Parameters
    ----------
    requests : as in `drawn`
    """
    luck, class_id, _, n_classes = _asked_by(requests)
    chances = [chances_to_find(odds) for odds in by_class(config, n_classes)]
    before: dict[int, int] = {}

    def make(number: int, generated: int, asked: int) -> int:
        chance = chances[class_id(number)][before.get(number, FIRST)]
        before[number] = FOUND if finds_drafts(luck(number), generated, chance) else NOT_FOUND
        return asked if before[number] == FOUND else 0

    return make


def _asked_by(
    requests: Requests | None,
) -> tuple[Callable[[int], int], Callable[[int], int], Callable[[int], float], int]:
    """Luck, class and own acceptance of a request by its number, and the number of classes."""
    if requests is None:
        return (lambda number: number), (lambda number: 0), (lambda number: -1.0), 1
    luck, class_id = draw_luck(requests, {}).tolist(), requests.class_id.tolist()
    own = [-1.0] * len(requests) if requests.extras is None else requests.extras.acceptance.tolist()
    return luck.__getitem__, class_id.__getitem__, own.__getitem__, max(class_id, default=0) + 1


@dataclass(slots=True)
class _State:
    """What the worker knows of a request: tokens generated, tokens computed."""

    generated: int
    computed: int


class Worker:
    """Counts tokens by itself, since with several plans in flight it is ahead of the scheduler.

    It goes on to count those of a request that has ended meanwhile, whose output nobody takes.
    """

    def __init__(self, accepted: AcceptedDrafts | None, drafted: DraftsMade | None) -> None:
        self._accepted, self._drafted = accepted, drafted
        self._states: WeakKeyDictionary[Request, _State] = WeakKeyDictionary()

    def compute(self, plan: StepPlan) -> list[Sampled]:
        """Tokens of each scheduled request; none while its prompt is not all computed. Plans come in order."""
        return [self._sample(plan, k) for k in range(len(plan.entries))]

    def _sample(self, plan: StepPlan, k: int) -> Sampled:
        entry = plan.entries[k]
        request, drafts = entry.request, entry.drafts
        if entry.output_before is not None or request not in self._states:
            before = request.num_output_tokens if entry.output_before is None else entry.output_before
            self._states[request] = _State(before, entry.computed_before)
        state = self._states[request]
        state.computed += entry.tokens
        if state.computed - drafts < request.isl + state.generated:
            return Sampled(request, entry.tokens, 0, drafts, 0)
        right = 0
        if drafts and entry.output_before is None and self._accepted is not None:
            right = self._accepted(request.number, state.generated, drafts)
        state.computed -= drafts - right
        state.generated += right + 1
        return Sampled(request, entry.tokens, right + 1, drafts, right)

    def drafts_after(self, request: Request, most: int) -> int:
        """Drafts that are made once the request's last token is known."""
        state = self._states.get(request)
        if self._drafted is None or state is None:
            return most
        return min(most, self._drafted(request.number, state.generated, most))
