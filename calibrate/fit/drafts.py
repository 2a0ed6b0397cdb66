"""What a recording says of drafts: how many are accepted at each position, and in which steps there are any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.schedule_trace import ScheduleTrace, TraceStep


@dataclass(slots=True)
class MeasuredDrafts:
    """Counts over the steps in which requests decoded.

    Attributes
    ----------
    verified, accepted : by position, drafts that were verified after all before them had been accepted, and of these
        those that were accepted, too
    steps, with_drafts : steps of a request, and those that had drafts
    after_some, ended : steps after one of the same request with drafts, and of these those without
    """

    verified: NDArray[np.int64]
    accepted: NDArray[np.int64]
    steps: int = 0
    with_drafts: int = 0
    after_some: int = 0
    ended: int = 0
    _before: dict[int, bool] = field(default_factory=lambda: defaultdict(bool))

    @property
    def acceptance_by_position(self) -> list[float]:
        r"""Share of the first, second, ... drafts that are accepted: :math:`s_i = \prod_{j \le i} a_j / v_j`."""
        chances = np.divide(self.accepted, self.verified, out=np.zeros(len(self.verified)), where=self.verified > 0)
        return [float(share) for share in np.cumprod(chances)]

    @property
    def drafted_share(self) -> float:
        """Share of the steps that had drafts."""
        return self.with_drafts / self.steps if self.steps else 1.0

    @property
    def drafted_run_steps(self) -> float:
        r"""Mean number of steps in a row with drafts, the most likely one.

        Steps after one with drafts by those of them without; at least :math:`f/(1 - f)`.
        """
        share = self.drafted_share
        if not self.ended or share >= 1.0:
            return 0.0
        return max(self.after_some / self.ended, share / (1.0 - share), 1.0)

    def add(self, trace: ScheduleTrace) -> None:
        """Count the steps of a recording."""
        isl = {request.id: request.isl for request in trace.requests}
        for steps in [rank.steps for rank in trace.ranks] or [trace.steps]:
            self._before.clear()
            self._add(steps, isl)

    def _add(self, steps: Sequence[TraceStep], isl: dict[int, int]) -> None:
        for step in steps:
            drafts = {number: (drafted, right) for number, drafted, right in step.spec if drafted}
            for number, _, before in step.scheduled:
                if before < isl[number]:
                    continue
                some = number in drafts
                self.steps += 1
                self.with_drafts += some
                self.after_some += self._before[number]
                self.ended += self._before[number] and not some
                self._before[number] = some
            for drafted, right in drafts.values():
                self.verified[: min(drafted, right + 1)] += 1
                self.accepted[:right] += 1

    def keys(self, looks_up: bool) -> dict[str, Any]:
        """Keys of `speculative_config`; those of steps without drafts where drafts are looked up, as n-grams are."""
        found: dict[str, Any] = {
            "num_speculative_tokens": len(self.verified),
            "acceptance_by_position": [round(share, 4) for share in self.acceptance_by_position],
        }
        share = max(round(self.drafted_share, 4), 0.0001)
        if looks_up and share < 1.0:
            run_steps = max(round(self.drafted_run_steps, 2), round(share / (1.0 - share) + 0.005, 2))
            found |= {"drafted_share": share} | ({"drafted_run_steps": run_steps} if self.ended else {})
        return found


def measured_drafts(traces: Sequence[ScheduleTrace]) -> MeasuredDrafts:
    """Counts over all recordings."""
    most = max((trace.config.num_speculative_tokens for trace in traces), default=0)
    counts = MeasuredDrafts(np.zeros(most, np.int64), np.zeros(most, np.int64))
    for trace in traces:
        counts.add(trace)
    return counts
