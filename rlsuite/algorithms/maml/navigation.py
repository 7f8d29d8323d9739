r"""Finding a goal in the plane by policy gradients: a distribution of reinforcement-learning tasks.

A task is a goal. Its loss is the negative return of a Gaussian policy, estimated on trajectories
that the policy itself draws, and differentiated by the likelihood ratio
(:mod:`rlsuite.ops.likelihood_ratio`):

    L = −(mean return) − (1/Σ_n T_n) Σ_n S_n,

where S, of value 0, has the derivatives. The advantages A_t are discounted returns from t on, less
a linear function of features of position and time that is fitted to them (Duan et al. 2016,
sec. 3), shifted and scaled to mean 0 and deviation 1 over the task's steps.

References:
    Duan, Chen, Houthooft, Schulman, Abbeel: Benchmarking deep reinforcement learning for
    continuous control. ICML 2016, arXiv:1604.06778.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.algorithms.maml.tasks import Apply, Params, Task
from rlsuite.envs import navigation
from rlsuite.nets import Network, mlp
from rlsuite.ops import likelihood_ratio
from rlsuite.ops.pytrees import pytree

_RIDGE = 1e-5


class Gaussian(NamedTuple):
    """A normal distribution of velocities with independent components.

    Attributes:
        mean: μ.
        log_std: log σ.
    """

    mean: Float[Array, "*batch 2"]
    log_std: Float[Array, " 2"]

    def sample(self, key: PRNGKeyArray) -> Float[Array, "*batch 2"]:
        """Draw velocities."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)

    def log_prob(self, velocity: Float[Array, "*batch 2"]) -> Float[Array, "*batch"]:
        """The log-density."""
        scaled = (velocity - self.mean) * jnp.exp(-self.log_std)
        constant = jnp.log(2 * jnp.pi) / 2
        return -jnp.sum(scaled**2 / 2 + self.log_std + constant, axis=-1)


def gaussian_policy(hidden_sizes: Sequence[int] = (100, 100)) -> Network:
    """A Gaussian policy whose mean is a perceptron of the position, in units of the top speed.

    Args:
        hidden_sizes: Widths of the hidden layers.

    Returns:
        A network from positions to a ``Gaussian``; its log σ is a parameter, at first that of
        the top speed.
    """
    mean = mlp(hidden_sizes, 2)

    def init(key: PRNGKeyArray, inputs: Float[Array, "*batch 2"]) -> Params:
        return {"mean": mean.init(key, inputs), "log_std": jnp.zeros(2)}

    def apply(params: Params, inputs: Float[Array, "*batch 2"]) -> Gaussian:
        speed = navigation.SPEED
        return Gaussian(
            speed * mean.apply(params["mean"], inputs), params["log_std"] + jnp.log(speed)
        )

    return Network(init, apply)


@pytree()
@dataclasses.dataclass(frozen=True)
class Navigation:
    """Goals in the unit square around the origin (Finn et al. 2017, sec. 5.3).

    Attributes:
        num_trajectories: How many trajectories a gradient is estimated on.
        horizon: After how many steps they are truncated.
        estimator: "likelihood-ratio", whose second derivatives account for what the policy
            draws, or "log-likelihood", whose do not.
        memory: λ of the first: 1 has no bias, 0 the least variance.
        discount: Of the advantages; losses are undiscounted.
        reach: The largest coordinate of a goal.
    """

    num_trajectories: int = dataclasses.field(default=20, metadata={"static": True})
    horizon: int = dataclasses.field(default=navigation.HORIZON, metadata={"static": True})
    estimator: Literal["likelihood-ratio", "log-likelihood"] = dataclasses.field(
        default="likelihood-ratio", metadata={"static": True}
    )
    memory: float | Float[Array, ""] = 0.0
    discount: float | Float[Array, ""] = 0.99
    reach: float | Float[Array, ""] = 0.5

    @property
    def inputs(self) -> Float[Array, "trajectory 2"]:
        """A position."""
        return jnp.zeros((1, 2))

    def sample(self, key: PRNGKeyArray) -> Task:
        """Draw a goal; the support and the query are both it."""
        goal = jax.random.uniform(key, (2,), minval=-self.reach, maxval=self.reach)
        return Task(goal, goal)

    def walk(
        self, apply: Apply, params: Params, goal: Float[Array, " 2"], key: PRNGKeyArray
    ) -> navigation.Paths:
        """Trajectories of the policy, as data: without gradients."""
        still = jax.lax.stop_gradient(params)
        paths = navigation.rollout(
            key,
            lambda key, positions: apply(still, positions).sample(key),
            goal,
            num_trajectories=self.num_trajectories,
            horizon=self.horizon,
        )
        return jax.lax.stop_gradient(paths)

    def loss(
        self, apply: Apply, params: Params, data: Float[Array, " 2"], key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """The negative mean return, with the derivatives of the surrogate."""
        paths = self.walk(apply, params, data, key)
        log_probs = apply(params, paths.positions).log_prob(paths.velocities)
        advantages = self.advantages(paths)
        if self.estimator == "log-likelihood":
            sums = likelihood_ratio.log_likelihood(log_probs, advantages)
        else:
            sums = likelihood_ratio.surrogate(log_probs, advantages, memory=self.memory)
        return -jnp.mean(paths.returns()) - jnp.sum(sums) / jnp.sum(paths.alive)

    def advantages(self, paths: navigation.Paths) -> Float[Array, "trajectory time"]:
        """Discounted returns less the baseline, normalised; 0 after an episode's end."""
        returns = _discounted(paths.rewards, self.discount)
        left = returns - _fitted(_features(paths.positions), returns, paths.alive)
        mean = jnp.mean(left, where=paths.alive)
        deviation = jnp.std(left, where=paths.alive)
        return jnp.where(paths.alive, (left - mean) / (deviation + 1e-8), 0.0)


def _discounted(
    rewards: Float[Array, "trajectory time"], discount: float | Float[Array, ""]
) -> Float[Array, "trajectory time"]:
    """Σ_{t' ≥ t} γ^{t'−t} r_{t'}."""

    def back(later: Array, reward: Array) -> tuple[Array, Array]:
        value = reward + discount * later
        return value, value

    _, values = jax.lax.scan(back, jnp.zeros_like(rewards[:, 0]), rewards.T, reverse=True)
    return values.T


def _features(positions: Float[Array, "trajectory time 2"]) -> Float[Array, "trajectory time 8"]:
    """x, x², t, t², t³ and 1, time in hundreds of steps."""
    shape = positions.shape[:2]
    time = jnp.broadcast_to(jnp.arange(shape[1]) / 100, shape)
    powers = jnp.stack([time, time**2, time**3, jnp.ones(shape)], axis=-1)
    return jnp.concatenate([positions, positions**2, powers], axis=-1)


def _fitted(
    features: Float[Array, "trajectory time feature"],
    targets: Float[Array, "trajectory time"],
    where: Bool[Array, "trajectory time"],
) -> Float[Array, "trajectory time"]:
    """The ridge regression of the targets on the features."""
    kept = features * where[..., None]
    gram = jnp.einsum("nti,ntj->ij", kept, features)
    moment = jnp.einsum("nti,nt->i", kept, targets)
    weights = _solve(gram + _RIDGE * jnp.eye(gram.shape[0]), moment)
    return features @ weights


def _solve(matrix: Float[Array, "n n"], vector: Float[Array, " n"]) -> Float[Array, " n"]:
    """A⁻¹ b of a small positive definite A, by elimination.

    Not by LAPACK: calls of it inside vmapped scans were seen to hang on CPU, each of many threads
    waiting for another.
    """
    rows = jnp.concatenate([matrix, vector[:, None]], axis=1)
    for i in range(vector.size):
        pivot = rows[i] / rows[i, i]
        rows = (rows - rows[:, i : i + 1] * pivot).at[i].set(pivot)
    return rows[:, -1]
