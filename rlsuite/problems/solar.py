"""Problems for SOLAR: lamps, of which all is known, and points that are seen as pictures."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms import solar
from rlsuite.envs.control import Control
from rlsuite.envs.lamps import best_return, lamps
from rlsuite.envs.pixels import pixel_arm_stacking, pixel_navigation, pixel_planar
from rlsuite.envs.pixels.planar import GOALS, straight_line
from rlsuite.nets.network import from_linen
from rlsuite.ops import lqr
from rlsuite.problems.episodes import draw_frames, problem_of, random_return
from rlsuite.registry import Entry


def _halves(key: Any, shape: tuple[int, int], dtype: Any = float) -> Array:  # noqa: ARG001
    """Which half of the picture a pixel lies in, as a matrix of pixels and lamps."""
    right = jnp.arange(shape[0]) % 8 >= 4
    return jnp.stack([~right, right], axis=1).astype(dtype)


class _Halves(nn.Module):
    """States are the lights of both halves, and as sure everywhere: nothing is left to learn."""

    @nn.compact
    def __call__(
        self, images: Float[Array, "*batch h w c"]
    ) -> tuple[Float[Array, "*batch 2"], Float[Array, "*batch 2"]]:
        flat = images.reshape(*images.shape[:-3], -1)
        mean = nn.Dense(2, kernel_init=lambda *how: _halves(*how) / 32)(flat - 0.5)
        sure = self.param("log_precision", nn.initializers.constant(5.0), (2,))
        return mean, jnp.broadcast_to(sure, mean.shape)


class _Lights(nn.Module):
    """Pixels as bright as their half's state: the logistic function is nearly a line there."""

    @nn.compact
    def __call__(self, states: Float[Array, "*batch 2"]) -> Float[Array, "*batch 8 8 1"]:
        logits = nn.Dense(
            64,
            kernel_init=lambda key, shape, dtype: 4 * _halves(key, shape[::-1], dtype).T,
            bias_init=nn.initializers.zeros,
        )(states)
        return logits.reshape(*states.shape[:-1], 8, 8, 1)


LAMPS_NETWORKS = solar.Networks(from_linen(_Halves()), from_linen(_Lights()), "bernoulli")
"""Networks for ``lamps``: states are the lights of both halves."""

_LAMPS = solar.Config(
    size=2,
    length=8,
    first_rollouts=20,
    rollouts=8,
    capacity=60,
    as_bytes=False,
    first_updates=30,
    updates=5,
    batch_size=5,
    natural_rate=0.2,
    prior_noise=1e-2,
    temperature=1.0,
    exploration=0.5,
    adjust=False,
    learning_rate=1e-4,
    cost_episodes=30,
    rounds=5,
    evaluation_episodes=2,
)

# With one quadratic cost for all steps points end further from their goals.
_POINT = solar.Config(size=2, first_updates=3000, updates=60, cost_strength=4.0)

_PUSHED = solar.Config(
    size=4,
    velocities=True,
    first_rollouts=80,
    first_updates=3000,
    updates=100,
    exploration=0.1,
    cost_strength=4.0,
)

_PLANAR = solar.Config(
    size=2,
    length=40,
    background=True,
    exploration=1.0,
    updates=60,
    cost_strength=4.0,
    bound=50.0,  # Actions are at their limits half of the way, and would use up a small one.
    adjust=False,
)

_STARTS = {"above": "above it", "far": "far to the left", "beside": "beside it"}

_STACKING = solar.Config(
    size=4,
    velocities=True,
    background=True,
    first_rollouts=80,
    first_updates=2500,
    updates=80,
    temperature=1e-2,  # Where blocks touch, only actions that differ tell what they do.
)


def navigation_returns(problem: Control) -> dict[str, float]:
    """What random actions earn, and what the best controller of the true state does.

    Args:
        problem: Of ``pixel_navigation``, with its goal at a known place.

    Returns:
        Returns by name.
    """
    steps = int(problem.params.max_steps_in_episode)
    best = jax.jit(lambda: _least_cost(problem, steps))()
    return {"random": random_return(problem), "optimal": -float(best)}


def _least_cost(problem: Control, steps: int) -> Float[Array, ""]:
    """What LQR of the true state is expected to cost."""
    params = problem.params
    n = problem.environment.state_size
    moved, pushed = problem.environment.transition(params)
    weights = jnp.concatenate(
        [jnp.ones(2), jnp.full(n - 2, params.velocity_weight), jnp.full(2, params.action_weight)]
    )

    def each(x: Array) -> Array:
        return jnp.broadcast_to(x, (steps, *x.shape))

    dynamics = lqr.Dynamics(
        each(moved), each(pushed), jnp.zeros((steps, n)), each(params.noise**2 * jnp.eye(n))
    )
    cost = lqr.Quadratic(each(jnp.diag(2 * weights)), jnp.zeros((steps, n + 2)), jnp.zeros(steps))
    none = lqr.Quadratic(jnp.zeros((n, n)), jnp.zeros(n), jnp.zeros(()))
    known = lqr.Problem(dynamics, cost, none)
    far = jnp.stack(params.start) - jnp.stack(params.goal)
    begin = lqr.Gaussian(jnp.pad(far, (0, n - 2)), params.spread**2 * jnp.eye(n))
    return lqr.expected_cost(known, lqr.law(dynamics, lqr.solve(known).policy, begin))


def planar_returns(problem: Control) -> dict[str, float]:
    """What random actions earn, and a robot that goes straight to the goal, through obstacles.

    Args:
        problem: Of ``pixel_planar``.

    Returns:
        Returns by name.
    """
    environment, params = problem.environment, problem.params

    def paid(key: PRNGKeyArray) -> Array:
        place, goal = environment.first(key, params)

        def step(place: Array, _: None) -> tuple[Array, Array]:
            action = straight_line(place, goal, params)
            cost = environment.cost(place, action, goal, params)
            return place + params.strength * action, cost

        steps = int(params.max_steps_in_episode)
        return jnp.sum(jax.lax.scan(step, place, None, length=steps)[1])

    costs = jax.jit(jax.vmap(paid))(jax.random.split(jax.random.key(0), 200))
    return {"random": random_return(problem), "straight": -float(jnp.mean(costs))}


def lamp_returns(problem: Control) -> dict[str, float]:
    """What random actions earn with lamps, and the best ones."""
    return {"random": random_return(problem), "optimal": best_return(problem)}


_problem = functools.partial(problem_of, solar.make, draw=draw_frames, score="score")

ENTRY = Entry(
    name="solar",
    make=solar.make,
    config=solar.Config,
    problems={
        "lamps": _problem(
            lamps,
            config=_LAMPS,
            num_steps=4,
            summary="two lamps that are to shine equally, seen as a picture of 8×8 pixels",
            baselines=lamp_returns,
            callables={"networks": LAMPS_NETWORKS},
            quick=True,
        ),
        "pixel-navigation-1": _problem(
            functools.partial(pixel_navigation, 1),
            config=_POINT,
            num_steps=10,
            summary="a point that is moved to a goal, in a picture of 32×32 pixels",
            baselines=navigation_returns,
        ),
        "pixel-navigation-2": _problem(
            functools.partial(pixel_navigation, 2),
            config=_PUSHED,
            num_steps=10,
            summary="a point that is pushed to a goal, in a picture of 32×32 pixels",
            baselines=navigation_returns,
        ),
        "pixel-planar": _problem(
            functools.partial(pixel_planar, goal=GOALS[0]),
            config=_PLANAR,
            num_steps=8,
            summary="a robot among six obstacles, in a picture of 40×40 pixels",
            baselines=planar_returns,
        ),
        **{
            f"pixel-stack-{start}": _problem(
                functools.partial(pixel_arm_stacking, start, side=32),
                config=_STACKING,
                num_steps=8,
                summary=f"an arm puts a block onto another one, from {where}, in 32×32 pixels",
            )
            for start, where in _STARTS.items()
        },
    },
    probe="lamps",
    summary="Local linear-Gaussian models of what pictures show, and LQR within a bound.",
    citation="Zhang et al. 2019.",
)
