"""Encoders and decoders of pictures."""

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.nets.images import GridEncoder, ImageDecoder, ImageEncoder

KEY = jax.random.key(0)


def test_a_grid_is_encoded_by_a_convolution():
    rng = np.random.default_rng(0)
    grid = jnp.asarray(rng.uniform(size=(2, 5, 4, 3)), jnp.float32)
    encoder = GridEncoder(6)
    params = encoder.init(KEY, grid)
    layer = params["params"]["Dense_0"]
    kernel = layer["kernel"].reshape(3, 3, 3, 6)
    convolved = jax.lax.conv_general_dilated(
        grid, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    normed = convolved / np.sqrt(np.mean(convolved**2, axis=-1, keepdims=True) + 1e-4)
    expected = jax.nn.silu(normed).reshape(2, -1)
    np.testing.assert_allclose(encoder.apply(params, grid), expected, rtol=1e-4, atol=1e-5)


def test_an_image_shrinks_to_a_sixteenth_and_back():
    image = jnp.zeros((2, 3, 32, 48, 3))
    encoder, decoder = ImageEncoder(2), ImageDecoder((32, 48, 3), 2, 4, 2)
    tokens, _ = encoder.init_with_output(KEY, image)
    assert tokens.shape == (2, 3, 2 * 3 * 8)
    deter, stoch = jnp.ones((2, 3, 6)), jnp.ones((2, 3, 4))
    decoded, params = decoder.init_with_output(KEY, deter, stoch)
    assert decoded.shape == image.shape
    assert np.all((np.asarray(decoded) > 0) & (np.asarray(decoded) < 1))

    def corner(deter):
        return decoder.apply(params, deter, jnp.ones(4))[:8, :8].sum()

    # Both the place and the blocks matter: every entry of h reaches the corner.
    assert np.all(np.asarray(jax.grad(corner)(jnp.arange(6.0))) != 0)
