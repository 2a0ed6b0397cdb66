"""What is said of a search in words."""

from __future__ import annotations

from simulator.bill.cents import dollars
from simulator.resolve.sizes import Fixed
from simulator.size.answer import Answer


def size_warnings(answer: Answer) -> list[str]:
    """What whoever reads a result should know of the size at which a topology was compared."""
    found = answer.search
    if answer.infeasible:
        return [f"no size meets the SLO ({answer.infeasible}); shown at {_sizes(answer)}"]
    lines = [f"sized at {_sizes(answer)}: {found.claim}"]
    empty = [name for name, size in zip(answer.pools, answer.sizes.values(), strict=True) if size == Fixed(0)]
    if empty:
        lines.append(f"its best needs no {' and no '.join(empty)}")
    if answer.windows:
        bills = [(row["hours"], row["usd_per_month"]) for row in answer.windows]
        told = ", ".join(f"{hours} {'never' if usd is None else dollars(usd)}" for hours, usd in bills)
        lines.append(f"window {answer.hours} h, the cheapest of those tried, the busiest hours of each length: {told}")
    if found.equal:
        sizes = ", ".join(map(str, found.equal))
        noise = " within the noise of the replications" if len(found.equal[0].usd) > 1 else ""
        lines.append(f"the same cost{noise}: {sizes}")
    if found.gap_usd and found.best is not None:
        share = found.gap_usd / found.best.usd_per_month
        lines.append(f"the search was not finished: at most {share:.0%} could be saved")
    if not found.monotone:
        lines.append("not monotone: a larger size was refused, so none was skipped")
    if answer.edge:
        lines.append(answer.edge)
    return lines


def _sizes(answer: Answer) -> str:
    return ", ".join(f"{name} {size}" for name, size in zip(answer.pools, answer.sizes.values(), strict=True))
