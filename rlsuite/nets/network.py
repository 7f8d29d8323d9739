"""The pair ``(init, apply)`` that every algorithm takes, and the plainest networks.

The built-in networks are Flax Linen modules; anything else that offers the two functions serves
as well, so Equinox, Haiku or hand-written parameters need no base class.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

if TYPE_CHECKING:
    import flax.linen
    import flax.nnx

Params = Any


class Network(NamedTuple):
    """A network as two pure functions.

    Attributes:
        init: ``(key, inputs) -> params``; only the inputs' shape and type matter.
        apply: ``(params, inputs) -> outputs``.
    """

    init: Callable[[PRNGKeyArray, Any], Params]
    apply: Callable[[Params, Any], Any]


def from_linen(module: "flax.linen.Module") -> Network:
    """A Flax Linen module as a pair.

    Args:
        module: A module without mutable collections.

    Returns:
        Its ``init`` and ``apply``.
    """
    return Network(module.init, module.apply)


def from_nnx(build: Callable[["flax.nnx.Rngs"], "flax.nnx.Module"]) -> Network:
    """A Flax NNX module as a pair.

    Args:
        build: Makes the module from ``nnx.Rngs``; its structure must not depend on the key.

    Returns:
        A pair whose parameters are the module's ``nnx.State``.

    Example:
        >>> from flax import nnx
        >>> network = from_nnx(lambda rngs: nnx.Linear(3, 2, rngs=rngs))
        >>> params = network.init(jax.random.key(0), jnp.zeros((5, 3)))
        >>> network.apply(params, jnp.zeros((5, 3))).shape
        (5, 2)
    """
    from flax import nnx

    def init(key: PRNGKeyArray, inputs: Any) -> Params:
        del inputs
        return nnx.split(build(nnx.Rngs(key)))[1]

    def apply(params: Params, inputs: Any) -> Any:
        structure = nnx.graphdef(nnx.eval_shape(lambda: build(nnx.Rngs(0))))
        return nnx.merge(structure, params)(inputs)

    return Network(init, apply)


def linear(size: int | None = None) -> Network:
    """Linear outputs x W without a bias; W starts at zero, as convex problems allow.

    Args:
        size: The number of outputs; None for one output without an axis.

    Returns:
        The network.

    Example:
        >>> network = linear()
        >>> network.apply(jnp.asarray([1.0, 2.0]), jnp.asarray([[3.0, 4.0]])).tolist()
        [11.0]
    """

    def init(key: PRNGKeyArray, inputs: Float[Array, "*batch feature"]) -> Params:
        del key
        shape = inputs.shape[-1:] if size is None else (inputs.shape[-1], size)
        return jnp.zeros(shape, inputs.dtype)

    return Network(init, lambda params, inputs: inputs @ params)


def dense(key: PRNGKeyArray, inputs: int, outputs: int) -> Params:
    """The parameters of x W + b as Flax begins with them: W of variance 1/inputs, b = 0.

    Args:
        key: Key.
        inputs: How many there are.
        outputs: How many there are.

    Returns:
        "kernel" and "bias".
    """
    kernel = jax.nn.initializers.lecun_normal()(key, (inputs, outputs))
    return {"kernel": kernel, "bias": jnp.zeros(outputs)}


def mlp(
    hidden_sizes: Sequence[int],
    size: int | None = None,
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
    initializer: Literal["lecun_normal", "uniform_fan_in"] = "lecun_normal",
) -> Network:
    """A multi-layer perceptron: x ↦ W_L σ(… σ(W_1 x + b_1) …) + b_L.

    Args:
        hidden_sizes: The widths of the hidden layers, each at least 1.
        size: The number of outputs; None for one output without an axis.
        activation: σ.
        initializer: "lecun_normal", W with variance 1/(inputs of the layer) and b = 0, which is
            Flax's own; or "uniform_fan_in", W and b uniform within ±1/√(inputs), PyTorch's.

    Returns:
        The network.

    Raises:
        ValueError: If a width is below 1, or the initializer is unknown.

    Example:
        >>> network = mlp((512, 256, 128))
        >>> params = network.init(jax.random.key(0), jnp.zeros((1, 100)))
        >>> sum(leaf.size for leaf in jax.tree.leaves(params))
        216065
    """
    if any(width < 1 for width in hidden_sizes):
        raise ValueError(f"hidden_sizes is {tuple(hidden_sizes)}; allowed: widths of at least 1")
    if initializer not in ("lecun_normal", "uniform_fan_in"):
        raise ValueError(
            f"initializer is {initializer!r}; allowed: 'lecun_normal', 'uniform_fan_in'"
        )
    from flax import linen

    layers: list[Any] = []
    for width in hidden_sizes:
        layers += [linen.Dense(width), activation]
    module = linen.Sequential([*layers, linen.Dense(1 if size is None else size)])

    def init(key: PRNGKeyArray, inputs: Any) -> Params:
        params = module.init(key, inputs)
        return params if initializer == "lecun_normal" else _uniform_fan_in(key, params)

    def apply(params: Params, inputs: Any) -> Any:
        outputs: Any = module.apply(params, inputs)
        return outputs[..., 0] if size is None else outputs

    return Network(init, apply)


def _uniform_fan_in(key: PRNGKeyArray, params: Params) -> Params:
    """Every layer's kernel and bias drawn uniformly within ±1/√(inputs of the layer)."""
    layers: dict[str, Any] = params["params"]
    drawn: dict[str, Any] = {}
    for i, (name, layer) in enumerate(layers.items()):
        bound = layer["kernel"].shape[0] ** -0.5
        drawn[name] = {
            part: jax.random.uniform(
                jax.random.fold_in(key, 2 * i + j), leaf.shape, leaf.dtype, -bound, bound
            )
            for j, (part, leaf) in enumerate(layer.items())
        }
    return {"params": drawn}
