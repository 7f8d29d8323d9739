"""Tasks, their losses, and the config with every choice that the slides leave open."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.scipy.special import xlogy
from jaxtyping import Array, Float

from rlsuite.configuration import config, setting
from rlsuite.nets import Network, mlp
from rlsuite.ops import tabular
from rlsuite.ops.meta import Method

Rewards = Float[Array, " state"]
Loss = Callable[[Rewards, "Task"], Float[Array, ""]]


@config
class Config:
    """Hyperparameters; the page of this algorithm says why each default is what it is.

    Attributes:
        inner_rate: Learning rate of the inner optimiser in meta-training. With one step of AdamW it
            is how far every parameter moves, so that the default is as far as ten steps of
            fine-tuning.
        fine_tuning_rate: Learning rate of the inner optimiser in fine-tuning.
        outer_rate: Learning rate of the outer optimiser, Adam where none is passed to ``make``.
        temperature: τ of the policy that a reward induces.
        inner_steps: Inner steps in meta-training.
        fine_tuning_steps: Steps from the meta-parameters θ to a task's θ_i, and few-shot steps.
        num_tasks: Tasks drawn for each outer step; None for all.
        method: How the outer gradient goes through the inner loop; see ``ops.meta``.
        gradient: What is descended. "visitation" is deep IRL's difference between the visits of
            the policy and of the expert, which is the gradient of the likelihood of visits; "kl"
            is automatic differentiation of the loss L.
        starts: Where the policy's visits start: where the demonstrations did ("demonstrated"), or
            in the MDP's "initial" distribution, which a sample of starts never matches exactly, so
            that rewards grow without end.
        backup: "soft" value iteration, or "hard" with a softmax of its action values as policy.
        unvisited: The expert's actions μ where it was never seen: "skip" such states, or "uniform".
        states: Which states L is averaged over: "all", "free" of obstacles, or "visited" ones.
        horizon: The number of decisions; None for an infinite horizon.
        hidden_sizes: Widths of the reward network's hidden layers.
        initializer: Of the reward network; see ``nets.mlp``.
        tolerance: At which residual of the Bellman equation an infinite horizon counts as solved.
    """

    inner_rate: float = setting(default=3e-4, above=0)
    fine_tuning_rate: float = setting(default=3e-5, above=0)
    outer_rate: float = setting(default=1e-3, above=0)
    temperature: float = setting(default=1.0, above=0)
    inner_steps: int = setting(default=1, at_least=0)
    fine_tuning_steps: int = setting(default=10, at_least=0)
    num_tasks: int | None = setting(default=None, at_least=1)
    method: Method = "first-order"
    gradient: Literal["visitation", "kl"] = "visitation"
    starts: Literal["demonstrated", "initial"] = "demonstrated"
    backup: Literal["soft", "hard"] = "soft"
    unvisited: Literal["skip", "uniform"] = "skip"
    states: Literal["all", "free", "visited"] = "all"
    horizon: int | None = setting(default=None, at_least=1)
    hidden_sizes: tuple[int, ...] = setting(default=(512, 256, 128), at_least=1)
    initializer: Literal["uniform_fan_in", "lecun_normal"] = "uniform_fan_in"
    tolerance: float = setting(default=1e-4, above=0)


class Task(NamedTuple):
    """An MDP without its reward, and what an expert did in it.

    Attributes:
        mdp: The MDP; the loss does not look at its reward.
        counts: How often the expert chose a in s, ``[state, action]``.
        visits: ρ_D(s) = E Σ_t γ^t 1[s_t = s] of the expert, ``[state]``.
        starts: The share of demonstrations that start in each state, ``[state]``.
    """

    mdp: tabular.MDP
    counts: Float[Array, "*tasks state action"]
    visits: Float[Array, "*tasks state"]
    starts: Float[Array, "*tasks state"]


class Problem(NamedTuple):
    """Tasks that share their states.

    Attributes:
        features: What the reward network sees of each state, ``[state, feature]``.
        tasks: Stacked, leaves ``[task, ...]``.
        start: The parameters from which meta-training starts; None for the network's own.
    """

    features: Float[Array, "*batch state feature"]
    tasks: Task
    start: Any = None

    def subset(self, members: Any) -> "Problem":
        """The problem with some of its tasks.

        Args:
            members: Their indices.

        Returns:
            The smaller problem.
        """
        chosen = jnp.asarray(sorted(members))
        return self._replace(tasks=jax.tree.map(lambda leaf: leaf[chosen], self.tasks))


def reward_network(config: Config) -> Network:
    """The perceptron that the config asks for, 216,065 parameters on 100 one-hot states."""
    return mlp(config.hidden_sizes, initializer=config.initializer)


def inner_optimizer(rate: Any) -> optax.GradientTransformation:
    """AdamW; with a trace under its root, so that a gradient of zero has a second derivative."""
    return optax.adamw(rate, eps_root=1e-24)


def policy(reward: Rewards, task: Task, config: Config) -> Float[Array, "state action"]:
    """Log π(a|s) that a reward induces."""
    return _solve(reward, task, config)[0]


def _solve(
    reward: Rewards, task: Task, config: Config
) -> tuple[Float[Array, "state action"], Float[Array, " state"]]:
    """Log π and V; those of the first decision on a finite horizon."""
    mdp = task.mdp.replace(reward=reward)
    temperature = config.temperature if config.backup == "soft" else None
    if config.horizon is not None:
        solution = tabular.backward_induction(mdp, config.horizon, temperature=temperature)
        values, ahead, log_policy = solution.values[0], solution.values[1], solution.log_policy[0]
    else:
        found = tabular.value_iteration(mdp, temperature=temperature, tolerance=config.tolerance)
        values = ahead = found.values
        log_policy = found.log_policy
    if config.backup == "hard":
        q = tabular.action_values(mdp, ahead)
        log_policy = tabular.log_policy(mdp, q, config.temperature)
    return log_policy, values


def kl_loss(reward: Rewards, task: Task, config: Config) -> Float[Array, ""]:
    """L(r) = 1/|S| Σ_{s,a} μ(a|s) log(μ(a|s) / π(a|s)), in nats.

    Args:
        reward: r.
        task: Gives μ, the distribution of the expert's actions.
        config: Gives π, and what is done about states that the expert never visited.

    Returns:
        L. A terminal state, where nothing is done, adds nothing to the sum.
    """
    total = jnp.sum(task.counts, axis=-1, keepdims=True)
    expert = task.counts / jnp.where(total > 0, total, 1)
    acts = jnp.ones(expert.shape[0], bool) if task.mdp.terminal is None else ~task.mdp.terminal
    if config.unvisited == "uniform":
        expert = jnp.where((total > 0) | ~acts[:, None], expert, 1 / expert.shape[-1])
    taken = jnp.where(expert > 0, policy(reward, task, config), 0)
    divergence = jnp.sum(xlogy(expert, expert) - expert * taken, axis=-1)
    counted = {
        "all": jnp.ones_like(acts),
        "free": task.mdp.initial > 0,
        "visited": total[:, 0] > 0,
    }[config.states]
    return jnp.sum(jnp.where(counted, divergence, 0)) / jnp.sum(counted)


def visitation_loss(reward: Rewards, task: Task, config: Config) -> Float[Array, ""]:
    """(E V_r(s_0) − ⟨ρ_D, r⟩) (1 − γ)/τ, whose gradient is that of deep IRL.

    That is (ρ_π − ρ_D) (1 − γ)/τ: the visits of the policy less those of the expert, both as
    shares of an endless walk; on a horizon H, 1/H takes the place of 1 − γ. With hard value
    iteration ρ_π are the visits of the optimal policy.

    Args:
        reward: r.
        task: Gives ρ_D.
        config: Gives V.

    Returns:
        The loss, which can be negative.
    """
    _, values = _solve(reward, task, config)
    starts = task.starts if config.starts == "demonstrated" else task.mdp.initial
    partition = jnp.vdot(starts, values)
    share = 1 - task.mdp.discount if config.horizon is None else 1 / config.horizon
    return share / config.temperature * (partition - jnp.vdot(task.visits, reward))


def descended(reward: Rewards, task: Task, config: Config) -> Float[Array, ""]:
    """The function whose gradient the config descends."""
    loss = kl_loss if config.gradient == "kl" else visitation_loss
    return loss(reward, task, config)
