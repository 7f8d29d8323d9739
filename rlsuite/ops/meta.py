r"""Learning to adapt: inner loops, and gradients through them.

A task's parameters come from the meta-parameters θ by an inner loop of K steps of any optax
optimiser on the support loss; the outer loop lowers the query loss of where that ends:

    θ'(θ) = U_K(… U_1(θ)),    U_k(φ) = φ + ρ ⊙ u_k(∇L_support(φ)),    minimise L_query(θ'(θ)).

One call, :func:`meta_gradient`, gives the gradient of one task by

* ``"maml"``: ∇_θ L_query(θ'(θ)), differentiated through all steps and the optimiser's state
  (Finn et al. 2017, eq. 1). With ``rates`` ρ learned beside θ it is Meta-SGD (Li et al. 2017,
  eq. 3).
* ``"first-order"``: ∇L_query at θ', as if dθ'/dθ were the identity (Finn et al. 2017, sec. 5.2).
* ``"reptile"``: θ − θ', so that an outer step of SGD at rate ε is θ ← θ + ε (θ' − θ)
  (Nichol et al. 2018, algorithm 1).
* ``"implicit"``: for θ' = argmin_φ L_support(φ) + λ/2 ‖φ − θ‖², which the inner loop is to find,
  (I + ∇²L_support(θ')/λ)⁻¹ ∇L_query(θ') by conjugate gradients, whatever the path to θ'
  (Rajeswaran et al. 2019, lemma 1).

A mask of the leaves that adapt, the others being frozen in the inner loop, makes ANIL of each of
them (Raghu et al. 2020).

The memory of ``"maml"`` grows like √K: the steps are cut into √K segments, whose insides are
computed again on the way back. That of the other methods does not grow.

References:
    Finn, Abbeel, Levine: Model-agnostic meta-learning for fast adaptation of deep networks. ICML
    2017, arXiv:1703.03400.
    Li, Zhou, Chen, Li: Meta-SGD. 2017, arXiv:1707.09835.
    Nichol, Achiam, Schulman: On first-order meta-learning algorithms. 2018, arXiv:1803.02999.
    Rajeswaran, Finn, Kakade, Levine: Meta-learning with implicit gradients. NeurIPS 2019,
    arXiv:1909.04630.
    Raghu, Raghu, Bengio, Vinyals: Rapid learning or feature reuse? ICLR 2020, arXiv:1909.09157.
"""

import functools
import math
import numbers
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int, PRNGKeyArray

Params = Any
Loss = Callable[..., Float[Array, ""]]
"""``(params, data) -> loss``; ``(params, data, key) -> loss`` where a key is given."""

Method = Literal["maml", "first-order", "reptile", "implicit"]

# So few steps are written out: that is about a fifth faster than a scan on CPU, and tasks starting
# from the same θ share what their first step computes of it alone.
_UNROLLED = 8


class Adapted(NamedTuple):
    """What an inner loop leaves.

    Attributes:
        params: θ'.
        optimizer: The optimiser's state after the last step.
        losses: The support loss before each step, ``[step]``.
        monitored: What the monitor saw before each step and after the last, leaves
            ``[step + 1, ...]``; None without one.
    """

    params: Params
    optimizer: Any
    losses: Float[Array, " step"]
    monitored: Any


class MetaGradient(NamedTuple):
    """The outer loss of one task and its gradient.

    Attributes:
        loss: The query loss after adaptation.
        gradient: With respect to θ, or what the method puts in its place.
        rates: The gradient with respect to the rates; None without rates.
        adapted: The inner loop's result.
    """

    loss: Float[Array, ""]
    gradient: Params
    rates: Params
    adapted: Adapted


def adapt(
    loss: Loss,
    params: Params,
    data: Any,
    *,
    optimizer: optax.GradientTransformation,
    num_steps: int,
    mask: Any = True,
    rates: Params = None,
    proximity: float | Float[Array, ""] = 0.0,
    key: PRNGKeyArray | None = None,
    monitor: Callable[[Params], Any] | None = None,
) -> Adapted:
    r"""The inner loop: φ ← φ + ρ ⊙ u(∇L(φ) + λ (φ − θ)), from φ = θ.

    Differentiable with memory that grows like the square root of the number of steps. An
    optimiser that divides by the root of a mean square, like Adam, has an infinite second
    derivative at a gradient of zero: give it an ``eps_root`` to differentiate through it.

    Args:
        loss: L; ``(params, data) -> scalar``, or ``(params, data, key) -> scalar`` with a key.
        params: θ, any pytree.
        data: Handed to the loss: the task's support set.
        optimizer: u; its state starts anew and adapts along.
        num_steps: How many steps, at least 0. Static.
        mask: Which leaves adapt: a pytree of Booleans like ``params``, or a prefix of it. The
            optimiser sees the others as None.
        rates: ρ, like ``params``, which multiplies the optimiser's updates; None is 1.
        proximity: λ, the weight of ‖φ − θ‖²/2 in what is minimised.
        key: For stochastic losses: step k is given ``fold_in(key, k)``. None for others.
        monitor: ``params -> anything``, called before each step and after the last.

    Returns:
        θ' and what was seen on the way there.

    Raises:
        ValueError: If ``num_steps`` is no whole number, or it or ``proximity`` is negative.

    Example:
        >>> quadratic = lambda x, target: (x - target) ** 2 / 2
        >>> end = adapt(quadratic, 0.0, 1.0, optimizer=optax.sgd(0.5), num_steps=2)
        >>> float(end.params), end.losses.tolist()
        (0.75, [0.5, 0.125])
    """
    _check_count("num_steps", num_steps, 0)
    if not isinstance(proximity, jax.core.Tracer) and not proximity >= 0:
        raise ValueError(f"proximity is {proximity}; allowed: a number from 0")
    params = jax.tree.map(jnp.asarray, params)
    mask = jax.tree.broadcast(mask, params)
    active, frozen = _part(params, mask)
    pulled = isinstance(proximity, jax.Array) or proximity != 0
    active_rates = None if rates is None else _part(rates, mask)[0]

    def whole(part: Params) -> Params:
        return _join(part, frozen)

    def step(carry: Any, index: int | Int[Array, ""]) -> tuple[Any, Any]:
        current, state = carry
        value, gradient = jax.value_and_grad(
            lambda part: loss(whole(part), data, *_keys(key, index))
        )(current)
        if pulled:
            gradient = jax.tree.map(
                lambda g, x, x0: g + proximity * (x - x0), gradient, current, active
            )
        updates, state = optimizer.update(gradient, state, current)
        if active_rates is not None:
            updates = jax.tree.map(jnp.multiply, active_rates, updates)
        seen = None if monitor is None else monitor(whole(current))
        return (optax.apply_updates(current, updates), state), (value, seen)

    (end, state), (losses, seen) = _segmented_scan(
        step, (active, optimizer.init(active)), num_steps
    )
    if monitor is not None:
        last = monitor(whole(end))
        seen = jax.tree.map(lambda xs, x: jnp.concatenate([xs, jnp.expand_dims(x, 0)]), seen, last)
    return Adapted(whole(end), state, losses, seen)


def meta_gradient(
    loss: Loss,
    params: Params,
    support: Any,
    query: Any,
    *,
    optimizer: optax.GradientTransformation,
    num_steps: int,
    method: Method = "maml",
    query_loss: Loss | None = None,
    mask: Any = True,
    rates: Params = None,
    proximity: float | Float[Array, ""] = 1.0,
    cg_steps: int = 20,
    cg_tolerance: float = 1e-10,
    key: PRNGKeyArray | None = None,
) -> MetaGradient:
    r"""The gradient of one task's query loss after adaptation; see the module for the methods.

    For several tasks, ``jax.vmap`` it, or :func:`mean_over_tasks`.

    With a mask and ``"implicit"``, the leaves that do not adapt also move the minimum: with P the
    projection on those that do, H = ∇²L_support(θ'), g = ∇L_query(θ') and v the solution of
    (P H P + λ) v = P g, the gradient is λ v + (I − P)(g − H v).

    Args:
        loss: The support loss, as for :func:`adapt`.
        params: θ.
        support: The data of the inner loop.
        query: The data of the outer loss.
        optimizer: The inner optimiser.
        num_steps: K.
        method: "maml", "first-order", "reptile" or "implicit".
        query_loss: The outer loss; None for the support loss.
        mask: Which leaves adapt, as for :func:`adapt`.
        rates: ρ of Meta-SGD, like ``params``; only with the method "maml".
        proximity: λ, of the method "implicit" alone. The support loss must have no curvature
            below −λ at θ'.
        cg_steps: The most steps of conjugate gradients.
        cg_tolerance: At which residual, relative to g, they stop earlier.
        key: For stochastic losses; the query loss is given ``fold_in(key, num_steps)``.

    Returns:
        The query loss, the gradient, and the adapted parameters.

    Raises:
        ValueError: For an unknown method, rates with another method than "maml", or a number out
            of range.

    Example:
        >>> quadratic = lambda x, target: (x - target) ** 2 / 2
        >>> task = dict(support=1.0, query=1.0, optimizer=optax.sgd(0.5), num_steps=2)
        >>> [float(meta_gradient(quadratic, 0.0, **task, method=method).gradient)
        ...  for method in ("maml", "first-order", "reptile", "implicit")]
        [-0.0625, -0.25, -0.75, -0.25]
    """
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}; allowed: {', '.join(get_args(Method))}")
    if rates is not None and method != "maml":
        raise ValueError(f"rates are given with the method {method!r}; allowed: 'maml'")
    _check_count("cg_steps", cg_steps, 1)
    if method == "implicit" and not isinstance(proximity, jax.core.Tracer) and not proximity > 0:
        raise ValueError(f"proximity is {proximity}; allowed: a number above 0")
    params = jax.tree.map(jnp.asarray, params)
    outer = loss if query_loss is None else query_loss
    inner = functools.partial(
        adapt,
        loss,
        data=support,
        optimizer=optimizer,
        num_steps=num_steps,
        mask=mask,
        proximity=proximity if method == "implicit" else 0.0,
        key=key,
    )

    def of_adapted(adapted: Params) -> Float[Array, ""]:
        return outer(adapted, query, *_keys(key, num_steps))

    if method == "maml":
        return _through_the_loop(inner, of_adapted, params, rates)
    adapted = inner(params)
    value, gradient = jax.value_and_grad(of_adapted)(adapted.params)
    if method == "reptile":
        gradient = jax.tree.map(jnp.subtract, params, adapted.params)
    elif method == "implicit":
        slope = jax.grad(lambda at: loss(at, support, *_keys(key, num_steps)))
        gradient = _implicit(
            slope, adapted.params, gradient, mask, proximity, cg_steps, cg_tolerance
        )
    return MetaGradient(value, gradient, None, adapted)


def mean_over_tasks(
    function: Callable[..., Any], params: Params, *tasks: Any, mesh: Mesh | None = None
) -> Any:
    """The mean over tasks of ``function(params, *task)``, mapped in parallel.

    Args:
        function: Of one task; returns a pytree of arrays.
        params: Shared by all tasks.
        *tasks: Pytrees of arrays whose leading axis counts the tasks.
        mesh: Devices to spread the tasks over: each takes an equal share, and the means are
            exchanged. None leaves it to the compiler.

    Returns:
        The means of the function's leaves.

    Raises:
        ValueError: If the tasks are not as many everywhere, or cannot be shared out equally.

    Example:
        >>> mean_over_tasks(lambda x, y: x * y, 2.0, jnp.asarray([1.0, 2.0, 6.0]))
        Array(6., dtype=float32)
    """
    if not all(jnp.ndim(leaf) for leaf in jax.tree.leaves(tasks)):
        raise ValueError("tasks have a leaf without axes; allowed: arrays whose first counts them")
    sizes = {leaf.shape[0] for leaf in jax.tree.leaves(tasks)}
    if len(sizes) != 1:
        raise ValueError(f"tasks have leading axes of {sorted(sizes)}; allowed: one length")

    def mean(params: Params, *tasks: Any) -> Any:
        results = jax.vmap(functools.partial(function, params))(*tasks)
        return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), results)

    if mesh is None:
        return mean(params, *tasks)
    (count,) = sizes
    if count % mesh.size:
        raise ValueError(f"tasks are {count}; allowed over {mesh.size} devices: a multiple of them")
    shared = PartitionSpec(mesh.axis_names)
    return jax.shard_map(
        lambda params, *tasks: jax.lax.pmean(mean(params, *tasks), mesh.axis_names),
        mesh=mesh,
        in_specs=(PartitionSpec(), *(shared for _ in tasks)),
        out_specs=PartitionSpec(),
        check_vma=False,
    )(params, *tasks)


def _through_the_loop(
    inner: Callable[..., Adapted],
    of_adapted: Callable[[Params], Float[Array, ""]],
    params: Params,
    rates: Params,
) -> MetaGradient:
    """∇ L_query(θ'(θ, ρ)), exactly."""

    def of_start(params: Params, rates: Params) -> tuple[Float[Array, ""], Adapted]:
        adapted = inner(params, rates=rates)
        return of_adapted(adapted.params), adapted

    (value, adapted), (gradient, of_rates) = jax.value_and_grad(of_start, (0, 1), has_aux=True)(
        params, rates
    )
    return MetaGradient(value, gradient, of_rates, adapted)


def _implicit(
    slope: Callable[[Params], Params],
    params: Params,
    gradient: Params,
    mask: Any,
    proximity: float | Float[Array, ""],
    cg_steps: int,
    cg_tolerance: float,
) -> Params:
    """λ v on the leaves that adapt and g − H v on the others, v solving (P H P + λ) v = P g."""
    mask = jax.tree.broadcast(mask, params)
    active_gradient, frozen_gradient = _part(gradient, mask)
    still = jax.tree.map(jnp.zeros_like, _part(params, mask)[1])
    _, curvature = jax.linearize(slope, params)

    def damped(v: Params) -> Params:
        bent = _part(curvature(_join(v, still)), mask)[0]
        return jax.tree.map(lambda hv, x: hv + proximity * x, bent, v)

    v, _ = jax.scipy.sparse.linalg.cg(damped, active_gradient, tol=cg_tolerance, maxiter=cg_steps)
    pushed = _part(curvature(_join(v, still)), mask)[1]
    return _join(
        jax.tree.map(lambda x: proximity * x, v),
        jax.tree.map(jnp.subtract, frozen_gradient, pushed),
    )


def _segmented_scan(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, num_steps: int
) -> tuple[Any, Any]:
    """``lax.scan`` over 0 … num_steps−1 that keeps √num_steps carries for the way back."""
    if num_steps == 0:
        return jax.lax.scan(step, carry, jnp.arange(0))
    if num_steps <= _UNROLLED:
        seen = []
        for index in range(num_steps):
            carry, output = step(carry, index)
            seen.append(output)
        return carry, jax.tree.map(lambda *xs: jnp.stack(xs), *seen)
    length = math.isqrt(num_steps)
    count = num_steps // length

    @jax.checkpoint
    def segment(carry: Any, indices: Int[Array, " step"]) -> tuple[Any, Any]:
        return jax.lax.scan(step, carry, indices)

    whole = jnp.arange(count * length).reshape(count, length)
    carry, first = jax.lax.scan(segment, carry, whole)
    first = jax.tree.map(lambda x: x.reshape(count * length, *x.shape[2:]), first)
    if num_steps == count * length:
        return carry, first
    carry, last = jax.lax.scan(step, carry, jnp.arange(count * length, num_steps))
    return carry, jax.tree.map(lambda x, y: jnp.concatenate([x, y]), first, last)


def _part(tree: Any, mask: Any) -> tuple[Any, Any]:
    """The leaves where the mask is true, and the others; None in the places of the rest."""
    chosen = jax.tree.map(lambda keep, leaf: leaf if keep else None, mask, tree)
    others = jax.tree.map(lambda keep, leaf: None if keep else leaf, mask, tree)
    return chosen, others


def _join(first: Any, second: Any) -> Any:
    """Two parts of a tree put together again."""
    return jax.tree.map(
        lambda x, y: y if x is None else x, first, second, is_leaf=lambda x: x is None
    )


def _keys(key: PRNGKeyArray | None, index: int | Int[Array, ""]) -> tuple[PRNGKeyArray, ...]:
    """The further argument of a stochastic loss; none for others."""
    return () if key is None else (jax.random.fold_in(key, index),)


def _check_count(name: str, value: Any, least: int) -> None:
    if not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} is {value}; allowed: a whole number from {least}")
