"""The side of `stable-baselines3` 2.9 on PyTorch, with the hyperparameters that ours has."""

# The peer is installed in an environment of its own.
# mypy: disable-error-code="import-not-found"
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from torch import nn

PACKAGES = ("gymnasium", "numpy", "stable_baselines3", "torch")


def cartpole(
    inputs: Mapping[str, np.ndarray],
) -> tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]:
    """A whole training on CartPole."""
    total, num_envs, num_steps = (int(inputs[name]) for name in ("total", "num_envs", "num_steps"))
    rate = float(inputs["rate"])

    def run() -> Any:
        model = PPO(
            "MlpPolicy",
            make_vec_env("CartPole-v1", n_envs=num_envs),
            learning_rate=lambda remaining: rate * remaining,
            n_steps=num_steps,
            batch_size=num_envs * num_steps // 4,
            n_epochs=4,
            gamma=0.99,
            gae_lambda=0.95,
            clip_range=0.2,
            clip_range_vf=0.2,
            ent_coef=0.01,
            vf_coef=0.5,
            max_grad_norm=0.5,
            policy_kwargs={"activation_fn": nn.Tanh, "net_arch": [64, 64]},
            device="cpu",
        )
        return model.learn(total - total % (num_envs * num_steps))

    return run, lambda model: {"transitions": np.asarray(model.num_timesteps)}
