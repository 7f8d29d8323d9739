"""What is earned in worlds of pictures by who knows the true system: by plans, and by LQR."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from rlsuite.algorithms import latent_models
from rlsuite.algorithms.latent_models import Config
from rlsuite.envs.control import Control
from rlsuite.ops import lqr, planning
from rlsuite.problems.episodes import random_return


def planned_returns(problem: Control, config: Config) -> dict[str, float]:
    """What random actions earn in a world seen as pictures, and plans made with the true system.

    Args:
        problem: Without noise.
        config: Of which what concerns plans counts.

    Returns:
        Returns by name; "planned" is that of four episodes.
    """
    environment, params = problem.environment, problem.params
    planner, m = latent_models.planner_of(config), problem.actions.size

    @jax.jit
    def earned(key: PRNGKeyArray) -> Array:
        of_start, of_steps = jax.random.split(key)
        start, goal = environment.first(of_start, params)

        def follow(x: Array, action: Array) -> tuple[Array, Array]:
            paid = environment.cost(x, action, goal, params)
            return environment.advance(x, action, params), paid

        def step(now: tuple[Array, Array], key: PRNGKeyArray) -> tuple[tuple[Array, Array], Array]:
            x, plan = now
            plan = planner(key, lambda plan: jnp.sum(jax.lax.scan(follow, x, plan)[1]), plan)
            after, paid = follow(x, plan[0])
            return (after, planning.shifted(plan)), paid

        keys = jax.random.split(of_steps, int(params.max_steps_in_episode))
        idle = jnp.zeros((config.plan_length, m))
        return -jnp.sum(jax.lax.scan(step, (start, idle), keys)[1])

    found = jnp.mean(jax.lax.map(earned, jax.random.split(jax.random.key(0), 4)))
    return {"random": random_return(problem), "planned": float(found)}


def balance_returns(problem: Control) -> dict[str, float]:
    """What random actions earn in a world that is to stay where it is, none, and LQR.

    Args:
        problem: Seen as pictures, whose episodes begin at rest in the goal.

    Returns:
        Returns by name; "lqr" is that of the true state around the goal, over 200 episodes.
    """
    environment, params = problem.environment, problem.params
    steps, m = int(params.max_steps_in_episode), environment.action_size

    @jax.jit
    def earned(key: PRNGKeyArray) -> tuple[Array, Array]:
        start, goal = environment.first(key, params)
        there = environment.wanted(goal, params)
        known = environment.linear_quadratic(there, jnp.zeros(m), goal, params)
        each = jax.tree.map(lambda x: jnp.broadcast_to(x, (steps, *x.shape)), known)
        dynamics = lqr.Dynamics(each.A, each.B, each.offset, each.W)
        cost = lqr.Quadratic(each.C, each.c, each.constant)
        n = there.size
        none = lqr.Quadratic(jnp.zeros((n, n)), jnp.zeros(n), jnp.zeros(()))
        policy = lqr.solve(lqr.Problem(dynamics, cost, none)).policy

        def walk(gain: Array, offset: Array, key: PRNGKeyArray) -> Array:
            def step(x: Array, given: tuple[Array, Array, PRNGKeyArray]) -> tuple[Array, Array]:
                action = jnp.clip(given[0] @ x + given[1], -1, 1)
                noise = params.noise * jax.random.normal(given[2], x.shape)
                paid = environment.cost(x, action, goal, params)
                return environment.advance(x, action, params) + noise, paid

            keys = jax.random.split(key, steps)
            return -jnp.sum(jax.lax.scan(step, start, (gain, offset, keys))[1])

        keys = jax.random.split(key, 200)
        found = jax.vmap(lambda key: walk(policy.gain, policy.offset, key))(keys)
        still = jax.tree.map(jnp.zeros_like, policy)
        idle = jax.vmap(lambda key: walk(still.gain, still.offset, key))(keys)
        return jnp.mean(found), jnp.mean(idle)

    best, idle = earned(jax.random.key(0))
    return {"random": random_return(problem), "idle": float(idle), "lqr": float(best)}
