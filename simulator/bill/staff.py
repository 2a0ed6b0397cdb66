"""People and fees: what a topology pays beside machines and tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulator.bill.category import STAFF
from simulator.bill.parts import REQUESTS, one_line
from simulator.bill.sums import mean, total_usd
from simulator.study.bill import Line
from simulator.study.terms import Fee, Staff, Terms
from simulator.units import MONTHS_PER_YEAR, REQUESTS_PER_MILLION


def staff_lines(topology: str, staff: Staff, servers: int, replicas: int, share: float = 1.0) -> list[Line]:
    """Staff of a month: a base, and more with servers bought and with replicas at the peak; once for a topology.

    Parameters
    ----------
    share : of the month that is paid for
    """
    usd = staff.usd_per_fte_year / MONTHS_PER_YEAR * share
    fte = {
        "base": staff.base_fte,
        "servers": staff.fte_per_server * servers,
        "replicas": staff.fte_per_replica * replicas,
    }
    return [
        line
        for part, count in fte.items()
        for line in one_line(topology, STAFF, part, mean(count), "FTE", count * usd, "by_month")
    ]


def fee_lines(terms: Terms, replicas: int, gpus: int, requests: Sequence[float], month: int) -> list[Line]:
    """Fees of a month that do not depend on other lines; what is paid once, at any time, is spread over the study.

    Parameters
    ----------
    replicas, gpus : at the peak
    requests : that came in the month, by class
    """
    lines: list[Line] = []
    for fee in terms.fees:
        once, by_replica = fee.usd_once / terms.months, fee.usd_per_replica_month * replicas
        lines += [
            Line(line.owner, line.category, line.part, line.quantity, line.unit, line.usd, line.kind, 1.0)
            for line in one_line(terms.topology, fee.name, "once", 1.0 / terms.months, "payments", once, "bought")
        ]
        if month not in fee.span:
            continue
        lines += one_line(terms.topology, fee.name, "by month", 1.0, "months", fee.usd_per_month, "by_month")
        lines += one_line(terms.topology, fee.name, "by replica", replicas, "replicas", by_replica, "by_month")
        by_gpu = fee.usd_per_gpu_month * gpus
        lines += one_line(terms.topology, fee.name, "by GPU", gpus, "GPUs", by_gpu, "by_month")
        counted = math.fsum(requests[k] for k in fee.classes) if fee.classes else math.fsum(requests)
        by_request = fee.usd_per_million_requests * (counted / REQUESTS_PER_MILLION)
        lines += one_line(terms.topology, fee.name, "by request", counted, REQUESTS, by_request, "by_use")
    return lines


def share_lines(topology: str, fees: Sequence[Fee], lines: Sequence[Line]) -> list[Line]:
    """Fees that are a share of the bill: of all `lines`, which hold no such fee."""
    whole = total_usd(lines)
    return [
        line
        for fee in fees
        for line in one_line(
            topology, fee.name, "share of the bill", mean(whole), "USD", whole * fee.share_of_bill, "by_use"
        )
    ]
