"""Task clustering: losses and features against plain linear algebra, dendrograms against SciPy."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster
from scipy.spatial.distance import squareform

from rlsuite.algorithms import task_clustering as tc
from rlsuite.algorithms.task_clustering import Config, Problem, Task
from rlsuite.core import run
from rlsuite.envs.gridworld import Layout
from rlsuite.envs.stacking import stack
from rlsuite.ops import tabular
from rlsuite.ops.projection import count_sketch
from rlsuite.problems.task_clustering import Worlds, expert_policy, maze_tasks

KEY = jax.random.key(0)
LAYOUTS = Layout.stack(
    [Layout.parse(text) for text in ("...\n.#.\n..G", "..G\n.#.\n...", "...\n...\n..G")]
)
SMALL = Config(hidden_sizes=(8,), inner_rate=1e-2, fine_tuning_rate=1e-2, fine_tuning_steps=3)


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@functools.cache
def small_problem():
    return maze_tasks(0, Worlds(num_trajectories=20, length=12), LAYOUTS)


def one(problem, index=0):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], problem.tasks)


def random_rewards(seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=9))


@functools.cache
def small_params(problem_key=0):
    return jax.jit(tc.reward_network(SMALL).init)(jax.random.key(problem_key), np.eye(9))


# Whole programs: operation by operation everything is compiled for itself.
kl_loss, policy_of, fine_tune = map(jax.jit, (tc.kl_loss, tc.policy, tc.fine_tune))
kl_slope, visitation_slope = (jax.jit(jax.grad(f)) for f in (tc.kl_loss, tc.visitation_loss))


# The losses.


def plain_policy(reward, task, *, soft=True, sweeps=2000):
    """π by sweeps of plain NumPy."""
    discount = float(task.mdp.discount)
    reached = np.asarray(task.mdp.transition.next_states)
    terminal = task.mdp.terminal
    values = np.zeros(len(reward))
    for _ in range(sweeps):
        q = reward[:, None] + discount * values[reached]
        values = np.log(np.exp(q).sum(axis=1)) if soft else q.max(axis=1)
        if terminal is not None:
            values = np.where(terminal, reward, values)
    q = reward[:, None] + discount * values[reached]
    return np.exp(q) / np.exp(q).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("worlds", "changes"),
    [
        ({}, {}),
        ({}, {"states": "free", "unvisited": "uniform"}),
        ({}, {"states": "visited"}),
        (
            {"absorbing": False, "stay": True, "obstacles": "walls"},
            {"unvisited": "uniform", "backup": "hard"},
        ),
    ],
)
def test_the_loss_is_the_divergence_from_the_experts_actions(x64, worlds, changes):
    config = dataclasses.replace(SMALL, tolerance=1e-12, **changes)
    task = one(maze_tasks(0, Worlds(num_trajectories=5, length=12, **worlds), LAYOUTS))
    reward = random_rewards()
    policy = plain_policy(np.asarray(reward), task, soft=config.backup == "soft")
    counts = np.asarray(task.counts)
    acts = np.ones(9, bool) if task.mdp.terminal is None else ~np.asarray(task.mdp.terminal)
    visited = counts.sum(axis=1) > 0
    total = 0.0
    for s in np.flatnonzero(acts):
        if visited[s]:
            expert = counts[s] / counts[s].sum()
        elif config.unvisited == "uniform":
            expert = np.full(counts.shape[1], 1 / counts.shape[1])
        else:
            continue
        if config.states == "free" and task.mdp.initial[s] == 0:
            continue
        chosen = expert > 0
        total += (expert[chosen] * np.log(expert[chosen] / policy[s, chosen])).sum()
    number = {"all": 9, "free": (np.asarray(task.mdp.initial) > 0).sum(), "visited": visited.sum()}
    expected = total / number[config.states]
    np.testing.assert_allclose(kl_loss(reward, task, config), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("worlds", "starts"),
    [
        ({}, "initial"),
        ({"absorbing": False, "stay": True}, "demonstrated"),
        ({"obstacles": "walls"}, "demonstrated"),
    ],
)
def test_the_visitation_loss_has_the_gradient_of_deep_irl(x64, worlds, starts):
    config = dataclasses.replace(SMALL, tolerance=1e-12, starts=starts, temperature=0.7)
    task = one(maze_tasks(0, Worlds(num_trajectories=5, length=12, **worlds), LAYOUTS))
    reward = random_rewards()
    begin = task.starts if starts == "demonstrated" else task.mdp.initial
    mdp = task.mdp.replace(reward=reward, initial=begin)
    policy = policy_of(reward, task, config)
    difference = tabular.visitation(mdp, policy).states - task.visits
    expected = difference * (1 - task.mdp.discount) / 0.7
    gradient = visitation_slope(reward, task, config)
    np.testing.assert_allclose(gradient, expected, atol=1e-7)


def test_on_a_finite_horizon_visits_are_those_of_so_many_decisions(x64):
    config = dataclasses.replace(SMALL, horizon=6)
    worlds = Worlds(num_trajectories=5, length=6, tail="drop", absorbing=False)
    task = one(maze_tasks(0, worlds, LAYOUTS))
    reward = random_rewards()
    mdp = task.mdp.replace(reward=reward, initial=task.starts)
    solution = tabular.backward_induction(mdp, 6, temperature=1.0)
    visited = tabular.finite_visitation(mdp, solution.log_policy).states[:-1].sum(axis=0)
    gradient = visitation_slope(reward, task, config)
    np.testing.assert_allclose(gradient, (visited - task.visits) / 6, atol=1e-7)


def test_the_expert_of_a_reward_has_neither_loss_nor_gradient(x64):
    """A soft-optimal expert, known exactly, is a stationary point of both losses."""
    task = one(maze_tasks(0, Worlds(num_trajectories=5, length=12), LAYOUTS))
    config = dataclasses.replace(SMALL, tolerance=1e-12)
    reward = random_rewards()
    policy = policy_of(reward, task, config)
    visited = tabular.visitation(task.mdp.replace(reward=reward), policy)
    expert = Task(task.mdp, visited.state_actions, visited.states, task.mdp.initial)
    np.testing.assert_allclose(kl_loss(reward, expert, config), 0, atol=1e-9)
    for slope in (kl_slope, visitation_slope):
        np.testing.assert_allclose(slope(reward, expert, config), 0, atol=1e-7)


def test_experts_break_ties_as_they_are_told():
    mdp = one(small_problem()).mdp
    shared, first = expert_policy(mdp, "shared"), expert_policy(mdp, "first")
    assert np.isfinite(shared).sum(axis=1).max() > 1
    assert np.all(np.isfinite(first).sum(axis=1) == 1)
    assert np.all(np.isfinite(shared)[np.isfinite(first)])


def test_exact_demonstrations_are_the_limit_of_many():
    many = maze_tasks(0, Worlds(num_trajectories=4000), LAYOUTS).tasks
    exact = maze_tasks(0, Worlds(demonstrations="exact"), LAYOUTS).tasks
    np.testing.assert_allclose(many.visits, exact.visits, atol=0.12)
    np.testing.assert_allclose(many.starts, exact.starts, atol=0.03)


# The features.


@functools.cache
def measured():
    return jax.jit(functools.partial(tc.measure, config=SMALL))(small_params(), small_problem())


def test_parameter_gradients_are_reward_gradients_pulled_back():
    network = tc.reward_network(SMALL)
    jacobian = jax.jit(jax.jacobian(lambda p: network.apply(p, np.eye(9))))(small_params())
    leaves = map(np.asarray, jax.tree.leaves(jacobian))
    flat = np.concatenate([leaf.reshape(9, -1) for leaf in leaves], axis=1)
    result = measured()
    expected = np.asarray(result.reward_gradient) @ flat
    np.testing.assert_allclose(result.parameter_gradient, expected, atol=1e-6)
    kernel = jax.jit(tc.reward_kernel, static_argnums=2)(small_params(), np.eye(9), network)
    np.testing.assert_allclose(kernel, flat @ flat.T, rtol=1e-4, atol=1e-6)


def test_displacements_are_where_fine_tuning_leads():
    problem = small_problem()
    for index in range(3):
        end = fine_tune(small_params(), one(problem, index), problem.features, SMALL)
        flat = [
            np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
            for tree in (end.params, small_params())
        ]
        moved, loss = np.asarray(measured().displacement), np.asarray(measured().loss)
        np.testing.assert_allclose(moved[index], flat[0] - flat[1], atol=1e-6)
        np.testing.assert_allclose(loss[index], np.asarray(end.monitored)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("metric", "same"),
    [
        ("cosine", ("parameter-gradient", "weighted-parameter-gradient")),
        ("cosine", ("reward-gradient", "weighted-reward-gradient")),
        ("euclidean", ("adapted", "displacement")),
    ],
)
def test_features_that_are_the_same_by_a_metric(metric, same):
    features = tc.features(measured())
    first, second = (tc.distances(features[name], metric) for name in same)
    np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-9)


def test_a_weighted_gradient_is_as_long_as_the_loss():
    features = tc.features(measured())
    for name in ("weighted-parameter-gradient", "weighted-reward-gradient"):
        lengths = np.linalg.norm(features[name], axis=1)
        np.testing.assert_allclose(lengths, measured().loss, rtol=1e-5)


@pytest.mark.parametrize("feature", ["parameter-gradient", "displacement"])
def test_sketches_keep_inner_products(feature):
    full = tc.features(measured())[feature]
    products = []
    sketch = jax.jit(
        lambda projection: tc.sketches(
            small_params(), small_problem(), projection, SMALL, feature=feature
        )
    )
    for seed in range(40):
        projection = count_sketch(jax.random.key(seed), full.shape[1], 64)
        small = sketch(projection)
        products.append(np.asarray(small) @ np.asarray(small).T)
    scale = np.outer(*[np.linalg.norm(full, axis=1)] * 2)
    error = (np.mean(products, axis=0) - full @ full.T) / scale
    assert np.abs(error).max() < 4 * (2 / 64 / 40) ** 0.5


# Meta-training.


def test_the_network_of_the_talk_has_216065_parameters():
    params = jax.eval_shape(tc.reward_network(Config()).init, KEY, jnp.eye(100))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 216_065


def test_many_problems_in_one_program_are_each_what_they_are_alone():
    problems = [
        maze_tasks(seed, Worlds(num_trajectories=20, length=12), LAYOUTS)._replace(
            start=small_params(seed)
        )
        for seed in range(2)
    ]

    def make(problem, config):
        return tc.make(problem, config)._replace(evaluate=None)

    together = run(make, stack(problems), SMALL, KEY, 5, num_problems=2, progress=False)
    alone = run(make, problems[1], SMALL, KEY, 5, progress=False)
    for x, y in zip(
        jax.tree.leaves(together.state.params), jax.tree.leaves(alone.state.params), strict=True
    ):
        np.testing.assert_allclose(x[1], y, atol=1e-5)


def test_a_cluster_of_alike_tasks_adapts_better_than_all_together():
    """Tasks 0 and 2 have the same goal, task 1 another."""
    worlds = Worlds(demonstrations="exact", absorbing=False, stay=True)
    problem = maze_tasks(0, worlds, LAYOUTS)._replace(start=small_params())
    config = dataclasses.replace(SMALL, outer_rate=3e-2, fine_tuning_rate=1e-3)
    everything = run(tc.make, problem, config, KEY, 150, progress=False)
    # As many tasks again, so that one program serves both.
    alike = run(tc.make, problem.subset((0, 2, 2)), config, KEY, 150, progress=False)
    from_all = everything.evaluations.curves[[0, 2], -1, -1]
    from_own = alike.evaluations.curves[:2, -1, -1]
    assert np.all(from_own < 0.7 * from_all)


def test_act_follows_the_adapted_policy():
    problem = small_problem()
    algorithm = tc.make(problem, SMALL)
    state = jax.jit(algorithm.init)(KEY)
    end = fine_tune(state.params, one(problem), problem.features, SMALL)
    reward = jax.jit(tc.reward_network(SMALL).apply)(end.params, problem.features)
    keys = jax.random.split(KEY, 4000)
    _, carry = jax.jit(algorithm.act)(KEY, state, jnp.asarray(3), None)
    draw = jax.jit(jax.vmap(lambda key: algorithm.act(key, state, jnp.asarray(3), carry)[0]))
    shares = np.bincount(draw(keys), minlength=4) / 4000
    expected = np.exp(np.asarray(policy_of(reward, one(problem), SMALL))[3])
    np.testing.assert_allclose(shares, expected, atol=0.03)


def test_too_many_tasks_are_named():
    config = dataclasses.replace(SMALL, num_tasks=4)
    with pytest.raises(ValueError, match="num_tasks is 4; allowed: at most 3"):
        tc.make(small_problem(), config)


# Dendrograms.


def planted(seed=0, sizes=(5, 4, 3), spread=0.1):
    """Points around corners far apart, and their partition."""
    generator = np.random.default_rng(seed)
    corners = 3 * np.eye(len(sizes))
    points = np.concatenate(
        [corners[i] + spread * generator.normal(size=(n, len(sizes))) for i, n in enumerate(sizes)]
    )
    ends = np.cumsum(sizes)
    parts = [frozenset(range(end - n, end)) for n, end in zip(sizes, ends, strict=True)]
    return points, parts


@pytest.mark.parametrize("metric", tc.METRICS)
def test_cuts_are_those_of_scipy(metric):
    points, _ = planted(spread=2.0)
    tree = tc.linkage(tc.distances(points, metric))
    for number in range(1, len(points) + 1):
        ours = tc.labels(tc.cut(tree, number))
        theirs = fcluster(tree, number, "maxclust")
        assert len(set(zip(ours.tolist(), theirs.tolist(), strict=True))) == number


def test_subtrees_are_what_was_planted():
    points, parts = planted()
    pairs = tc.distances(points, "euclidean")
    assert set(parts) <= tc.subtrees(tc.linkage(pairs))
    assert tc.cut(tc.linkage(pairs), 3) == parts
    assert tc.choose_number(pairs)[0] == 3
    assert tc.share_with(parts[0], [pairs, np.random.default_rng(0).random(pairs.size)]) == 0.5


def test_the_silhouette_is_its_definition():
    points, _ = planted(spread=1.5)
    square = squareform(tc.distances(points, "euclidean"))
    clusters = [frozenset((0, 3, 7)), frozenset((1, 2, 4, 5, 6, 8, 9, 10)), frozenset((11,))]
    scores = []
    for i in range(len(points)):
        (own,) = (c for c in clusters if i in c)
        if len(own) == 1:
            scores.append(0.0)
            continue
        a = np.mean([square[i, j] for j in own if j != i])
        b = min(np.mean([square[i, j] for j in c]) for c in clusters if c != own)
        scores.append((b - a) / max(a, b))
    ours = tc.silhouette(squareform(square), clusters)
    np.testing.assert_allclose(ours, np.mean(scores), rtol=1e-12)


def test_support_tells_the_sure_from_the_doubtful():
    """All runs pair 0 with 1; some pair 2 with 3, as many 2 with 4."""
    runs = []
    for third, fourth in ((3, 4), (4, 3)) * 10:
        square = np.full((5, 5), 9.0)
        square[0, 1] = square[1, 0] = 1.0
        square[2, third] = square[third, 2] = 2.0
        square[2, fourth] = square[fourth, 2] = 4.0
        np.fill_diagonal(square, 0)
        runs.append(squareform(square))
    support = tc.support(np.asarray(runs), resamples=400)
    assert support[frozenset((0, 1))] == 1
    assert support[frozenset(range(5))] == 1
    doubtful = [share for pair, share in support.items() if 2 in pair and len(pair) == 2]
    assert all(0.3 < share < 0.8 for share in doubtful)
    assert len(doubtful) == 1


def test_combined_distances_weigh_features_alike():
    first, second = np.asarray([1.0, 2.0, 3.0]), np.asarray([300.0, 200.0, 100.0])
    np.testing.assert_allclose(tc.combined([first, second]), [1.0, 1.0, 1.0])


def test_an_unseen_task_joins_its_like():
    points, parts = planted()
    for i, members in enumerate(parts):
        new = points[sorted(members)].mean(axis=0) + 0.2
        to_members = np.linalg.norm(points - new, axis=1)
        assert tc.assign(to_members, parts) == i


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tc.distances(np.eye(2), "manhattan"), "metric is 'manhattan'; allowed: cosine"),
        (lambda: tc.distances(np.eye(2)[:1], "cosine"), "of 1 tasks; allowed: at least two"),
        (lambda: tc.distances(np.zeros((2, 3)), "cosine"), "a zero vector for a cosine"),
        (lambda: tc.cut(tc.linkage(np.ones(3)), 4), "number is 4; allowed: from 1 to 3"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_subset_has_the_tasks_in_order():
    problem = small_problem()
    part = problem.subset({2, 0})
    assert isinstance(part, Problem)
    np.testing.assert_array_equal(part.tasks.counts, problem.tasks.counts[jnp.asarray([0, 2])])
