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
    image = jnp.zeros((2, 1, 16, 32, 3))
    encoder, decoder = ImageEncoder(2), ImageDecoder((16, 32, 3), 2, 4, 2)
    tokens, _ = jax.eval_shape(encoder.init_with_output, KEY, image)
    assert tokens.shape == (2, 1, 1 * 2 * 8)

    @jax.jit
    def decode(deter):
        decoded, _ = decoder.init_with_output(KEY, deter, jnp.ones((2, 1, 4)))
        return decoded, jax.grad(
            lambda x: decoder.init_with_output(KEY, x, jnp.ones((2, 1, 4)))[0][0, 0, :8, :8].sum()
        )(deter)

    decoded, slopes = decode(jnp.ones((2, 1, 6)) * jnp.arange(6.0))
    assert decoded.shape == image.shape
    assert np.all((np.asarray(decoded) > 0) & (np.asarray(decoded) < 1))
    # Blocks share all places: every entry of h reaches the corner of its own image, and no other's.
    assert np.all(np.asarray(slopes)[0] != 0)
    assert np.all(np.asarray(slopes)[1] == 0)
