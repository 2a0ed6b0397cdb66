"""What vLLM starts and a run does not simulate: said by the plan of the memory, refused by the run."""

from __future__ import annotations

from simulator.catalog.gpus import gpu
from simulator.catalog.precisions import layout
from simulator.errors import InputError
from simulator.perf.device import not_computed
from simulator.resolve.memory import Answer, weights_of
from simulator.resolve.memory_question import Question


def not_in_step_time(answer: Answer) -> list[str]:
    """Parts of the model that the step-time model does not know, and weights that a run refuses."""
    refused = refused_weights(answer.question)
    return [*answer.shape.unmodelled, *([refused] if refused else [])]


def refused_weights(question: Question) -> str:
    """Why a run refuses the weights, as the GPU does not compute in them; empty where it takes them.

    Of a GPU from a file the peaks are not known here.
    """
    if question.gpu.endswith((".yaml", ".yml")):
        return ""
    try:
        words = not_computed(gpu(question.gpu).device, layout(weights_of(question)).weights)
    except InputError as error:
        return f"servecast run refuses these weights: {'; '.join(problem.message for problem in error.problems)}"
    return f"vLLM decodes these weights to 16 bit, servecast run refuses them: {words}" if words else ""
