"""Inner loops and gradients through them, against closed forms and plainly written loops."""

import functools
import inspect
import itertools
import os
import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from rlsuite.ops import meta

SIZE = 5
RATE = 0.1


def positive_definite(rng):
    root = rng.normal(size=(SIZE, SIZE))
    return root @ root.T / SIZE + np.eye(SIZE)


def make_task(seed):
    """(A, a), (B, b) of the support and query losses (x − a)ᵀ A (x − a) / 2."""
    rng = np.random.default_rng(seed)
    return tuple((positive_definite(rng), rng.normal(size=SIZE)) for _ in range(2))


START = np.random.default_rng(9).normal(size=SIZE)
RATES = np.linspace(0.4, 1.3, SIZE)
SUPPORT, QUERY = make_task(0)

# Each mask, and which of the five entries it lets adapt.
MASKS = {
    "all": (True, np.ones(SIZE)),
    "prefix": ({"body": False, "head": True}, np.array([0, 0, 1, 1, 1])),
    "leaves": ({"body": True, "head": (False, True)}, np.array([1, 1, 0, 1, 1])),
}
# No step, one, steps written out, and segments with a rest.
CASES = [(0, "leaves"), (1, "all"), (5, "prefix"), (5, "all"), (13, "leaves"), (13, "all")]


def tree(x):
    """Five numbers as a tree of three leaves, one of them a matrix."""
    return {"body": x[:2], "head": (x[2:3], x[3:].reshape(1, 2))}


def flat(params):
    return ravel_pytree(params)[0]


def quadratic(params, data):
    matrix, centre = data
    offset = flat(params) - centre
    return offset @ matrix @ offset / 2


def powers(matrix, count):
    return np.linalg.matrix_power(matrix, count)


def close(value, expected, tolerance=1e-10):
    np.testing.assert_allclose(value, expected, rtol=0, atol=tolerance)


def meta_gradient(start=START, support=SUPPORT, query=QUERY, *, loss=quadratic, **options):
    options = {"optimizer": optax.sgd(RATE), **options}

    @jax.jit
    def run(start, support, query):
        return meta.meta_gradient(loss, tree(start), support, query, **options)

    return run(start, support, query)


class TestQuadratic:
    """One step of gradient descent is x ← a + M (x − a) with M = I − α P A."""

    @pytest.mark.parametrize(("num_steps", "mask"), CASES)
    def test_paths_of_gradient_descent(self, num_steps, mask):
        (matrix, centre), (query_matrix, query_centre) = SUPPORT, QUERY
        mask, adapts = MASKS[mask]
        through = powers(np.eye(SIZE) - RATE * adapts[:, None] * matrix, num_steps)
        end = centre + through @ (START - centre)
        slope = query_matrix @ (end - query_centre)
        expected = {"maml": through.T @ slope, "first-order": slope, "reptile": START - end}

        @jax.jit
        def run(start):
            return {
                method: meta_gradient(start, num_steps=num_steps, method=method, mask=mask)
                for method in expected
            }

        for method, result in run(START).items():
            close(flat(result.gradient), expected[method])
            close(flat(result.adapted.params), end)
            close(result.loss, slope @ (end - query_centre) / 2)
            assert result.rates is None
            assert result.adapted.monitored is None
            assert result.adapted.losses.shape == (num_steps,)

    @pytest.mark.parametrize(("num_steps", "mask"), CASES)
    def test_meta_sgd(self, num_steps, mask):
        (matrix, centre), (query_matrix, query_centre) = SUPPORT, QUERY
        mask, adapts = MASKS[mask]
        step = np.eye(SIZE) - RATE * (adapts * RATES)[:, None] * matrix
        slope = query_matrix @ (centre + powers(step, num_steps) @ (START - centre) - query_centre)
        of_rates = np.zeros(SIZE)
        for k in range(num_steps):
            pull = matrix @ powers(step, k) @ (START - centre)
            of_rates -= RATE * adapts * pull * (powers(step, num_steps - 1 - k).T @ slope)
        result = meta_gradient(num_steps=num_steps, mask=mask, rates=tree(RATES))
        close(flat(result.gradient), powers(step, num_steps).T @ slope)
        close(flat(result.rates), of_rates)

    @pytest.mark.parametrize(("mask", "proximity"), [("all", 0.7), ("prefix", 5), ("leaves", 0.7)])
    def test_implicit(self, mask, proximity):
        """Gradients of the exact minimum, and of where thirteen steps end, whose Hessian it is."""
        (matrix, centre), (query_matrix, query_centre) = SUPPORT, QUERY
        mask, adapts = MASKS[mask]
        inside, outside = np.flatnonzero(adapts), np.flatnonzero(adapts == 0)
        damped = matrix[np.ix_(inside, inside)] + proximity * np.eye(len(inside))
        jacobian = np.eye(SIZE)
        jacobian[np.ix_(inside, inside)] = proximity * np.linalg.inv(damped)
        jacobian[np.ix_(inside, outside)] = -np.linalg.solve(damped, matrix[inside][:, outside])
        minimum = START.copy()
        pull = proximity * START + matrix @ centre - matrix[:, outside] @ START[outside]
        minimum[inside] = np.linalg.solve(damped, pull[inside])
        through = np.eye(SIZE)
        through[inside] -= RATE * (matrix + proximity * np.eye(SIZE))[inside]
        options = {"method": "implicit", "mask": mask, "proximity": proximity}
        for num_steps in 13, 400:
            end = minimum + powers(through, num_steps) @ np.where(adapts, START - minimum, 0)
            result = meta_gradient(num_steps=num_steps, cg_tolerance=1e-14, **options)
            close(flat(result.adapted.params), end)
            close(flat(result.gradient), jacobian.T @ query_matrix @ (end - query_centre))
        close(flat(result.adapted.params), minimum)

    @pytest.mark.parametrize(
        ("num_steps", "nesterov"), [(0, False), (5, False), (5, True), (13, False), (13, True)]
    )
    def test_momentum(self, num_steps, nesterov):
        """(x − a, trace) follow a linear recurrence, whose power is differentiated."""
        (matrix, centre), (query_matrix, query_centre) = SUPPORT, QUERY
        decay, eye = 0.8, np.eye(SIZE)
        trace = np.hstack([matrix, decay * eye])
        update = np.hstack([matrix, 0 * eye]) + decay * trace if nesterov else trace
        both = powers(np.vstack([np.hstack([eye, 0 * eye]) - RATE * update, trace]), num_steps)
        end = centre + both[:SIZE, :SIZE] @ (START - centre)
        optimizer = optax.sgd(RATE, momentum=decay, nesterov=nesterov)
        result = meta_gradient(num_steps=num_steps, optimizer=optimizer)
        slope = query_matrix @ (end - query_centre)
        close(flat(result.gradient), both[:SIZE, :SIZE].T @ slope)
        close(flat(result.adapted.params), end)
        close(flat(result.adapted.optimizer), both[SIZE:, :SIZE] @ (START - centre))

    @pytest.mark.parametrize("num_steps", [5, 13])
    def test_second_derivatives(self, num_steps):
        through = powers(np.eye(SIZE) - RATE * SUPPORT[0], num_steps)

        def query_loss(start):
            end = meta.adapt(
                quadratic, tree(start), SUPPORT, optimizer=optax.sgd(RATE), num_steps=num_steps
            )
            return quadratic(end.params, QUERY)

        close(jax.jit(jax.hessian(query_loss))(START), through.T @ QUERY[0] @ through)


def network_loss(params, points):
    """A loss that is no quadratic: the regression of a tanh network of five weights."""
    x, y = points
    hidden = jnp.tanh(x[:, None] * params["body"] + params["head"][0])
    return jnp.mean((hidden @ params["head"][1][0] - y) ** 2)


def points(seed):
    x = np.random.default_rng(seed).uniform(-2, 2, size=7)
    return x, np.sin(x)


def reference_adam(start, data, num_steps, *, rate, eps, eps_root, decay, b1=0.9, b2=0.999):
    """Kingma and Ba's algorithm 1 with a root's own ε, and decoupled decay, written out."""
    x, first, second = start, 0.0 * start, 0.0 * start
    for step in range(1, num_steps + 1):
        slope = jax.grad(lambda x: network_loss(tree(x), data))(x)
        first = b1 * first + (1 - b1) * slope
        second = b2 * second + (1 - b2) * slope**2
        root = jnp.sqrt(second / (1 - b2**step) + eps_root)
        x = x - rate * (first / (1 - b1**step) / (root + eps) + decay * x)
    return x, first, second


class TestAdam:
    @pytest.mark.parametrize(("num_steps", "decay"), [(3, 0.0), (9, 0.1)])
    def test_against_a_plain_loop_and_finite_differences(self, num_steps, decay):
        numbers = {"rate": 0.05, "eps": 1e-6, "eps_root": 1e-4}
        names = {"learning_rate": 0.05, "eps": 1e-6, "eps_root": 1e-4}
        optimizer = optax.adamw(**names, weight_decay=decay) if decay else optax.adam(**names)
        # Optax's bias correction mixes dtypes.
        with jax.numpy_dtype_promotion("standard"):
            result = meta_gradient(
                START,
                points(1),
                points(2),
                loss=network_loss,
                optimizer=optimizer,
                num_steps=num_steps,
            )

        @jax.jit
        @functools.partial(jax.value_and_grad, has_aux=True)
        def reference(start):
            end = reference_adam(start, points(1), num_steps, decay=decay, **numbers)
            return network_loss(tree(end[0]), points(2)), end

        (_, (end, first, second)), gradient = reference(START)
        close(flat(result.gradient), gradient, 1e-12)
        close(flat(result.adapted.params), end, 1e-12)
        (state,) = (part for part in result.adapted.optimizer if hasattr(part, "mu"))
        assert state.count == num_steps
        close(flat(state.mu), first, 1e-12)
        close(flat(state.nu), second, 1e-12)

        way = np.random.default_rng(3).normal(size=SIZE)

        def slope(step):
            up, down = (reference(START + sign * step * way)[0][0] for sign in (1, -1))
            return (up - down) / (2 * step)

        richardson = (4 * slope(5e-4) - slope(1e-3)) / 3
        np.testing.assert_allclose(flat(result.gradient) @ way, richardson, rtol=1e-8)


class TestInnerLoop:
    @pytest.mark.parametrize("num_steps", [0, 3, 11])
    def test_equals_a_plain_loop(self, num_steps):
        """The loss curve, what is monitored, the keys, the proximity, and data of any structure."""
        key, proximity = jax.random.key(5), 0.3
        data = {"task": SUPPORT, "scale": (np.asarray(2.0), None)}

        def loss(params, data, key):
            noise = jax.random.normal(key, (SIZE,))
            return data["scale"][0] * quadratic(params, data["task"]) + noise @ flat(params)

        @jax.jit
        def run(start, data):
            return meta.adapt(
                loss,
                tree(start),
                data,
                optimizer=optax.sgd(RATE, momentum=0.5),
                num_steps=num_steps,
                proximity=proximity,
                key=key,
                monitor=lambda params: {"size": jnp.sum(flat(params) ** 2), "params": params},
            )

        result = run(START, data)
        x, trace, losses, path = START, np.zeros(SIZE), [], [START]
        for k in range(num_steps):
            noise = np.asarray(jax.random.normal(jax.random.fold_in(key, k), (SIZE,)))
            losses.append(2 * quadratic(tree(x), SUPPORT) + noise @ x)
            slope = 2 * SUPPORT[0] @ (x - SUPPORT[1]) + noise + proximity * (x - START)
            trace = slope + 0.5 * trace
            x = x - RATE * trace
            path.append(x)
        close(result.losses, np.asarray(losses), 1e-12)
        close(flat(result.params), x, 1e-12)
        close(flat(result.optimizer), trace, 1e-12)
        path = np.stack(path)
        close(result.monitored["size"], np.sum(path**2, axis=1), 1e-12)
        seen = [leaf.reshape(num_steps + 1, -1) for leaf in jax.tree.leaves(result.monitored)[:3]]
        close(np.hstack(seen), path, 1e-12)

    @pytest.mark.parametrize("method", ["maml", "first-order", "implicit"])
    def test_the_query_loss_has_a_key_and_may_be_another(self, method):
        key = jax.random.key(5)

        def loss(params, data, key):
            del key
            return quadratic(params, data)

        def query_loss(params, data, key):
            return data * (jax.random.normal(key, (SIZE,)) @ flat(params))

        result = meta_gradient(
            query=np.asarray(3.0),
            loss=loss,
            query_loss=query_loss,
            num_steps=4,
            method=method,
            proximity=2.0,
            key=key,
        )
        slope = 3 * np.asarray(jax.random.normal(jax.random.fold_in(key, 4), (SIZE,)))
        through = {
            "maml": powers(np.eye(SIZE) - RATE * SUPPORT[0], 4),
            "first-order": np.eye(SIZE),
            "implicit": np.linalg.inv(np.eye(SIZE) + SUPPORT[0] / 2.0),
        }
        close(flat(result.gradient), through[method].T @ slope)

    def test_segments_change_nothing(self):
        """One plain loop gives the gradients of the query loss after 1, …, 30 steps."""
        optimizer = optax.sgd(0.3, momentum=0.9)

        def loss(x, centre):
            return jnp.sum(jnp.cos(x - centre))

        @jax.jit
        @jax.jacrev
        def reference(x):
            state, losses = optimizer.init(x), []
            for _ in range(30):
                updates, state = optimizer.update(jax.grad(loss)(x, 0.5), state)
                x = optax.apply_updates(x, updates)
                losses.append(loss(x, 0.0))
            return jnp.stack(losses)

        @functools.partial(jax.jit, static_argnums=1)
        def gradient(x, num_steps):
            return meta.meta_gradient(
                loss, x, 0.5, 0.0, optimizer=optimizer, num_steps=num_steps
            ).gradient

        for num_steps, expected in enumerate(reference(START), start=1):
            close(gradient(START, num_steps), expected, 1e-12)

    def test_scalars_are_parameters(self):
        """Three halvings of the distance, and the derivative of that."""
        optimizer = optax.sgd(0.5)

        def loss(x, centre):
            return (x - centre) ** 2 / 2

        @jax.jit
        def run(start, support, query):
            return meta.meta_gradient(loss, start, support, query, optimizer=optimizer, num_steps=3)

        result = run(5.0, 1.0, 0.0)
        assert (float(result.loss), float(result.gradient)) == (1.125, 0.1875)
        assert result.adapted.losses.tolist() == [8.0, 2.0, 0.5]


def temporaries(method, num_steps):
    """Bytes of the compiled meta-gradient of a network of 1,153 weights."""
    widths = (1, 32, 32, 1)
    layers = [
        (jax.ShapeDtypeStruct((m, n), float), jax.ShapeDtypeStruct((n,), float))
        for m, n in itertools.pairwise(widths)
    ]
    data = (jax.ShapeDtypeStruct((10, 1), float), jax.ShapeDtypeStruct((10, 1), float))

    def loss(layers, data):
        x, y = data
        for kernel, bias in layers:
            x = jnp.tanh(x @ kernel + bias)
        return jnp.mean((x - y) ** 2)

    def run(layers, support, query):
        result = meta.meta_gradient(
            loss,
            layers,
            support,
            query,
            optimizer=optax.sgd(0.01),
            num_steps=num_steps,
            method=method,
        )
        return result.loss, result.gradient

    compiled = jax.jit(run).lower(layers, data, data).compile()
    return compiled.memory_analysis().temp_size_in_bytes


class TestMemory:
    def test_grows_like_the_root_of_the_steps(self):
        """Sixteen times the steps take about four times the memory."""
        assert temporaries("maml", 400) / temporaries("maml", 25) <= 6

    @pytest.mark.parametrize("method", ["first-order", "reptile", "implicit"])
    def test_is_flat_without_the_loop_s_derivative(self, method):
        few, many = (temporaries(method, num_steps) for num_steps in (25, 400))
        assert many / few <= 1.05


def stack(*trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


class TestTransformations:
    @pytest.mark.parametrize("method", ["maml", "first-order", "reptile", "implicit"])
    def test_tasks_are_mapped(self, method):
        tasks = [make_task(seed) for seed in range(3)]
        options = {"optimizer": optax.sgd(RATE), "num_steps": 5, "method": method}

        @jax.jit
        def one(support, query):
            return meta.meta_gradient(quadratic, tree(START), support, query, **options)

        together = jax.jit(jax.vmap(one))(*stack(*tasks))
        for index, task in enumerate(tasks):
            alone = one(*task)
            assert jax.tree.structure(together) == jax.tree.structure(alone)
            for x, y in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
                close(x[index], y, 1e-12)

    def test_seeds_and_rates_are_mapped(self):
        (matrix, centre), (query_matrix, query_centre) = SUPPORT, QUERY
        rates = np.array([0.05, 0.1, 0.2])
        starts = np.random.default_rng(4).normal(size=(2, SIZE))

        def of(start, rate):
            return meta.meta_gradient(
                quadratic, tree(start), SUPPORT, QUERY, optimizer=optax.sgd(rate), num_steps=10
            )

        result = jax.jit(jax.vmap(jax.vmap(of, (None, 0)), (0, None)))(starts, rates)
        for i, start in enumerate(starts):
            for j, rate in enumerate(rates):
                through = powers(np.eye(SIZE) - rate * matrix, 10)
                slope = query_matrix @ (centre + through @ (start - centre) - query_centre)
                gradient = jax.tree.map(lambda leaf, i=i, j=j: leaf[i, j], result.gradient)
                close(flat(gradient), through.T @ slope)

    def test_the_proximity_is_mapped_and_differentiated(self):
        """d/dλ of the exact minimum's query loss, by hand."""
        (matrix, centre), (query_matrix, query_centre) = SUPPORT, QUERY

        def query_loss(proximity):
            end = meta.adapt(
                quadratic,
                tree(START),
                SUPPORT,
                optimizer=optax.sgd(RATE),
                num_steps=400,
                proximity=proximity,
            )
            return quadratic(end.params, QUERY)

        proximities = np.array([0.5, 2.0])
        result = jax.jit(jax.vmap(jax.grad(query_loss)))(proximities)
        for value, proximity in zip(result, proximities, strict=True):
            damped = matrix + proximity * np.eye(SIZE)
            end = np.linalg.solve(damped, matrix @ centre + proximity * START)
            moved = np.linalg.solve(damped, START - end)
            close(value, query_matrix @ (end - query_centre) @ moved)


def of_task(start, support, query, key):
    """A stochastic meta-gradient, of a task with a key of its own."""
    del query

    def loss(params, data, key):
        return quadratic(params, data) + jax.random.normal(key, (SIZE,)) @ flat(params)

    result = meta.meta_gradient(
        loss, tree(start), support, support, optimizer=optax.sgd(RATE), num_steps=3, key=key
    )
    return result.loss, result.gradient


def sixteen_tasks():
    return *stack(*map(make_task, range(16))), jax.random.split(jax.random.key(0), 16)


def uses_of_the_mean(mesh=None):
    """Its value, mapped over starts too, and the gradient through it, in one program."""
    tasks = sixteen_tasks()

    def mean(start):
        return meta.mean_over_tasks(of_task, start, *tasks, mesh=mesh)

    @jax.jit
    def uses(starts):
        return mean(starts[0]), jax.vmap(mean)(starts), jax.grad(lambda x: mean(x)[0])(starts[0])

    return uses(np.stack([START, 2 * START, -START]))


DEVICES = """
import sys
import jax
import jax.numpy as jnp
import numpy as np
from ops import test_meta
from rlsuite.ops import meta

mesh = jax.make_mesh((8,), ("task",), axis_types=(jax.sharding.AxisType.Auto,))
leaves = jax.tree.leaves(test_meta.uses_of_the_mean(mesh))
assert all(len(leaf.sharding.device_set) == 8 for leaf in leaves)
np.savez(sys.argv[1], *map(np.asarray, leaves))

def place(_, task):
    return jax.nn.one_hot(jax.lax.axis_index("task"), 8) * task

shares = meta.mean_over_tasks(place, None, jnp.ones(16), mesh=mesh)
np.testing.assert_array_equal(shares, np.full(8, 1 / 8))
try:
    meta.mean_over_tasks(place, None, jnp.ones(12), mesh=mesh)
except ValueError as error:
    assert "tasks are 12; allowed over 8 devices: a multiple" in str(error), error
else:
    raise AssertionError("twelve tasks were shared out to eight devices")
"""


class TestMeanOverTasks:
    def test_is_the_mean(self):
        tasks = sixteen_tasks()
        mean = jax.jit(lambda start: meta.mean_over_tasks(of_task, start, *tasks))(START)
        single = jax.jit(of_task)
        each = [single(START, *jax.tree.map(lambda leaf, i=i: leaf[i], tasks)) for i in range(16)]
        for index, leaf in enumerate(jax.tree.leaves(mean)):
            close(leaf, np.mean([jax.tree.leaves(one)[index] for one in each], axis=0), 1e-12)

    def test_eight_devices_equal_one(self, tmp_path):
        path = tmp_path / "eight.npz"
        done = subprocess.run(
            [sys.executable, "-c", DEVICES, str(path)],
            cwd=pathlib.Path(__file__).parents[1],
            env={**os.environ, "JAX_NUM_CPU_DEVICES": "8", "JAX_ENABLE_X64": "1"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        with np.load(path) as eight:
            for x, y in zip(jax.tree.leaves(uses_of_the_mean()), eight.values(), strict=True):
                close(x, y, 1e-12)

    @pytest.mark.parametrize(
        ("tasks", "complaint"),
        [
            ((), r"tasks have leading axes of \[\]; allowed: one length"),
            ((np.ones(2), np.ones(3)), r"tasks have leading axes of \[2, 3\]; allowed: one length"),
            ((np.ones(2), np.ones(())), r"tasks have a leaf without axes; allowed: arrays whose"),
        ],
    )
    def test_tasks_that_do_not_fit(self, tasks, complaint):
        with pytest.raises(ValueError, match=complaint):
            meta.mean_over_tasks(lambda params, *task: params, 1.0, *tasks)


@pytest.mark.parametrize(
    ("function", "options", "complaint"),
    [
        ("adapt", {"num_steps": -1}, "num_steps is -1; allowed: a whole number from 0"),
        ("adapt", {"num_steps": 2.5}, "num_steps is 2.5; allowed: a whole number from 0"),
        ("adapt", {"proximity": -1.0}, "proximity is -1.0; allowed: a number from 0"),
        (
            "meta_gradient",
            {"method": "fomaml"},
            "method is 'fomaml'; allowed: maml, first-order, reptile, implicit",
        ),
        (
            "meta_gradient",
            {"method": "reptile", "rates": tree(RATES)},
            "rates are given with the method 'reptile'; allowed: 'maml'",
        ),
        (
            "meta_gradient",
            {"method": "implicit", "cg_steps": 0},
            "cg_steps is 0; allowed: a whole number from 1",
        ),
        *(
            (
                "meta_gradient",
                {"method": "implicit", "proximity": number},
                f"proximity is {number}; allowed: a number above 0",
            )
            for number in (0.0, np.nan)
        ),
    ],
)
def test_what_is_not_allowed(function, options, complaint):
    options = {"optimizer": optax.sgd(RATE), "num_steps": 1, **options}
    data = {"adapt": (SUPPORT,), "meta_gradient": (SUPPORT, QUERY)}[function]
    # What the types forbid is said by us too: users have no type checker at run time.
    unchecked = inspect.unwrap(getattr(meta, function))
    with pytest.raises(ValueError, match=re.escape(complaint)):
        unchecked(quadratic, tree(START), *data, **options)
