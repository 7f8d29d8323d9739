"""How noise grows, what a network says of it, and the data that follow from that."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

Prediction = Literal["noise", "data", "velocity"]
"""What a network predicts."""

Scalar = float | Float[Array, ""]
"""A number, which may be traced."""


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
        num_steps: T; the single β of T = 1 is the first.
        first: β_1; by default 10⁻⁴ at T = 1000, and as much more as there are fewer steps.
        last: β_T; by default .02 at T = 1000, likewise, but at most .999.

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
