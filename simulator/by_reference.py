"""Tuples of arrays that kernels pass on as one pointer.

Numba passes a NamedTuple by value, an array of it as seven words: a call of a kernel passed three hundred, and each of
them was an instruction to build, print, parse and optimise at every call and at the top of every kernel. Here the tuple
is laid out once, where Python calls an entry; kernels get its address and read what they need.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import hashlib
from typing import Any, TypeVar

from numba.core import cgutils, lowering, types
from numba.core.datamodel import models
from numba.core.imputils import impl_ret_borrowed, lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import NativeValue, register_model, typeof_impl, unbox

_Class = TypeVar("_Class", bound=type)


class Reference(types.NamedTuple):  # type: ignore[misc]
    """The address of a NamedTuple whose arrays stay while a kernel runs. Its name, which symbols hold, is a hash."""

    def __init__(self, members: tuple[Any, ...], cls: type) -> None:
        super().__init__(members, cls)
        self.whole = types.NamedTuple(members, cls)
        self.name = f"{cls.__name__}_{hashlib.sha256(self.name.encode()).hexdigest()[:32]}"

    @property
    def key(self) -> tuple[type, str]:
        """What tells it from others: hashed and compared at every step of type inference."""
        return self.instance_class, self.name


def by_reference(cls: _Class) -> _Class:
    """Have kernels pass this NamedTuple, and those in it, as a pointer."""

    @typeof_impl.register(cls)  # type: ignore[untyped-decorator]
    def kind(value: Any, context: Any) -> Reference:
        return Reference(tuple(typeof_impl(member, context) for member in value), cls)

    return cls


@register_model(Reference)
class _Address(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Reference) -> None:
        super().__init__(manager, kind, manager.lookup(kind.whole).get_value_type().as_pointer())


@unbox(Reference)
def _laid_out(kind: Reference, value: Any, c: Any) -> NativeValue:
    whole = c.unbox(kind.whole, value)
    return NativeValue(cgutils.alloca_once_value(c.builder, whole.value), whole.is_error, whole.cleanup)


@infer_getattr
class _Members(AttributeTemplate):  # type: ignore[misc]
    key = Reference

    def generic_resolve(self, kind: Reference, name: str) -> Any:  # type: ignore[override]
        if name not in kind.fields:
            return None
        found = kind.types[kind.fields.index(name)]
        return Reference(found.types, found.instance_class) if isinstance(found, types.NamedTuple) else found


@lower_getattr_generic(Reference)
def _member(context: Any, builder: Any, kind: Reference, address: Any, name: str) -> Any:
    at = kind.fields.index(name)
    place = cgutils.gep_inbounds(builder, address, 0, at)
    if isinstance(kind.types[at], types.NamedTuple):
        return place
    return impl_ret_borrowed(context, builder, kind.types[at], builder.load(place))


class ReferringLower(lowering.Lower):  # type: ignore[misc]
    """Lowering that tells LLVM that kernels write nothing of the tuples: what it has read of them it may keep."""

    def setup_function(self, fndesc: Any) -> None:
        super().setup_function(fndesc)
        addresses = {self.context.get_value_type(kind) for kind in fndesc.argtypes if isinstance(kind, Reference)}
        for argument in self.call_conv.get_arguments(self.function):
            if argument.type in addresses:
                for fact in ("noalias", "captures(none)"):
                    argument.add_attribute(fact)
