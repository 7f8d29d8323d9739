"""What a test computes, in one program."""

import jax


def compiled(function, **options):
    """The function compiled whole, with NumPy's arrays for results."""
    program = jax.jit(function, **options)
    return lambda *args, **named: jax.device_get(program(*args, **named))
