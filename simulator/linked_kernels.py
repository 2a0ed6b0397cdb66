"""Kernels that only kernels call: lowered, and optimised with the entry that they are linked into.

Numba optimises every function with all that it calls and makes machine code of it, at each level of a call graph again.
Of what is called from compiled code alone that is thrown away, and it is more than half of the time to compile. LLVM
inlines from the leaves up, so the entry's code is no slower for it.
"""

from __future__ import annotations

import ctypes
from typing import Any

from numba import _dynfunc  # type: ignore[attr-defined]
from numba.core import codegen, compiler
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.typed_passes import NativeLowering

from simulator.by_reference import ReferringLower

_REFUSED = ctypes.cast(ctypes.pythonapi.PyErr_BadArgument, ctypes.c_void_p).value
"""Address of what a call from Python runs: it raises a TypeError."""


class LinkedLibrary(codegen.JITCodeLibrary):  # type: ignore[misc]
    """Code of a function as it was lowered, for others to link in."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class EntryLowering(NativeLowering):  # type: ignore[misc]
    """Lowering of what Python calls."""

    _name = "entry_lowering"
    lowering_class = ReferringLower


@register_pass(mutates_CFG=True, analysis_only=False)
class LinkedLowering(EntryLowering):
    """Lowering into a `LinkedLibrary`, without machine code."""

    _name = "linked_lowering"

    def run_pass(self, state: Any) -> bool:
        state.library = LinkedLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state["cr"]
        described = lowered.fndesc
        called = _dynfunc.make_function(
            described.lookup_module(),
            described.qualname,
            "called by kernels alone",
            _REFUSED,
            lowered.env,
            state.library,
        )
        state.targetctx.insert_user_function(called, described, [state.library])
        state.reload_init.extend(state.library._reload_init)
        state["cr"] = lowered._replace(cfunc=called)
        return True


class EntryCompiler(compiler.CompilerBase):  # type: ignore[misc]
    """Numba's nopython pipeline, but for its lowering."""

    _lowering: type[EntryLowering] = EntryLowering

    def define_pipelines(self) -> list[PassManager]:
        passes = PassManager("linked")
        for step, text in compiler.DefaultPassBuilder.define_nopython_pipeline(self.state).passes:
            passes.add_pass(self._lowering if step is NativeLowering else step, text)
        passes.finalize()
        return [passes]


class LinkedCompiler(EntryCompiler):
    """As `EntryCompiler`, for what kernels call."""

    _lowering = LinkedLowering
