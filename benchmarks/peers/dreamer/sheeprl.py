"""The side of `sheeprl` 0.8.4: its own ``train``, one gradient step, without its environment loop.

``nature`` is its ``dreamer_v3_5``, DreamerV3 as published in 2025, at the size ``1M``: the same
networks as ours, with the same number of parameters, and the same losses. ``xs`` is its
``dreamer_v3``, the version of 2023, at its smallest published size, which is larger: dense layers
of 256 units and 32 latents of 32 classes. The configurations are sheeprl's own, one thread
included: with PyTorch's default of a thread a core, it is slower as soon as a core is shared.
"""

# The peers are installed in an environment of their own.
# mypy: disable-error-code="import-not-found"
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import hydra
import numpy as np
import torch
from lightning.fabric import Fabric
from omegaconf import OmegaConf
from sheeprl.algos.dreamer_v3 import agent as agent_2023
from sheeprl.algos.dreamer_v3 import dreamer_v3
from sheeprl.algos.dreamer_v3.utils import Moments as Moments2023
from sheeprl.algos.dreamer_v3_5 import agent as agent_2025
from sheeprl.algos.dreamer_v3_5 import dreamer_v3_5
from sheeprl.algos.dreamer_v3_5.utils import Moments as Moments2025
from sheeprl.utils.utils import dotdict

PACKAGES = ("sheeprl", "lightning", "numpy", "torch")

Inputs = Mapping[str, np.ndarray]
Prepared = tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]

warnings.filterwarnings("ignore")


def nature(inputs: Inputs) -> Prepared:
    """The version of 2025 at the size ``1M``."""
    config = _config(inputs, "dreamer_v3_5", "dreamer_v3_5_1M")
    fabric, actions, data = Fabric(accelerator="cpu", devices=1), _actions(inputs), _data(inputs)
    world, actor, critic, slow, _ = agent_2025.build_agent(
        fabric, actions, not inputs["discrete"], config, _space(inputs)
    )
    parameters = [*world.parameters(), *actor.parameters(), *critic.parameters()]
    optimizer = fabric.setup_optimizers(
        hydra.utils.instantiate(config.algo.optimizer, params=parameters, _convert_="all")
    )
    moments = Moments2025(*_moments(config))
    latent = config.algo.world_model
    shape = data["rewards"].shape[:2]
    data["deter"] = torch.zeros(*shape, latent.recurrent_model.recurrent_state_size)
    data["stoch"] = torch.zeros(*shape, latent.stochastic_size, dtype=torch.uint8)
    learned = (fabric, config, world, actor, critic, slow, optimizer, moments)

    def run() -> Any:
        states = dreamer_v3_5.train(*learned, dict(data), None, actions)
        dreamer_v3_5.update_target_critic(critic, slow, config.algo.critic.tau)
        return states

    return run, lambda _: _counts(inputs, parameters)


def xs(inputs: Inputs) -> Prepared:
    """The version of 2023 at its size ``XS``."""
    config = _config(inputs, "dreamer_v3", "dreamer_v3_XS")
    fabric, actions = Fabric(accelerator="cpu", devices=1), _actions(inputs)
    data = {name: array[1:] for name, array in _data(inputs).items()}
    world, actor, critic, slow, _ = agent_2023.build_agent(
        fabric, actions, not inputs["discrete"], config, _space(inputs)
    )
    parts = ((config.algo.world_model, world), (config.algo.actor, actor))
    optimizers = [
        fabric.setup_optimizers(
            hydra.utils.instantiate(part.optimizer, params=module.parameters(), _convert_="all")
        )
        for part, module in (*parts, (config.algo.critic, critic))
    ]
    moments = Moments2023(*_moments(config))
    learned = (fabric, world, actor, critic, slow, *optimizers)
    told = (None, config, not inputs["discrete"], actions, moments)

    def run() -> None:
        with torch.no_grad():
            for old, new in zip(slow.parameters(), critic.parameters(), strict=True):
                old.lerp_(new, config.algo.critic.tau)
        dreamer_v3.train(*learned, dict(data), *told)

    parameters = [p for part in (world, actor, critic) for p in part.parameters()]
    return run, lambda _: _counts(inputs, parameters)


def _config(inputs: Inputs, experiment: str, algorithm: str) -> Any:
    batch, length, _ = inputs["observation"].shape
    overrides = [
        f"exp={experiment}",
        f"algo={algorithm}",
        "env=gym",
        "algo.total_steps=1",
        f"algo.per_rank_batch_size={batch}",
        f"algo.per_rank_sequence_length={length - 1}",
        f"algo.horizon={int(inputs['horizon'])}",
        "algo.cnn_keys.encoder=[]",
        "algo.cnn_keys.decoder=[]",
        "algo.mlp_keys.encoder=[state]",
        "algo.mlp_keys.decoder=[state]",
        "algo.compile.enabled=False",
    ]
    with hydra.initialize_config_module("sheeprl.configs", version_base="1.3"):
        config = hydra.compose("config", overrides)
    torch.set_num_threads(config.num_threads)
    parts = "algo", "distribution", "env", "fabric"
    return dotdict({name: OmegaConf.to_container(config[name], resolve=True) for name in parts})


def _actions(inputs: Inputs) -> tuple[int, ...]:
    return (inputs["action"].shape[-1],)


def _space(inputs: Inputs) -> gymnasium.spaces.Dict:
    size = inputs["observation"].shape[-1]
    box = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
    return gymnasium.spaces.Dict({"state": box})


def _data(inputs: Inputs) -> dict[str, torch.Tensor]:
    """The batch, time first; no episode ends in it."""
    data = {
        "state": inputs["observation"],
        "actions": inputs["action"],
        "rewards": inputs["reward"][..., None],
        "is_first": inputs["is_first"][..., None].astype(np.float32),
    }
    tensors = {name: torch.tensor(array.swapaxes(0, 1)) for name, array in data.items()}
    for name in "terminated", "truncated":
        tensors[name] = torch.zeros_like(tensors["rewards"])
    return tensors


def _moments(config: Any) -> tuple[float, ...]:
    moments = config.algo.actor.moments
    return moments.decay, moments.max, moments.percentile.low, moments.percentile.high


def _counts(inputs: Inputs, parameters: Any) -> dict[str, np.ndarray]:
    batch, length, _ = inputs["observation"].shape
    counts = {"time steps": np.asarray(batch * (length - 1))}
    if inputs["same_size"]:
        counts["parameters"] = np.asarray(sum(p.numel() for p in parameters))
    return counts
