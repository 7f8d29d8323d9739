r"""Denoising diffusion: schedules, predictions, samplers as tables of numbers, guidance.

Data x_0 turn into noise over steps k = 0 … T::

    x_k = √ᾱ_k x_0 + √(1 − ᾱ_k) ε,   ε ~ N(0, I),        1 = ᾱ_0 > ᾱ_1 > … > ᾱ_T > 0,

and a network that sees (x_k, k) predicts one of

    noise       ε
    data        x_0
    velocity    v = √ᾱ_k ε − √(1 − ᾱ_k) x_0,

from each of which the other two follow. A sampler walks from k_0 = T down to k_S = 0. All samplers
here are of one form: with x̂_i the data predicted at step i,

    x_{i+1} = a_i x_i + b_i x̂_i + c_i x̂_{i−1} + s_i z_i,   z_i ~ N(0, I),

so a sampler *is* the table of k, a, b, c and s, and whoever walks it needs to know nothing else.
``walk`` does so with any network; ``rlsuite.ops.gaussian_diffusion`` computes exactly which law
comes out when the data are Gaussian.

Guidance and composition act on what is predicted, before x̂: with conditions y_1 … y_n,

    ε̂ = ε(x, ∅) + Σ_i w_i (ε(x, y_i) − ε(x, ∅)),

w_i = ω > 0 for a condition that is to hold, w_i < 0 for one that is not to. Inpainting writes known
entries over x before every prediction and at the end.

References:
    Ho, Jain, Abbeel: Denoising diffusion probabilistic models. 2020, arXiv:2006.11239 (eqs. 4, 7).
    Nichol, Dhariwal: Improved denoising diffusion probabilistic models. 2021, arXiv:2102.09672
    (eq. 17).
    Song, Meng, Ermon: Denoising diffusion implicit models. 2021, arXiv:2010.02502 (eqs. 12, 16).
    Salimans, Ho: Progressive distillation for fast sampling of diffusion models. 2022,
    arXiv:2202.00512 (velocity).
    Lu et al.: DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models.
    2022, arXiv:2211.01095 (algorithm 2).
    Ho, Salimans: Classifier-free diffusion guidance. 2022, arXiv:2207.12598.
    Liu, Li, Du, Torralba, Tenenbaum: Compositional visual generation with composable diffusion
    models. 2022, arXiv:2206.01714.
    Ajay et al.: Is conditional generative modeling all you need for decision-making? 2023,
    arXiv:2211.15657.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

Prediction = Literal["noise", "data", "velocity"]
"""What a network predicts."""

Scalar = float | Float[Array, ""]
"""A number, which may be traced."""

Column = Float[np.ndarray, " step"] | Float[Array, " step"]
"""A column of a table, which depends on numbers that may be traced."""


class Schedule(NamedTuple):
    """How data turn into noise.

    Attributes:
        signal: ᾱ_0 … ᾱ_T: the share of the data in the variance; ᾱ_0 = 1.
    """

    signal: Float[np.ndarray, " steps_1"]

    @property
    def num_steps(self) -> int:
        """T."""
        return len(self.signal) - 1


def cosine(num_steps: int, *, offset: float = 0.008, largest: float = 0.999) -> Schedule:
    r"""ᾱ_k = f(k) / f(0), f(k) = cos²((k/T + o) / (1 + o) · π/2), its β_k bounded.

    Args:
        num_steps: T.
        offset: o.
        largest: The bound of β_k = 1 − ᾱ_k/ᾱ_{k−1}, without which ᾱ_T would be 0.

    Returns:
        The schedule.

    Raises:
        ValueError: If there is no step.

    Example:
        >>> cosine(4).signal.round(3).tolist()
        [1.0, 0.847, 0.494, 0.144, 0.0]
    """
    _check_steps(num_steps)
    times = np.linspace(0, 1, num_steps + 1)
    signal = np.square(np.cos((times + offset) / (1 + offset) * np.pi / 2))
    return _from_betas(np.minimum(1 - signal[1:] / signal[:-1], largest))


def linear(num_steps: int, *, first: float | None = None, last: float | None = None) -> Schedule:
    """β_k evenly from the first to the last.

    Args:
        num_steps: T.
        first: β_1; by default 10⁻⁴ at T = 1000, and as much more as there are fewer steps.
        last: β_T; by default .02 at T = 1000, likewise.

    Returns:
        The schedule.

    Raises:
        ValueError: If there is no step, or a β is not between 0 and 1.

    Example:
        >>> linear(2, first=0.1, last=0.2).signal.round(3).tolist()
        [1.0, 0.9, 0.72]
    """
    _check_steps(num_steps)
    first = 0.1 / num_steps if first is None else first
    last = min(20 / num_steps, 0.999) if last is None else last
    for name, beta in (("first", first), ("last", last)):
        if not 0 < beta < 1:
            raise ValueError(f"{name} is {beta}; allowed: between 0 and 1")
    return _from_betas(np.linspace(first, last, num_steps))


def _check_steps(num_steps: int) -> None:
    if num_steps < 1:
        raise ValueError(f"num_steps is {num_steps}; allowed: at least 1")


def _from_betas(betas: Float[np.ndarray, " steps"]) -> Schedule:
    return Schedule(np.concatenate([[1.0], np.cumprod(1 - betas)]))


class Noised(NamedTuple):
    """What a network is trained on.

    Attributes:
        inputs: x_k.
        step: k.
        noise: ε.
    """

    inputs: Float[Array, "*shape"]
    step: Int[Array, ""]
    noise: Float[Array, "*shape"]


def noised(schedule: Schedule, key: PRNGKeyArray, data: Float[Array, "*shape"]) -> Noised:
    """Draw k uniformly from 1 … T, and x_k.

    Args:
        schedule: The schedule.
        key: Key.
        data: x_0.

    Returns:
        x_k, k and ε.
    """
    of_step, of_noise = jax.random.split(key)
    step = jax.random.randint(of_step, (), 1, schedule.num_steps + 1)
    noise = jax.random.normal(of_noise, data.shape, data.dtype)
    scale, spread = _scales(schedule, step, data.dtype)
    return Noised(scale * data + spread * noise, step, noise)


def target(
    schedule: Schedule,
    prediction: Prediction,
    data: Float[Array, "*shape"],
    noised: Noised,
) -> Float[Array, "*shape"]:
    """What the network should have said.

    Args:
        schedule: The schedule.
        prediction: What it predicts.
        data: x_0.
        noised: x_k, k and ε.

    Returns:
        ε, x_0 or v.
    """
    if prediction == "noise":
        return noised.noise
    if prediction == "data":
        return data
    scale, spread = _scales(schedule, noised.step, data.dtype)
    return scale * noised.noise - spread * data


def to_data(
    schedule: Schedule,
    prediction: Prediction,
    inputs: Float[Array, "*shape"],
    step: Int[Array, ""],
    predicted: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """The data that a prediction implies.

    Args:
        schedule: The schedule.
        prediction: What is predicted.
        inputs: x_k.
        step: k.
        predicted: The prediction.

    Returns:
        x̂_0: (x_k − √(1 − ᾱ_k) ε) / √ᾱ_k, or x_0 itself, or √ᾱ_k x_k − √(1 − ᾱ_k) v.
    """
    if prediction == "data":
        return predicted
    scale, spread = _scales(schedule, step, inputs.dtype)
    if prediction == "noise":
        return (inputs - spread * predicted) / scale
    return scale * inputs - spread * predicted


def _scales(schedule: Schedule, step: Int[Array, ""], dtype: jnp.dtype) -> tuple[Array, Array]:
    """√ᾱ_k and √(1 − ᾱ_k)."""
    signal = jnp.asarray(schedule.signal)
    scale, spread = jnp.sqrt(signal), jnp.sqrt(jnp.asarray(1 - schedule.signal))
    return scale[step].astype(dtype), spread[step].astype(dtype)


def tilted(
    schedule: Schedule,
    data: Float[Array, "*shape"],
    step: Int[Array, ""],
    slope: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    r"""The data that a prediction implies if p(x_0) is weighted by e^{J(x_0)}.

    With J_k(x_k) = ln E[e^{J(x_0)} | x_k], the score of x_k grows by ∇J_k, and x̂_0 by
    (1 − ᾱ_k)/√ᾱ_k of it: the guidance of classifiers, and of Diffuser by a learned value.

    Args:
        schedule: The schedule.
        data: x̂_0.
        step: k.
        slope: ∇J_k(x_k).

    Returns:
        x̂_0 of the weighted law.

    Reference:
        Dhariwal, Nichol: Diffusion models beat GANs on image synthesis. 2021, arXiv:2105.05233,
        eq. 14.
    """
    scale, spread = _scales(schedule, step, data.dtype)
    return data + jnp.square(spread) / scale * slope


class Sampler(NamedTuple):
    """A way from noise to data: x ← carry·x + data·x̂ + before·x̂' + noise·z, x̂' the last x̂.

    Attributes:
        steps: k_0 … k_{S−1}, at which the network is asked; k_0 = T.
        carry: a.
        data: b.
        before: c; c_0 = 0.
        noise: s.
        start: Standard deviation of the first x.
    """

    steps: Int[np.ndarray, " step"]
    carry: Column
    data: Column
    before: Column
    noise: Column
    start: Scalar = 1.0

    @property
    def num_steps(self) -> int:
        """S: how often the network is asked."""
        return len(self.steps)


def ancestral(
    schedule: Schedule, *, variance: Literal["posterior", "forward"] = "posterior"
) -> Sampler:
    r"""All T steps of the reverse chain: x_{k−1} ~ N(posterior mean given x̂_0, variance).

    Args:
        schedule: The schedule.
        variance: "posterior" is that of q(x_{k−1} | x_k, x_0), β_k (1 − ᾱ_{k−1}) / (1 − ᾱ_k), right
            for data that are a point; "forward" is β_k, right for data that are white noise.

    Returns:
        The sampler; "posterior" is ``ddim(schedule, eta=1)``.
    """
    sampler = ddim(schedule, eta=1.0)
    if variance == "posterior":
        return sampler
    betas = 1 - schedule.signal[1:] / schedule.signal[:-1]
    noise = np.sqrt(betas)[::-1].copy()
    noise[-1] = 0.0
    return sampler._replace(noise=noise)


def ddim(schedule: Schedule, num_steps: int | None = None, *, eta: Scalar = 0.0) -> Sampler:
    r"""Steps from k to j < k: x_j = √ᾱ_j x̂_0 + √(1 − ᾱ_j − σ²) ε̂ + σ z.

    Here σ² = η² (1 − ᾱ_j) / (1 − ᾱ_k) (1 − ᾱ_k / ᾱ_j). Steps are "trailing": evenly spaced back
    from T, which is always among them. (Spacings that leave T out begin with a signal that the
    first x does not have.)

    Args:
        schedule: The schedule.
        num_steps: S; by default T.
        eta: η; 0 is deterministic, 1 the reverse chain.

    Returns:
        The sampler.

    Raises:
        ValueError: If there are fewer than 1 or more than T steps, or η is negative, or so large
            that a variance would be.

    Example:
        >>> ddim(cosine(100), 5).steps.tolist()
        [100, 80, 60, 40, 20]
    """
    steps, here, there = _grid(schedule, num_steps)
    variance = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    rest = 1 - there - variance
    is_traced = isinstance(eta, jax.core.Tracer)
    if not is_traced and (eta < 0 or np.any(rest < -1e-12)):
        raise ValueError(f"eta is {eta}; allowed: at least 0, and no larger than leaves variances")
    sqrt, maximum = (jnp.sqrt, jnp.maximum) if is_traced else (np.sqrt, np.maximum)
    carry = sqrt(maximum(rest, 0.0) / (1 - here))
    data = np.sqrt(there) - carry * np.sqrt(here)
    return Sampler(steps, carry, data, np.zeros(len(steps)), sqrt(variance))


def dpm_solver(schedule: Schedule, num_steps: int) -> Sampler:
    r"""DPM-Solver++(2M): of second order in h, deterministic, one prediction a step.

    With λ = ln √(ᾱ / (1 − ᾱ)), h_i = λ_{i+1} − λ_i and r_i = h_{i−1} / h_i,

        x_{i+1} = √((1 − ᾱ_{i+1}) / (1 − ᾱ_i)) x_i
                  + √ᾱ_{i+1} (1 − e^{−h_i}) [(1 + 1/(2 r_i)) x̂_i − x̂_{i−1} / (2 r_i)].

    The first step and the last, where λ becomes infinite, are of first order.

    Args:
        schedule: The schedule.
        num_steps: S.

    Returns:
        The sampler.

    Raises:
        ValueError: If there are fewer than 1 or more than T steps.
    """
    steps, here, there = _grid(schedule, num_steps)
    carry = np.sqrt((1 - there) / (1 - here))
    whole = np.sqrt(there) - carry * np.sqrt(here)  # √ᾱ_{i+1} (1 − e^{−h_i}); finite at the end
    half = np.zeros(len(steps))  # 1 / (2 r_i)
    lambdas = 0.5 * np.log(here / (1 - here))
    if len(steps) > 2:
        widths = np.diff(lambdas)
        half[1:-1] = widths[1:] / (2 * widths[:-1])
    return Sampler(steps, carry, whole * (1 + half), -whole * half, np.zeros(len(steps)))


def _grid(
    schedule: Schedule, num_steps: int | None
) -> tuple[Int[np.ndarray, " step"], Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """Steps that trail, and the signal before and after each."""
    longest = schedule.num_steps
    num_steps = longest if num_steps is None else num_steps
    if not 1 <= num_steps <= longest:
        raise ValueError(f"num_steps is {num_steps}; allowed: 1 to {longest}, the schedule's")
    steps = np.round(longest * (1 - np.arange(num_steps + 1) / num_steps)).astype(int)
    return steps[:-1], schedule.signal[steps[:-1]], schedule.signal[steps[1:]]


def cooled(
    sampler: Sampler, temperature: Scalar, *, of: Literal["variance", "deviation"] = "variance"
) -> Sampler:
    """Sample at a low temperature: less noise at the start and at every step.

    Args:
        sampler: The sampler.
        temperature: α ≥ 0. 1 changes nothing; at 0 the most probable path is taken.
        of: "variance": x_T ~ N(0, αI), and every variance times α, as the paper of the Decision
            Diffuser says; "deviation": every standard deviation times α, as its code does.

    Returns:
        The sampler.

    Raises:
        ValueError: If the temperature is negative.

    Example:
        >>> half = cooled(ancestral(cosine(10)), 0.25)
        >>> half.start, cooled(ancestral(cosine(10)), 0.5, of="deviation").start
        (0.5, 0.5)
    """
    if not isinstance(temperature, jax.core.Tracer) and temperature < 0:
        raise ValueError(f"temperature is {temperature}; allowed: at least 0")
    factor = temperature**0.5 if of == "variance" else temperature
    return sampler._replace(noise=factor * sampler.noise, start=factor * sampler.start)


def shortened(sampler: Sampler, num_steps: int) -> Sampler:
    """The last steps of a sampler, for a start that is nearly right already: ``noise_to`` its k.

    Args:
        sampler: The sampler.
        num_steps: How many of its steps.

    Returns:
        The sampler; its first step looks back at no other.

    Raises:
        ValueError: If it has not so many steps.
    """
    if not 1 <= num_steps <= sampler.num_steps:
        raise ValueError(f"num_steps is {num_steps}; allowed: 1 to {sampler.num_steps}")
    carry, data, before, noise = (column[-num_steps:] for column in sampler[1:5])
    first = np.arange(num_steps) == 0
    data, before = data + first * before, before * ~first
    return Sampler(sampler.steps[-num_steps:], carry, data, before, noise, sampler.start)


def noise_to(
    schedule: Schedule, key: PRNGKeyArray, data: Float[Array, "*shape"], step: int
) -> Float[Array, "*shape"]:
    """Draw x_k given x_0.

    Args:
        schedule: The schedule.
        key: Key.
        data: x_0.
        step: k.

    Returns:
        x_k.
    """
    scale, spread = _scales(schedule, jnp.asarray(step), data.dtype)
    return scale * data + spread * jax.random.normal(key, data.shape, data.dtype)


class Known(NamedTuple):
    """Entries that are known.

    Attributes:
        where: Which entries.
        values: What they are; what stands elsewhere does not matter.
    """

    where: Bool[Array, "*shape"]
    values: Float[Array, "*shape"]

    def put(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Write the values over x."""
        return jnp.where(self.where, self.values, x)


def first_known(values: Float[Array, "known ..."], length: int) -> Known:
    """The first entries along the first axis are known: the history, or the state at hand.

    Args:
        values: What they are.
        length: The length of the axis.

    Returns:
        What is known.

    Raises:
        ValueError: If there are more values than entries.

    Example:
        >>> first_known(jnp.ones((1, 2)), 3).where.tolist()
        [[True, True], [False, False], [False, False]]
    """
    known = len(values)
    if known > length:
        raise ValueError(f"values has {known} entries; allowed: at most length, {length}")
    shape = (length, *values.shape[1:])
    where = jnp.broadcast_to(
        (jnp.arange(length) < known).reshape(-1, *(1 for _ in values.shape[1:])), shape
    )
    return Known(where, jnp.zeros(shape, values.dtype).at[:known].set(values))


def walk(
    sampler: Sampler,
    predict: Callable[[Float[Array, "*shape"], Int[Array, ""]], Float[Array, "*shape"]],
    key: PRNGKeyArray,
    start: Float[Array, "*shape"],
    *,
    known: Known | None = None,
    bound: float | Float[Array, "..."] | None = None,
) -> Float[Array, "*shape"]:
    """Walk from noise to data.

    Args:
        sampler: The sampler.
        predict: ``(x, k) -> x̂_0``: a network with ``to_data`` after it, and what guides it.
        key: Key.
        start: The first x: noise of standard deviation ``sampler.start``, or ``noise_to`` a guess.
        known: What is written over x before every prediction, and at the end.
        bound: Entries of x̂_0 are kept between −bound and bound; no bound by default.

    Returns:
        x_0.
    """

    def put(x: Array) -> Array:
        return x if known is None else known.put(x)

    def step(
        carry: tuple[Array, Array], row: tuple[Array, ...]
    ) -> tuple[tuple[Array, Array], None]:
        x, before = carry
        k, a, b, c, s, key = row
        data = predict(put(x), k)
        if bound is not None:
            data = jnp.clip(data, -bound, bound)
        z = jax.random.normal(key, x.shape, x.dtype)
        return (a * put(x) + b * data + c * before + s * z, data), None

    numbers = (jnp.asarray(column, start.dtype) for column in sampler[1:5])
    rows = (jnp.asarray(sampler.steps), *numbers, jax.random.split(key, sampler.num_steps))
    (x, _), _ = jax.lax.scan(step, (start, jnp.zeros_like(start)), rows)
    return put(x)


def guided(
    unconditional: Float[Array, "*shape"],
    conditional: Float[Array, "condition ..."],
    weights: Float[Array, " condition"],
) -> Float[Array, "*shape"]:
    r"""ε(∅) + Σ_i w_i (ε(y_i) − ε(∅)): guidance by one condition, or any number of them.

    With w = ω the one condition is strengthened; several positive weights ask for all of their
    conditions (AND); a negative weight asks for the contrary of one (NOT). It is linear, so it may
    act on noise, data and velocity alike.

    Args:
        unconditional: ε(∅).
        conditional: ε(y_i).
        weights: w_i.

    Returns:
        ε̂.

    Example:
        >>> guided(jnp.zeros(1), jnp.asarray([[1.0], [3.0]]), jnp.asarray([2.0, -1.0])).tolist()
        [-1.0]
    """
    return unconditional + jnp.tensordot(weights, conditional - unconditional, axes=1)
