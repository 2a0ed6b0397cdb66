"""Options for the largest errors that `--check` accepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyclopts import Parameter

if TYPE_CHECKING:
    from calibrate.validate.compare import Tolerance


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Tolerances:
    """Largest relative errors, with the drift factor and without.

    Attributes
    ----------
    throughput
        Largest relative error of throughput, drift-corrected.
    median
        Largest relative error of the medians of TTFT and TPOT, drift-corrected.
    p99
        Largest relative error of their 99th percentiles, drift-corrected.
    raw_throughput
        The same without the drift factor.
    raw_median
        The same without the drift factor.
    raw_p99
        The same without the drift factor.
    """

    throughput: float = 0.05
    median: float = 0.10
    p99: float = 0.20
    raw_throughput: float = 0.15
    raw_median: float = 0.15
    raw_p99: float = 0.30

    @property
    def corrected(self) -> Tolerance:
        from calibrate.validate.compare import Tolerance

        return Tolerance(self.throughput, self.median, self.p99)

    @property
    def raw(self) -> Tolerance:
        from calibrate.validate.compare import Tolerance

        return Tolerance(self.raw_throughput, self.raw_median, self.raw_p99)


USUAL = Tolerances()
