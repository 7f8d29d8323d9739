"""Equations of motion are those of the energies of points and rods, and conserve them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs.pixels import cart_pole, mechanics, poles, reacher


@pytest.fixture(autouse=True)
def _doubles():
    with jax.enable_x64(True):
        yield


def lagranges(kinetic, potential, q, v, force):
    """The accelerations by differentiating the energies, whatever they are."""
    mass = jax.hessian(kinetic, 1)(q, v)
    turned = jax.jvp(lambda q: jax.grad(kinetic, 1)(q, v), (q,), (v,))[1]
    pull = jax.grad(lambda q: kinetic(q, v) - potential(q))(q)
    return jnp.linalg.solve(mass, force + pull - turned)


def rods(masses, lengths, rotor, gravity):
    """Energies from where four thousand points of each rod are: nothing that the chain knows of."""
    shares = (jnp.arange(4000) + 0.5) / 4000

    def places(angles):
        ends = jnp.cumsum(lengths[:, None] * jnp.stack([jnp.sin(angles), jnp.cos(angles)], -1), 0)
        starts = jnp.concatenate([jnp.zeros((1, 2)), ends[:-1]])
        return starts[:, None] + shares[:, None] * (ends - starts)[:, None]

    def kinetic(q, v):
        speeds = jax.jvp(places, (q,), (v,))[1]
        joints = jnp.diff(v, prepend=0.0)
        moving = jnp.mean(jnp.sum(speeds**2, -1), -1)
        return masses @ moving / 2 + rotor * joints @ joints / 2

    def potential(q):
        return gravity * masses @ jnp.mean(places(q)[..., 1], -1)

    return kinetic, potential


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_chain_obeys_lagrange(number):
    draw = np.random.default_rng(number)
    masses, lengths = (jnp.asarray(draw.uniform(0.3, 1.5, number)) for _ in range(2))
    chain = mechanics.Chain.of_rods(masses, lengths, gravity=9.81, rotor=0.2)
    kinetic, potential = rods(masses, lengths, 0.2, 9.81)

    @jax.jit
    def both(q, v, torques):
        # A joint's torque turns its rod, and the one before it the other way.
        force = jax.grad(lambda q: torques @ jnp.diff(q, prepend=0.0))(q)
        expected = lagranges(kinetic, potential, q, v, force), kinetic(q, v) + potential(q)
        return (chain.accelerations(q, v, torques), chain.energy(q, v)), expected

    for _ in range(5):
        found, expected = both(*(jnp.asarray(draw.normal(size=number) * 2) for _ in range(3)))
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)


def test_the_pole_on_a_cart_obeys_lagrange():
    params = cart_pole.CartPoleParams()
    shares = (jnp.arange(4000) + 0.5) / 4000

    def places(q):
        return q[0] + shares * jnp.sin(q[1]), shares * jnp.cos(q[1])

    def kinetic(q, v):
        x, y = jax.jvp(places, (q,), (v,))[1]
        return v[0] ** 2 / 2 + 0.1 * jnp.mean(x**2 + y**2) / 2

    def potential(q):
        return 9.81 * 0.1 * jnp.mean(places(q)[1])

    @jax.jit
    def both(q, v, force):
        x = jnp.concatenate([q, v])
        found = cart_pole.accelerations(x, force[0], params), cart_pole.energy(x, params)
        energy = kinetic(q, v) + potential(q)
        return found, (lagranges(kinetic, potential, q, v, force), energy)

    draw = np.random.default_rng(0)
    for _ in range(5):
        q, v = (jnp.asarray(draw.normal(size=2)) for _ in range(2))
        found, expected = both(q, v, jnp.asarray([draw.normal() * 5, 0.0]))
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)


SLOW = 1e-3
FREE = {"seconds": SLOW, "fastest": jnp.inf}
WORLDS = {
    "pendulum": (poles.Poles(1, 8, 1), poles.PolesParams(**FREE)),
    "three-link": (poles.Poles(3, 8, 1), poles.Poles(3, 8, 1).default_params.replace(**FREE)),
    "reacher": (
        reacher.Reacher(8, 1),
        reacher.ReacherParams(seconds=SLOW, rotor=0.0, damping=0.0),
    ),
}


@pytest.mark.parametrize("name", WORLDS)
def test_a_chain_left_alone_keeps_its_energy(name):
    environment, params = WORLDS[name]
    rods = environment.state_size // 2
    x = jnp.asarray(np.concatenate([np.linspace(0.5, 2.5, rods), np.linspace(2, -1, rods)]))
    idle = jnp.zeros(rods)

    @jax.jit
    def walk(x):
        def step(x, _):
            return environment.advance(x, idle, params), x

        states = jax.lax.scan(step, x, length=2000)[1]
        energy = environment.chain(params).energy
        return states, jax.vmap(energy)(states[:, :rods], states[:, rods:])

    states, energies = walk(x)
    swing = float(jnp.ptp(states[:, 0]))
    assert swing > 1
    scale = 0.1 if name != "reacher" else float(energies[0])
    assert float(jnp.ptp(energies)) < 1e-5 * scale


def test_a_cart_left_alone_keeps_its_energy():
    environment = cart_pole.CartPole(8, 1)
    params = cart_pole.CartPoleParams(seconds=SLOW, fastest=(jnp.inf, jnp.inf))

    def step(x, _):
        return environment.advance(x, jnp.zeros(1), params), x

    start = jnp.asarray([0.0, 0.4, 0.1, 0.0])
    states = jax.jit(lambda x: jax.lax.scan(step, x, length=2000)[1])(start)
    energies = jax.vmap(lambda x: cart_pole.energy(x, params))(states)
    assert float(jnp.ptp(states[:, 1])) > 3
    assert float(jnp.ptp(energies)) < 1e-9


def test_friction_takes_energy_and_joints_have_limits():
    environment, params = WORLDS["reacher"]
    x, chain = jnp.asarray([0.1, 0.9, 3.0, -2.0]), environment.chain(params)
    after = environment.advance(x, jnp.zeros(2), params.replace(damping=1e-4))
    assert chain.energy(after[:2], after[2:]) < chain.energy(x[:2], x[2:])
    found = mechanics.limited(jnp.asarray([2.0, 5.0, 4.5]), 1.0)
    np.testing.assert_allclose(found, [1.0, 2.0, 1.5])


def test_runge_and_kutta_are_of_fourth_order():
    errors = [
        abs(float(mechanics.runge_kutta(lambda x: x, jnp.ones(1), h)[0]) - np.exp(h))
        for h in (0.1, 0.05)
    ]
    assert 28 < errors[0] / errors[1] < 36


def test_two_rods_reach_a_place():
    lengths = jnp.asarray([0.8, 0.5])
    for place in ([1.0, 0.3], [-0.4, 0.9], [0.2, -0.6]):
        angles = mechanics.reaching(jnp.asarray(place), lengths)
        joints = mechanics.joints_of(angles, lengths)
        np.testing.assert_allclose(joints[-1], place, atol=1e-12)
        x, y = place
        assert x * joints[1][1] - y * joints[1][0] > 0
    stretched = mechanics.joints_of(mechanics.reaching(jnp.asarray([3.0, 0.0]), lengths), lengths)
    np.testing.assert_allclose(stretched[-1], [1.3, 0.0], atol=1e-7)
