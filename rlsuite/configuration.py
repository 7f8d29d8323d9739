"""Configs: frozen dataclasses whose floats JAX traces and whose other fields are static.

A float field is data: a grid over it is a ``vmap`` and a gradient through it is a ``grad``, with
no second compilation. Every other field (int, bool, str, tuple, ``Literal``) shapes the program
and is compared when JAX looks for a compiled one. Values are checked when a config is built from
Python; inside a transformation, where values are tracers, nothing is.
"""

import copy
import dataclasses
import itertools
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.ops.pytrees import register

_T = TypeVar("_T")
_CONFIG = "__rlsuite_config__"
_CHECKS = "__rlsuite_checks__"


@dataclasses.dataclass(frozen=True)
class _Bounds:
    """What a number may be; ``None`` leaves a side open."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def admit(self, values: np.ndarray) -> bool:
        """Whether every value is finite and within the bounds."""
        return bool(
            np.all(np.isfinite(values))
            and (self.above is None or np.all(values > self.above))
            and (self.at_least is None or np.all(values >= self.at_least))
            and (self.below is None or np.all(values < self.below))
            and (self.at_most is None or np.all(values <= self.at_most))
        )

    def __str__(self) -> str:
        parts = [
            f"{words} {bound:g}"
            for words, bound in (
                ("above", self.above),
                ("at least", self.at_least),
                ("below", self.below),
                ("at most", self.at_most),
            )
            if bound is not None
        ]
        return " " + " and ".join(parts) if parts else ""


def setting(
    default: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> Any:
    """A config field with a default and the range its value (or each of its values) must lie in.

    Args:
        default: The value where none is given.
        above: The value must be greater than this.
        at_least: The value must not be less than this.
        below: The value must be less than this.
        at_most: The value must not be greater than this.

    Returns:
        A dataclass field.

    Example:
        >>> @config
        ... class Config:
        ...     discount: float = setting(default=0.99, at_least=0, below=1)
        >>> Config(discount=1.5)
        Traceback (most recent call last):
        ...
        ValueError: config field 'discount' is 1.5; allowed: a number at least 0 and below 1
    """
    bounds = _Bounds(above, at_least, below, at_most)
    return dataclasses.field(default=default, metadata={"bounds": bounds})


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the hint alone."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def is_config(value: Any) -> bool:
    """Whether ``value`` is a config, or the class of one."""
    return hasattr(value, _CONFIG)


def _is_data(hint: Any) -> bool:
    return any(option is float or is_config(option) for option in _alternatives(hint))


def _is_number(value: Any) -> bool:
    if isinstance(value, bool | np.bool_):
        return False
    if isinstance(value, int | float | np.number):
        return True
    return isinstance(value, np.ndarray | jax.Array) and jnp.issubdtype(value.dtype, jnp.number)


def _check_option(option: Any, value: Any, bounds: _Bounds) -> str | None:
    """What ``option`` allows if ``value`` is not it; None if it is."""
    if option is type(None):
        return None if value is None else "None"
    if option is float:
        good = _is_number(value) and bounds.admit(np.asarray(value))
        return None if good else f"a number{bounds}"
    if option is bool:
        return None if isinstance(value, bool) else "True or False"
    if option is int:
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        return None if whole and bounds.admit(np.asarray(value)) else f"a whole number{bounds}"
    if typing.get_origin(option) is typing.Literal:
        choices = typing.get_args(option)
        return None if value in choices else " or ".join(map(repr, choices))
    if typing.get_origin(option) is tuple:
        (element, *_) = typing.get_args(option)
        inner = [_check_option(element, v, bounds) for v in value] if type(value) is tuple else [""]
        return (
            f"a tuple of {getattr(element, '__name__', element)}s{bounds}"
            if any(complaint is not None for complaint in inner)
            else None
        )
    if isinstance(option, type):
        return None if isinstance(value, option) else f"a {option.__name__}"
    return None


def _check_field(name: str, hint: Any, value: Any, bounds: _Bounds) -> None:
    if isinstance(value, jax.core.Tracer):
        return
    complaints = [_check_option(option, value, bounds) for option in _alternatives(hint)]
    if None not in complaints:
        allowed = " or ".join(complaint for complaint in complaints if complaint)
        raise ValueError(f"config field {name!r} is {value!r}; allowed: {allowed}")


@typing.dataclass_transform(frozen_default=True, field_specifiers=(setting, dataclasses.field))
def config(cls: type[_T]) -> type[_T]:
    """Make a class a config: a frozen dataclass, checked, and a pytree of its float fields.

    Fields annotated ``float``, ``float | None`` or with another config are data; all others are
    static and must be hashable. A ``__post_init__`` of the class's own, for conditions between
    fields, runs after the checks of the single fields and after those of configs it inherits from.

    Args:
        cls: A class whose body lists annotated fields with defaults.

    Returns:
        The class, made a frozen dataclass and registered with JAX.

    Raises:
        ValueError: (when the config is built) naming the field, its value and what is allowed.

    Example:
        >>> @config
        ... class Config:
        ...     learning_rate: float = setting(default=1e-3, above=0)
        ...     hidden_sizes: tuple[int, ...] = setting(default=(64, 64), at_least=1)
        >>> jax.tree.leaves(Config())
        [0.001]
    """
    own_check = cls.__dict__.get("__post_init__")
    checks = (*getattr(cls, _CHECKS, ()), *([own_check] if own_check else []))

    def check(self: Any) -> None:
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(self):
            bounds = field.metadata.get("bounds", _Bounds())
            _check_field(field.name, hints[field.name], getattr(self, field.name), bounds)
        for between_fields in checks:
            between_fields(self)

    cls.__post_init__ = check  # type: ignore[attr-defined]
    setattr(cls, _CHECKS, checks)
    made = dataclasses.dataclass(frozen=True)(cls)
    setattr(made, _CONFIG, True)
    hints = typing.get_type_hints(made)
    names = [field.name for field in dataclasses.fields(made)]  # type: ignore[arg-type]
    data = tuple(name for name in names if _is_data(hints[name]))
    static = tuple(name for name in names if name not in data)
    register(made, data, static)
    return made


def grid(base: _T, **values: Sequence[float]) -> _T:
    """Stack a config over the Cartesian product of values of some of its float fields.

    Args:
        base: The config that gives every other field.
        **values: For each field named, the values it takes. The last varies fastest.

    Returns:
        A config whose named fields are arrays of shape ``[product of the lengths]``; ``run``
        trains all of them in one program.

    Raises:
        ValueError: If a field does not exist, is not a float, or is given no values.

    Example:
        >>> @config
        ... class Config:
        ...     learning_rate: float = 1e-3
        ...     l2: float = 0.0
        >>> grid(Config(), learning_rate=[0.1, 0.01], l2=[0.0, 1.0]).l2
        array([0., 1., 0., 1.])
    """
    _check_floats(base, values)
    for name, choices in values.items():
        if len(choices) == 0:
            raise ValueError(f"grid field {name!r} has no values; give at least one")
    product = np.asarray(list(itertools.product(*values.values())), dtype=float)
    stacked = copy.copy(base)
    for i, name in enumerate(values):
        object.__setattr__(stacked, name, product[:, i])
    stacked.__post_init__()  # type: ignore[attr-defined]
    return stacked


def substitute(base: _T, **values: Any) -> _T:
    """A config with other numbers in some of its float fields, which may be traced.

    Args:
        base: The config that gives every other field.
        **values: For each field named, its number.

    Returns:
        The config; numbers that are traced are not checked.

    Raises:
        ValueError: If a field does not exist, is not a float, or is given a number that it may not
            have.

    Example:
        >>> @config
        ... class Config:
        ...     rate: float = setting(default=1.0, at_least=0)
        >>> jax.vmap(lambda x: 2 * substitute(Config(), rate=x).rate)(jnp.arange(3.0)).tolist()
        [0.0, 2.0, 4.0]
    """
    _check_floats(base, values)
    changed = copy.copy(base)
    for name, value in values.items():
        object.__setattr__(changed, name, value)
    if not any(isinstance(value, jax.core.Tracer) for value in values.values()):
        changed.__post_init__()  # type: ignore[attr-defined]
    return changed


def _check_floats(base: Any, names: Iterable[str]) -> None:
    hints = typing.get_type_hints(type(base))
    for name in names:
        if name not in hints or float not in _alternatives(hints[name]):
            floats = [field for field, hint in hints.items() if float in _alternatives(hint)]
            raise ValueError(f"grid field {name!r} is not a float field; allowed: {floats}")


def stacked_size(config: Any) -> int | None:
    """How many configs a stacked config holds; None for a single one.

    Args:
        config: A config; each float leaf is a scalar or an array ``[n]``.

    Returns:
        n, or None if every leaf is a scalar.

    Raises:
        ValueError: If leaves are neither scalars nor vectors of one length.
    """
    shapes = {
        jax.tree_util.keystr(path, simple=True): np.shape(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(config)
    }
    stacked = {name: shape for name, shape in shapes.items() if shape != ()}
    if not stacked:
        return None
    if len(set(stacked.values())) > 1 or any(len(shape) != 1 for shape in stacked.values()):
        raise ValueError(f"config fields have shapes {stacked}; allowed: scalars or one shape [n]")
    return next(iter(stacked.values()))[0]


def to_json(config: Any) -> dict[str, Any]:
    """A config as JSON values.

    Args:
        config: A config.

    Returns:
        Field names to values; configs within become objects, tuples and arrays lists.
    """

    def plain(value: Any) -> Any:
        if is_config(value):
            return to_json(value)
        if isinstance(value, tuple):
            return list(value)
        if isinstance(value, np.ndarray | np.number | jax.Array):
            return np.asarray(value).tolist()
        return value

    return {field.name: plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_json(cls: type[_T], values: dict[str, Any]) -> _T:
    """A config from what :func:`to_json` made of it.

    Args:
        cls: The config's class.
        values: Field names to values; fields left out keep their defaults.

    Returns:
        The config.

    Raises:
        ValueError: If a field does not exist, or its value is not allowed.

    Example:
        >>> @config
        ... class Config:
        ...     learning_rate: float = 1e-3
        ...     hidden_sizes: tuple[int, ...] = (64, 64)
        >>> from_json(Config, {"hidden_sizes": [32]}).hidden_sizes
        (32,)
    """
    hints = typing.get_type_hints(cls)
    unknown = set(values) - set(hints)
    if unknown:
        raise ValueError(f"config fields {sorted(unknown)} do not exist; allowed: {list(hints)}")

    def restored(name: str, value: Any) -> Any:
        for option in _alternatives(hints[name]):
            if is_config(option) and isinstance(value, dict):
                return from_json(option, value)
            if typing.get_origin(option) is tuple and isinstance(value, list):
                return tuple(value)
        return value

    return cls(**{name: restored(name, value) for name, value in values.items()})
