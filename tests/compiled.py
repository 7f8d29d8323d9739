"""What a test computes, in one program."""

import functools

import jax


def compiled(function, **options):
    """The function compiled whole, with NumPy's arrays for results."""
    program = jax.jit(function, **options)
    return lambda *args, **named: jax.device_get(program(*args, **named))


# With more of LLVM, for what runs longer than that takes.
optimized = functools.partial(compiled, compiler_options={"xla_backend_optimization_level": "1"})
