"""Token lengths: samplers and exact means of the length distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem
from simulator.workload.spec import Constant, Empirical, Length, Lognormal, Uniform

Sampler = Callable[[np.random.Generator, int], NDArray[np.int32]]
MAX_TOKENS = 2**31 - 1
_QUANTILES = 20_000


def length_sampler(spec: Length) -> Sampler:
    """Function (generator, n) -> int32 (n,) of token lengths, at least 1; draws n values one by one.

    Raises
    ------
    InputError : an empirical file that cannot be read, lacks the column or holds values below 1
    """
    if isinstance(spec, Constant):
        value = spec.value
        return lambda _, n: np.full(n, value, np.int32)
    if isinstance(spec, Uniform):
        low, high = _whole_bounds(spec)
        return lambda generator, n: generator.integers(low, high + 1, n, dtype=np.int32)
    if isinstance(spec, Lognormal):
        return _lognormal_sampler(spec)
    if isinstance(spec, Empirical):
        values = read_lengths(spec.file, spec.column)
        return lambda generator, n: values[generator.integers(0, len(values), n)]
    assert_never(spec)


def length_mean(spec: Length) -> float:
    """Mean of the distribution in tokens, clamping and rounding included (lognormal: by 20,000 mid-quantiles)."""
    if isinstance(spec, Constant):
        return float(spec.value)
    if isinstance(spec, Uniform):
        return sum(_whole_bounds(spec)) / 2
    if isinstance(spec, Lognormal):
        from scipy.special import ndtri

        mu, sigma = _lognormal_parameters(spec)
        quantiles = np.exp(mu + sigma * ndtri((np.arange(_QUANTILES) + 0.5) / _QUANTILES))
        return float(np.clip(np.rint(quantiles), spec.min, spec.max).mean())
    if isinstance(spec, Empirical):
        return float(read_lengths(spec.file, spec.column).mean())
    assert_never(spec)


def length_bounds(spec: Length) -> tuple[int, int]:
    """Smallest and largest number of tokens that can be drawn."""
    if isinstance(spec, Constant):
        return spec.value, spec.value
    if isinstance(spec, Uniform):
        return _whole_bounds(spec)
    if isinstance(spec, Lognormal):
        always = int(np.clip(round(spec.mean), spec.min, spec.max))
        return (int(spec.min), int(spec.max)) if spec.cv else (always, always)
    if isinstance(spec, Empirical):
        tokens = read_lengths(spec.file, spec.column)
        return int(tokens.min()), int(tokens.max())
    assert_never(spec)


def read_lengths(file: str | Path, column: str) -> NDArray[np.int32]:
    """Column of token lengths of a CSV or Parquet file, every value checked.

    Raises
    ------
    InputError : no such file or column, or values that are no whole number of at least 1 (the first 20, by line)
    """
    from simulator.workload.pieces import read_table
    from simulator.workload.tables import token_column

    table = read_table(Path(file))
    values, problems = token_column(table, column)
    if not problems and len(values) == 0:
        problems = [Problem("has no rows", file=str(file))]
    if problems:
        raise InputError(*problems)
    return values


def _whole_bounds(spec: Uniform) -> tuple[int, int]:
    low, high = math.ceil(spec.low), math.floor(spec.high)
    if low < 1 or high < low or high > MAX_TOKENS:
        raise InputError(
            Problem("as a length must hold whole tokens of at least 1", path="uniform", got=f"{spec.low}..{spec.high}")
        )
    return low, high


def _lognormal_parameters(spec: Lognormal) -> tuple[float, float]:
    variance = math.log1p(spec.cv**2)
    return math.log(spec.mean) - variance / 2, math.sqrt(variance)


def _lognormal_sampler(spec: Lognormal) -> Sampler:
    mu, sigma = _lognormal_parameters(spec)

    def sample(generator: np.random.Generator, n: int) -> NDArray[np.int32]:
        values = generator.standard_normal(n)
        np.exp(mu + sigma * values, out=values)
        return np.clip(np.rint(values), spec.min, spec.max).astype(np.int32)

    return sample
