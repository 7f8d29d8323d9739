"""Worlds for tests of Dreamer whose returns and gradients are known, and small configs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.algorithms.dreamer import Behaviour, Config, Dynamics, Model, Outcome
from rlsuite.envs.control import Actions, Spec, Timestep
from rlsuite.ops.distributions import Deterministic, DiagonalNormal

SMALL = Model(deter=8, stoch=2, classes=3, blocks=2, hidden=6, units=7, layers=1, depth=1)


def small(model=SMALL, behaviour=None, **changes):
    """A config whose programs compile in seconds."""
    behaviour = behaviour or Behaviour(horizon=3, policy_layers=1)
    options = {
        "learning_rate": 1e-2, "warmup": 0, "batch_size": 3, "sequence_length": 4, "prefill": 20,
        "replay_size": 200, "evaluation_episodes": 2, "evaluation_length": 8,
    }  # fmt: skip
    return Config(model=model, behaviour=behaviour, **{**options, **changes})


def spec_of(size, actions, mask=None):
    """Vectors of a size, and these actions."""
    number, flag = jax.ShapeDtypeStruct((), jnp.float32), jax.ShapeDtypeStruct((), jnp.bool_)
    seen = jax.ShapeDtypeStruct((size,), jnp.float32)
    return Spec(Timestep(seen, number, flag, flag, flag, mask), None, actions)


class LinearGaussian(NamedTuple):
    """s' = A s + B a + w, r = −s'ᵀ s' − c aᵀ a, a = K s + σ ε, w ~ N(0, ν² I)."""

    a: np.ndarray
    b: np.ndarray
    cost: float
    noise: float
    spread: float
    discount: float
    horizon: int

    def dynamics(self):
        """As a forward model."""

        def transition(params, key, state, action):
            mean = state @ self.a.T + action @ self.b.T
            return DiagonalNormal(mean, jnp.full_like(mean, self.noise))

        def outcome(params, state, action, after):
            reward = -jnp.sum(after**2, axis=-1) - self.cost * jnp.sum(action**2, axis=-1)
            return Outcome(Deterministic(reward), Deterministic(jnp.ones_like(reward)))

        return Dynamics(transition, outcome, lambda _, state: state)

    def expected_return(self, gain, start):
        """E Σ_t γ^t r_t, from the means and covariances of the states."""
        closed = self.a + self.b @ gain
        push = self.spread**2 * self.b @ self.b.T + self.noise**2 * jnp.eye(len(self.a))
        mean, covariance, total = start, jnp.zeros_like(closed), 0.0
        for t in range(self.horizon):
            effort = gain @ covariance @ gain.T
            of_action = jnp.sum((gain @ mean) ** 2) + jnp.trace(effort)
            of_action += self.spread**2 * gain.shape[0]
            mean, covariance = closed @ mean, closed @ covariance @ closed.T + push
            of_state = jnp.sum(mean**2) + jnp.trace(covariance)
            total -= self.discount**t * (of_state + self.cost * of_action)
        return total


LINEAR = LinearGaussian(
    a=np.asarray([[1.0, 0.1], [-0.2, 0.95]]),
    b=np.asarray([[0.0], [0.3]]),
    cost=0.1,
    noise=0.05,
    spread=0.1,
    discount=0.95,
    horizon=12,
)
DISCRETE = Actions(sizes=(2,), single=True)
CONTINUOUS = Actions(low=-jnp.ones(1), high=jnp.ones(1), shape=(1,))
