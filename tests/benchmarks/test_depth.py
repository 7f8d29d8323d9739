"""How deep programs are, counted in small ones, and in those that are parallel over time."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks.extras import solar


def chain(x):
    return jnp.sin(jnp.cos(x)) + x


def loop(x):
    return jax.lax.scan(lambda c, _: (jnp.sin(jnp.cos(c)), None), x, length=5)[0]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (chain, 3),  # Of the two terms of the sum the longer one counts.
        (loop, 10),
        (jax.jit(loop), 10),
        (lambda x: jax.vmap(loop)(jnp.broadcast_to(x, (2,))), 11),
        (lambda x: x, 0),
    ],
)
def test_depth_is_the_longest_chain(function, expected):
    assert solar.depth(jax.make_jaxpr(function)(1.0)) == expected


@pytest.mark.parametrize("made", [solar.smoothing, solar.regulating])
def test_depth_grows_with_the_logarithm_of_time(made):
    short, long, longest = (
        solar.depth(jax.make_jaxpr(program)(*given))
        for program, given in (made(64**levels) for levels in (1, 2, 3))
    )
    assert longest - long == long - short > 0
    assert longest < 3 * short
