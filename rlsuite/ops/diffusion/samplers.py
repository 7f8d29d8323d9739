"""Samplers as tables of numbers."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rlsuite.ops.diffusion.schedules import Scalar, Schedule

Column = Float[np.ndarray, " step"] | Float[Array, " step"]
"""A column of a table, which depends on numbers that may be traced."""


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
        >>> from rlsuite.ops.diffusion import cosine
        >>> ddim(cosine(100), 5).steps.tolist()
        [100, 80, 60, 40, 20]
    """
    steps, here, there = _grid(schedule, num_steps)
    variance = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    rest = 1 - there - variance
    is_traced = isinstance(eta, jax.core.Tracer)
    if not is_traced and (not eta >= 0 or np.any(rest < -1e-12)):
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
        >>> from rlsuite.ops.diffusion import cosine
        >>> half = cooled(ancestral(cosine(10)), 0.25)
        >>> half.start, cooled(ancestral(cosine(10)), 0.5, of="deviation").start
        (0.5, 0.5)
    """
    if not isinstance(temperature, jax.core.Tracer) and not temperature >= 0:
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
