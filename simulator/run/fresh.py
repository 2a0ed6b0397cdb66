"""Which months hardly keep the SLO, and what traffic says of them that no search has seen."""

from __future__ import annotations

from simulator.decide.standing import edge_of
from simulator.run.left_open import spans
from simulator.run.months import Journey
from simulator.study.demand import Level


def fresh_words(journey: Journey) -> list[str]:
    """What fresh traffic says of sizes that were searched at events, and the months that were not tried on any.

    Tried are, of a topology that is tried in its first month, the load of that month and, where sizes are open, the
    load of the month of each event.
    """
    words = [f"from month {month}: {edge}" for month, said in journey.edges.items() if (edge := edge_of(said))]
    stage, tried, near = 0, set[tuple[int, Level]](), list[int]()
    for month in journey.months:
        begins = month is journey.months[0] or bool(month.event)
        stage += begins
        if month is journey.months[0] or month.month in journey.edges:
            tried.add((stage, month.level))
        if month.meets and (stage, month.level) not in tried and any(share.served.is_near for share in month.shares):
            near.append(month.month)
    if near:
        words.append(
            f"{spans(near)}: some level of the SLO is kept by less than two standard errors, unlike in month 1 "
            "without a trial on fresh traffic"
        )
    return words
