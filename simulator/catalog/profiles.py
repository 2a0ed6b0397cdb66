"""Profile files `servecast-profile/1`: a step-time model measured on one engine, its errors and its sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulator.errors import InputError, Problem
from simulator.perf.architecture import Architecture
from simulator.perf.device import BatchLimits
from simulator.perf.profile import COEFFICIENTS, LAUNCHES, StepCoefficients, profile_step_time
from simulator.perf.steptime import ExpectedError, StepTime
from simulator.results.inputs import input_format
from simulator.schema.base import IS_NUMBER, NotNegative, Positive
from simulator.schema.checked import checked

FORMAT = "servecast-profile/1"
_SHAPE = {
    "hidden_size": "hidden_size",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "num_key_value_heads": "kv_heads",
    "vocab_size": "vocab_size",
}
"""Keys of a Hugging Face configuration that tell models apart, and what `Architecture` calls them."""


Size = Annotated[int, Field(ge=1, le=2**31 - 1), IS_NUMBER]
Time = Annotated[float, Field(ge=0, le=1e6), IS_NUMBER]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class _Engine(_Part):
    tp: Size
    pp: Size
    dtype: str


class _Correction(_Part):
    tokens: list[Annotated[float, Field(ge=1), IS_NUMBER]]
    ratio: list[Positive]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.tokens) != len(self.ratio) or self.tokens != sorted(self.tokens):
            raise ValueError("must have a positive ratio for each token count, by rising count")
        return self


class _Errors(_Part):
    held_out: dict[str, dict[str, float | None]]


class ProfileFile(_Part):
    """The entries of a profile that a run reads, each with its type and range."""

    name: str
    gpu: str | None
    engine: _Engine
    model: dict[str, Any]
    coefficients: dict[str, Time]
    correction: _Correction
    capture_sizes: list[Size]
    ranges: dict[str, tuple[NotNegative, NotNegative]]
    errors: _Errors
    between_steps_s: Time
    between_sequence_s: Time
    request_overhead_s: Time
    expected_error: ExpectedError | None = None

    @model_validator(mode="after")
    def _sharp(self) -> Self:
        if self.coefficients.get("sharpness", 1.0) < 1:
            raise ValueError("sharpness must be at least 1")
        return self

    @property
    def lacking(self) -> list[str]:
        """Names that its mappings must have and do not."""
        coefficients = [name for name in COEFFICIENTS if name not in self.coefficients]
        return coefficients + [f"ranges.{name}" for name in ("tokens", "sequences") if name not in self.ranges]


@dataclass(frozen=True, slots=True)
class Profile:
    """A measured profile.

    Attributes
    ----------
    name : for the reader
    gpu : name in the catalog; None where the device is none of it (a CPU)
    tp, pp, dtype : layout and weight format of the engine
    model : Hugging Face configuration of the model
    ranges : smallest and largest value of each regressor among the measured steps
    errors : held-out errors by regime: points, median, p90, bias
    between_steps_s, between_sequence_s, request_overhead_s : time outside the steps: of a step, of each of its
        sequences, and of a request
    value : the file as it is
    """

    name: str
    gpu: str | None
    tp: int
    pp: int
    dtype: str
    model: Mapping[str, Any]
    coefficients: StepCoefficients
    ranges: Mapping[str, tuple[float, float]]
    errors: Mapping[str, Mapping[str, float | None]]
    between_steps_s: float
    between_sequence_s: float
    request_overhead_s: float
    expected_error: ExpectedError | None
    value: Mapping[str, Any]

    def step_time(self, limits: BatchLimits) -> StepTime:
        """The engine's step time within these limits."""
        return profile_step_time(
            self.coefficients,
            limits.max_num_batched_tokens,
            limits.max_num_seqs,
            f"profile {self.name}",
            between_steps_s=self.between_steps_s,
            between_sequence_s=self.between_sequence_s,
            request_overhead_s=self.request_overhead_s,
            expected_error=self.expected_error,
        )

    def beyond_range(self, limits: BatchLimits) -> list[str]:
        """What the engine may do that was not measured, as warnings."""
        asked = {"tokens": limits.max_num_batched_tokens, "sequences": limits.max_num_seqs}
        return [
            f"profile {self.name} was measured with up to {self.ranges[name][1]:g} {name} in a step; "
            f"the engine allows {value}"
            for name, value in asked.items()
            if value > self.ranges[name][1]
        ]


def read_profile(file: str | Path) -> Profile:
    """Read a profile.

    Raises
    ------
    InputError : no such file, another format, or an entry that is missing or makes no sense
    """
    value = input_format(file, FORMAT)
    found = checked(ProfileFile, value, file)
    if found.lacking:
        raise InputError(*(Problem("is missing", str(file), path=name) for name in found.lacking))
    return _profile(found, value)


def _profile(file: ProfileFile, value: dict[str, Any]) -> Profile:
    coefficients = StepCoefficients(
        np.array([file.coefficients.get(name, 0.0) for name in (*COEFFICIENTS, *LAUNCHES)]),
        np.array(file.correction.tokens, np.float64),
        np.array(file.correction.ratio, np.float64),
        np.array(file.capture_sizes, np.int64),
    )
    return Profile(
        file.name,
        file.gpu,
        file.engine.tp,
        file.engine.pp,
        file.engine.dtype,
        file.model,
        coefficients,
        file.ranges,
        file.errors.held_out,
        file.between_steps_s,
        file.between_sequence_s,
        file.request_overhead_s,
        file.expected_error,
        value,
    )


def check_profile(profile: Profile, arch: Architecture, gpu: str, tp: int, pp: int, dtype: str) -> None:
    """Refuse a profile of another model, GPU, layout or format.

    Raises
    ------
    InputError : naming every difference
    """
    asked = {"gpu": gpu, "tp": tp, "pp": pp, "dtype": dtype}
    differences = [
        f"{name} is {getattr(profile, name) or 'not a GPU of the catalog'}, here {value}"
        for name, value in asked.items()
        if getattr(profile, name) != value
    ]
    for key, attribute in _SHAPE.items():
        own, other = profile.model.get(key), getattr(arch, attribute)
        if own is not None and own != other:
            differences.append(f"{key} of its model is {own}, of {arch.name} {other}")
    if differences:
        raise InputError(
            Problem(
                f"this profile was measured on something else: {'; '.join(differences)}. Fit one for this engine, or "
                "leave the profile out",
                path="engine.profile",
                got=profile.name,
            )
        )
