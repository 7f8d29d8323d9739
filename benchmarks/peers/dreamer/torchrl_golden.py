"""What `torchrl` 0.14 says of DreamerV3's losses, kept for ``tests/algorithms``.

Run as ``python torchrl_golden.py FOLDER`` where ``torch==2.13.0`` and ``torchrl==0.14.0`` are
installed: it writes ``torchrl_dreamer_v3.json`` there. Inputs are drawn by NumPy from seed 0, by
the function ``inputs`` here, which the tests repeat; results are in float64, but for the recurrent
cell, whose normalisation torchrl always does in float32.

The losses of policy and critic come from torchrl's own loss modules, with an environment that
replays fixed trajectories whatever the actions are. The policy's is recorded for all actions being
the first and then with one of them at a time the second: it is a sum over actions, so that it is
known for every choice of them.
"""

# The peers are installed in an environment of their own.
# mypy: disable-error-code="import-not-found"
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torch.distributions import OneHotCategorical
from torchrl.modules.models import model_based
from torchrl.modules.models.model_based import _DreamerV3BlockGRU
from torchrl.objectives import DreamerV3ActorLoss, DreamerV3ValueLoss, ValueEstimators
from torchrl.objectives.dreamer_v3 import _replay_value_target, categorical_kl_terms

BATCH, TIME, HORIZON, FEATURES, BINS = 2, 3, 3, 4, 255
DISCOUNT, LAMBDA, ENTROPY, UNIMIX = 0.9, 0.8, 0.05, 0.01


def inputs() -> dict[str, np.ndarray]:
    """All inputs, in the order in which they are drawn."""
    rng = np.random.default_rng(0)
    shape = (BATCH * TIME, HORIZON + 1)
    gates = {"deter": 8, "stoch": 6, "action": 3, "hidden": 5, "blocks": 2}
    sizes = {
        "prior": (5, 4, 3),
        "posterior": (5, 4, 3),
        "logits": (7, BINS),
        "targets": (7,),
        **{f"cell {name}": (3, gates[name]) for name in ("deter", "stoch", "action")},
        **{f"project_{i}": (n, 5) for i, n in enumerate((8, 6, 3))},
        "mix": (2, 4 + 15, 4),
        "gates": (2, 4, 12),
        "gains": (4, 8),
        "biases": (5, 24),
        "features": (*shape, FEATURES),
        "rewards": shape,
        "continuations": shape,
        "policy": (FEATURES, 2),
        "value": (FEATURES, BINS),
        "slow": (FEATURES, BINS),
        "replayed rewards": (BATCH, TIME),
    }
    drawn = {name: rng.normal(size=size) for name, size in sizes.items()}
    drawn["logits"] *= 3
    drawn["targets"] = np.array([0.0, 0.3, -1.7, 25.0, -4e3, 1e6, 9e9])
    drawn["continuations"] = 1 / (1 + np.exp(-drawn["continuations"]))
    drawn["continuations"][:, 0] = 1.0
    drawn["continuations"][1, 0] = 0.0  # The one that starts at an end.
    drawn["rewards"] *= 3
    return drawn


def kl(drawn: dict[str, np.ndarray]) -> dict[str, Any]:
    """The two divergences above 0.7 nats with their gradients, means over all."""
    prior, posterior = (
        torch.tensor(drawn[name], requires_grad=True) for name in ("prior", "posterior")
    )
    terms = categorical_kl_terms(posterior, prior, free_nats=0.7, unimix=UNIMIX)
    sum(terms).backward()
    names = "dynamics", "representation", "prior_gradient", "posterior_gradient"
    return dict(zip(names, (*terms, prior.grad, posterior.grad), strict=True))


def twohot(drawn: dict[str, np.ndarray]) -> dict[str, Any]:
    """Cross entropies and means of the two-hot head."""
    logits, targets = (torch.tensor(drawn[name]) for name in ("logits", "targets"))
    bins = model_based._default_bins(BINS, dtype=torch.float64)
    return {
        "cross_entropy": model_based.two_hot_cross_entropy(logits, targets, bins),
        "mean": model_based.two_hot_decode(logits, bins),
    }


def cell(drawn: dict[str, np.ndarray]) -> dict[str, Any]:
    """One step of the recurrent cell, and the gradient of its sum in the state before."""
    module = _DreamerV3BlockGRU(
        state_dim=6,
        action_dim=3,
        hidden_dim=5,
        belief_dim=8,
        num_blocks=2,
        num_layers=1,
        norm_eps=1e-4,
    ).double()
    projections = (module.belief_projection, module.state_projection, module.action_projection)
    gains, biases = drawn["gains"], drawn["biases"]
    values = {}
    for i, projection in enumerate(projections):
        values[projection[0].weight] = drawn[f"project_{i}"].T
        values[projection[0].bias] = biases[i, :5]
        values[projection[1].weight] = gains[i, :5]
    values[module.hidden_layers[0].weight] = drawn["mix"]
    values[module.hidden_layers[0].bias] = biases[3, :8]
    values[module.hidden_layers[1].weight] = gains[3]
    values[module.gates.weight] = drawn["gates"]
    values[module.gates.bias] = biases[4]
    with torch.no_grad():
        for parameter, value in values.items():
            parameter.copy_(torch.tensor(value))
    state, belief, action = (
        torch.tensor(drawn[f"cell {name}"]) for name in ("stoch", "deter", "action")
    )
    belief.requires_grad_()
    after = module(state, belief, action)
    after.sum().backward()
    return {"deter": after, "gradient": belief.grad}


class Fixed(nn.Module):
    """An environment that replays trajectories, whatever is done."""

    def __init__(self, trajectories: TensorDict) -> None:
        super().__init__()
        self.trajectories = trajectories

    def reset(self, _: TensorDict) -> TensorDict:
        """Nothing to be done."""
        return self.trajectories

    def rollout(self, **_: Any) -> TensorDict:
        """The trajectories."""
        return self.trajectories.clone()


class Policy(nn.Module):
    """A linear policy with a share of the uniform distribution."""

    in_keys = ("state",)

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def get_dist(self, data: TensorDict) -> OneHotCategorical:
        """The distribution of actions."""
        probs = torch.softmax(data["state"] @ self.weights, -1)
        return OneHotCategorical(probs=(1 - UNIMIX) * probs + UNIMIX / 2)


class Critic(nn.Module):
    """A linear critic."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Value and logits."""
        logits = state @ self.weights
        bins = model_based._default_bins(BINS, dtype=torch.float64)
        return model_based.two_hot_decode(logits, bins)[..., None], logits


def behaviour(drawn: dict[str, np.ndarray]) -> dict[str, Any]:
    """Losses of policy and critic, imagined and replayed, with the returns that they are about."""
    tensors = {name: torch.tensor(value) for name, value in drawn.items()}
    features, rewards = tensors["features"], tensors["rewards"]
    count = features.shape[0]
    first = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(count, HORIZON, 2)
    trajectories = TensorDict(
        {
            "state": features[:, :-1],
            "belief": features[:, :-1],
            "action": first,
            "keep": tensors["continuations"][:, :-1, None],
            "next": {
                "state": features[:, 1:],
                "belief": features[:, 1:],
                "reward": rewards[:, 1:, None],
                "keep": tensors["continuations"][:, 1:, None],
                "done": torch.zeros(count, HORIZON, 1, dtype=torch.bool),
                "terminated": torch.zeros(count, HORIZON, 1, dtype=torch.bool),
            },
        },
        [count, HORIZON],
    )
    keep = TensorDictModule(lambda x: x, in_keys=["keep"], out_keys=["continuation"])
    keys = {"in_keys": ["state"], "out_keys": ["state_value", "state_value_logits"]}
    value = TensorDictModule(Critic(tensors["value"]), **keys)
    actor = DreamerV3ActorLoss(
        Policy(tensors["policy"]),
        value,
        Fixed(trajectories),
        continuation_model=keep,
        imagination_horizon=HORIZON,
        entropy_bonus=ENTROPY,
        use_reinforce=True,
        return_normalization_rate=1.0,
        return_normalization_min_scale=0.1,
    ).double()
    actor.make_value_estimator(ValueEstimators.TDLambda, gamma=DISCOUNT, lmbda=LAMBDA)
    losses = []
    for flipped in range(count * HORIZON + 1):
        actions = first.clone().reshape(-1, 2)
        if flipped:
            actions[flipped - 1] = actions[flipped - 1].flip(0)
        actor.model_based_env.trajectories["action"] = actions.reshape(first.shape)
        told, imagined = actor(trajectories)
        losses.append(told["loss_actor"])
    critic = DreamerV3ValueLoss(
        value, "two_hot", gamma=DISCOUNT, slow_critic_regularization=1.0
    ).double()
    critic.value_bins = model_based._default_bins(BINS, dtype=torch.float64)
    with torch.no_grad():
        for parameter in critic.target_value_model_params.flatten_keys().values():
            parameter.copy_(tensors["slow"])
    returns = imagined["lambda_target"]
    ends = torch.zeros(BATCH, TIME, 1, dtype=torch.bool)
    ends[0, 1] = True
    replay = TensorDict(
        {
            "state": features[:, 0].reshape(BATCH, TIME, FEATURES),
            "bootstrap": returns[:, 0, 0].reshape(BATCH, TIME),
            "next": {
                "reward": tensors["replayed rewards"][..., None],
                "done": ends,
                "terminated": ends,
            },
        },
        [BATCH, TIME],
    )
    horizon = 1 / (1 - DISCOUNT)
    replayed = critic.replay_value_loss(replay, horizon=horizon, lmbda=LAMBDA)
    told_next = replay["next"]
    return {
        "policy_losses": torch.stack(losses),
        "returns": returns[..., 0],
        "weights": imagined["discount_weight"][..., 0],
        "value_loss": critic(imagined)[0]["loss_value"],
        "replayed_value_loss": replayed["loss_replay_value"],
        "replayed_returns": _replay_value_target(
            told_next["reward"],
            told_next["done"],
            told_next["terminated"],
            replay["bootstrap"],
            horizon,
            LAMBDA,
        ),
    }


def main(folder: Path) -> None:
    """Write the file."""
    torch.set_default_dtype(torch.float64)
    drawn = inputs()
    found = {part.__name__: part(drawn) for part in (kl, twohot, cell, behaviour)}
    numbers = {
        name: {key: value.detach().tolist() for key, value in part.items()}
        for name, part in found.items()
    }
    versions = {"torch": torch.__version__, "torchrl": "0.14.0"}
    text = json.dumps({"versions": versions, **numbers}, indent=1)
    (folder / "torchrl_dreamer_v3.json").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
