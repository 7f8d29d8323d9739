"""Schedules and samplers against what `diffusers` computed.

``benchmarks/peers/decision_diffuser/diffusers_golden.py`` says how, and wrote the file.
"""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.ops import diffusion

GOLDEN = json.loads(Path(__file__).with_name("diffusers_samplers.json").read_text())


def schedule_of(name, num_steps):
    if name == "cosine":
        return diffusion.cosine(num_steps)
    return diffusion.linear(num_steps, first=1e-3, last=0.2)


@pytest.mark.parametrize("golden", GOLDEN["signal"], ids=lambda g: f"{g['schedule']}")
def test_schedules_are_those_of_diffusers(golden):
    found = schedule_of(golden["schedule"], golden["num_steps"]).signal
    assert found[0] == 1
    np.testing.assert_allclose(found[1:], golden["signal"], rtol=1e-12, atol=0)


def identify(golden):
    return "-".join(
        str(golden[name]) for name in ("schedule", "sampler", "num_steps", "prediction")
    )


@pytest.mark.parametrize("golden", GOLDEN["samples"], ids=identify)
def test_samplers_pass_through_what_those_of_diffusers_do(golden):
    schedule = schedule_of(golden["schedule"], 100)
    if golden["sampler"] == "ddim":
        sampler = diffusion.ddim(schedule, golden["num_steps"], eta=golden["eta"])
    else:
        sampler = diffusion.dpm_solver(schedule, golden["num_steps"])
    assert sampler.steps.tolist() == golden["steps"]

    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=3), rng.normal(size=(sampler.num_steps, 3))
    before = np.zeros(3)
    for (k, a, b, c, s), z, expected in zip(
        zip(*sampler[:5], strict=True), noise, golden["path"], strict=True
    ):
        said = jnp.asarray(np.sin(2 * x + k / 10))
        data = diffusion.to_data(
            schedule, golden["prediction"], jnp.asarray(x), jnp.asarray(k), said
        )
        x, before = a * x + b * np.asarray(data) + c * before + s * z, np.asarray(data)
        np.testing.assert_allclose(x, expected, rtol=1e-10, atol=1e-11)
