"""Dataclasses of arrays as pytrees.

``jax.tree_util.register_dataclass`` would do, but structures of its classes compare equal whatever
their class (jaxlib 0.10 and 0.11), if only they have as many fields: where the hashes of two happen
to meet in a table, ``jit`` runs the program that it compiled for the one on the other. (States and
parameters of environments are ``flax.struct`` ones, as gymnax has them, and share that; the
environment itself, which is static beside them, tells their programs apart.)
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import jax

_T = TypeVar("_T")


def pytree(*, static: Sequence[str] = ()) -> Callable[[type[_T]], type[_T]]:
    """Register a dataclass with JAX.

    Args:
        static: Fields that are not data; beside them those whose metadata say ``static``. Their
            values must be hashable.

    Returns:
        A decorator of a dataclass.

    Raises:
        ValueError: (when it decorates) if a field of that name does not exist.

    Example:
        >>> @pytree(static=("name",))
        ... @dataclasses.dataclass(frozen=True)
        ... class Named:
        ...     name: str
        ...     value: float
        >>> jax.tree.map(lambda x: 2 * x, Named("one", 1.0))
        Named(name='one', value=2.0)
    """

    def decorate(cls: type[_T]) -> type[_T]:
        described: Any = cls
        fields = dataclasses.fields(described)
        unknown = sorted(set(static) - {field.name for field in fields})
        if unknown:
            raise ValueError(f"static has {unknown}; allowed: fields of {cls.__name__}")
        fixed = {field.name for field in fields if field.metadata.get("static")} | set(static)
        names = [field.name for field in fields]
        register(
            cls,
            tuple(name for name in names if name not in fixed),
            tuple(name for name in names if name in fixed),
        )
        return cls

    return decorate


def register(cls: type, data: tuple[str, ...], static: tuple[str, ...]) -> None:
    """Register a class; unflattening skips its checks, for JAX rebuilds with any leaves.

    Args:
        cls: A class whose state is these attributes.
        data: Those that are data.
        static: The others.
    """

    def flatten_with_keys(self: Any) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        children = [(jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in data]
        return children, tuple(getattr(self, name) for name in static)

    def flatten(self: Any) -> tuple[list[Any], tuple[Any, ...]]:
        return [getattr(self, name) for name in data], tuple(getattr(self, n) for n in static)

    def unflatten(values: tuple[Any, ...], children: Iterable[Any]) -> Any:
        self: Any = object.__new__(cls)
        for name, value in zip((*data, *static), (*children, *values), strict=True):
            object.__setattr__(self, name, value)
        return self

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
