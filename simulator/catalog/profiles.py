"""Profile files `servecast-profile/1`: a step-time model measured on one engine, its errors and its sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError, Problem
from simulator.perf.architecture import Architecture
from simulator.perf.device import BatchLimits
from simulator.perf.profile import COEFFICIENTS, StepCoefficients, profile_step_time
from simulator.perf.steptime import ExpectedError, StepTime
from simulator.results.files import read_format

FORMAT = "servecast-profile/1"
_SHAPE = {
    "hidden_size": "hidden_size",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "num_key_value_heads": "kv_heads",
    "vocab_size": "vocab_size",
}
"""Keys of a Hugging Face configuration that tell models apart, and what `Architecture` calls them."""


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
    errors: Mapping[str, Mapping[str, float]]
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
    value = read_format(file, FORMAT)
    try:
        return _profile(value)
    except KeyError as error:
        raise InputError(Problem("is missing", str(file), path=str(error.args[0]))) from error
    except (TypeError, ValueError) as error:
        raise InputError(Problem(f"is no valid profile: {error}", str(file))) from error


def _profile(value: dict[str, Any]) -> Profile:
    numbers = [float(value["coefficients"][name]) for name in COEFFICIENTS]
    knots = value["correction"]
    coefficients = StepCoefficients(
        np.array(numbers),
        np.array(knots["tokens"], np.float64),
        np.array(knots["ratio"], np.float64),
        np.array(value["capture_sizes"], np.int64),
    )
    if not (np.isfinite(numbers).all() and min(numbers) >= 0 and coefficients["sharpness"] >= 1):
        raise ValueError("coefficients must be finite and at least 0, sharpness at least 1")
    if len(coefficients.knots_tokens) != len(coefficients.knot_ratios) or (coefficients.knot_ratios <= 0).any():
        raise ValueError("correction must have a positive ratio for each token count")
    expected = value.get("expected_error")
    return Profile(
        str(value["name"]),
        value["gpu"],
        int(value["engine"]["tp"]),
        int(value["engine"]["pp"]),
        str(value["engine"]["dtype"]),
        value["model"],
        coefficients,
        {name: (float(low), float(high)) for name, (low, high) in value["ranges"].items()},
        value["errors"]["held_out"],
        float(value["between_steps_s"]),
        float(value["between_sequence_s"]),
        float(value["request_overhead_s"]),
        ExpectedError(**expected) if expected else None,
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
        if own is not None and int(own) != int(other):
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
