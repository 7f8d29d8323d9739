"""The side of PyTorch 2.13: IQL in the manner of CORL, written for this comparison."""

# The peer is installed in an environment of its own.
# mypy: disable-error-code="import-not-found"
import copy
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim.lr_scheduler import CosineAnnealingLR

PACKAGES = ("numpy", "torch")

_RATE, _DISCOUNT, _EXPECTILE, _TEMPERATURE, _FOLLOW = 3e-4, 0.99, 0.7, 3.0, 0.005

Inputs = Mapping[str, np.ndarray]
Prepared = tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]

torch.set_num_threads(len(os.sched_getaffinity(0)))


def _perceptron(inputs: Inputs, name: str) -> nn.Sequential:
    """Of given weights."""
    layers: list[nn.Module] = []
    for layer in range(3):
        kernel, bias = (inputs[f"{name}_{part}_{layer}"] for part in ("kernel", "bias"))
        linear = nn.Linear(*kernel.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.as_tensor(kernel.T.copy()))
            linear.bias.copy_(torch.as_tensor(bias))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class _IQL:
    """Networks, optimisers, and a step."""

    def __init__(self, inputs: Inputs) -> None:
        self.policy, self.value = (_perceptron(inputs, name) for name in ("policy", "value"))
        self.log_scale = nn.Parameter(torch.zeros(inputs["actions"].shape[1]))
        self.critics = nn.ModuleList(_perceptron(inputs, f"critic_{i}") for i in range(2))
        self.slow = copy.deepcopy(self.critics).requires_grad_(False)
        acting = [*self.policy.parameters(), self.log_scale]
        self.policy_rule = torch.optim.Adam(acting, lr=_RATE)
        self.critic_rule = torch.optim.Adam(self.critics.parameters(), lr=_RATE)
        self.value_rule = torch.optim.Adam(self.value.parameters(), lr=_RATE)
        self.schedule = CosineAnnealingLR(self.policy_rule, 1_000_000)

    def act(self, seen: Tensor) -> torch.distributions.Normal:
        """The distribution over actions."""
        deviation = torch.exp(self.log_scale.clamp(-20.0, 2.0))
        return torch.distributions.Normal(torch.tanh(self.policy(seen)), deviation)

    def step(
        self, seen: Tensor, done: Tensor, earned: Tensor, later: Tensor, ended: Tensor
    ) -> None:
        """One update, the value first, then the critics, then the policy."""
        pairs = torch.cat([seen, done], dim=1)
        with torch.no_grad():
            after = self.value(later).squeeze(-1)
            best = torch.minimum(*(critic(pairs).squeeze(-1) for critic in self.slow))
        advantage = best - self.value(seen).squeeze(-1)
        loss = (torch.abs(_EXPECTILE - (advantage < 0).float()) * advantage**2).mean()
        self._descend(self.value_rule, loss)

        goal = earned + _DISCOUNT * (1.0 - ended) * after
        losses = [mse_loss(critic(pairs).squeeze(-1), goal) for critic in self.critics]
        self._descend(self.critic_rule, sum(losses) / 2)
        for slow, fast in zip(self.slow.parameters(), self.critics.parameters(), strict=True):
            slow.data.copy_((1 - _FOLLOW) * slow.data + _FOLLOW * fast.data)

        weights = torch.exp(_TEMPERATURE * advantage.detach()).clamp(max=100.0)
        log_probs = self.act(seen).log_prob(done).sum(-1)
        self._descend(self.policy_rule, -(weights * log_probs).mean())
        self.schedule.step()

    @staticmethod
    def _descend(rule: torch.optim.Optimizer, loss: Any) -> None:
        rule.zero_grad()
        loss.backward()
        rule.step()


def _transitions(inputs: Inputs) -> tuple[Tensor, ...]:
    states = torch.as_tensor(inputs["states"])
    actions, rewards = (torch.as_tensor(inputs[name]) for name in ("actions", "rewards"))
    ended = torch.zeros(len(rewards))
    ended[-1] = 1.0
    return states[:-1], actions, rewards, states[1:], ended


def training(inputs: Inputs) -> Prepared:
    """A training that draws its own batches."""
    arrays, (steps, number) = _transitions(inputs), inputs["batches"].shape
    total = len(inputs["rewards"])

    def run() -> int:
        learner = _IQL(inputs)
        for _ in range(steps):
            chosen = np.random.randint(0, total, size=number)  # noqa: NPY002, as CORL does.
            learner.step(*(array[chosen] for array in arrays))
        return steps

    return run, lambda steps: {"updates": np.asarray(steps)}


def updates(inputs: Inputs) -> Prepared:
    """Updates from given weights, with given batches."""
    arrays, batches = _transitions(inputs), [torch.as_tensor(x) for x in inputs["batches"]]

    def run() -> _IQL:
        learner = _IQL(inputs)
        for chosen in batches:
            learner.step(*(array[chosen] for array in arrays))
        return learner

    @torch.no_grad()
    def result(learner: _IQL) -> dict[str, np.ndarray]:
        seen, pairs = arrays[0][:100], torch.cat([arrays[0][:100], arrays[1][:100]], dim=1)
        policy = learner.act(seen)
        found = {
            "actions": policy.mean,
            "deviations": policy.stddev[0],
            "critics": torch.stack([critic(pairs).squeeze(-1) for critic in learner.critics]),
            "slow_critics": torch.stack([critic(pairs).squeeze(-1) for critic in learner.slow]),
            "values": learner.value(seen).squeeze(-1),
        }
        return {name: tensor.numpy() for name, tensor in found.items()}

    return run, result
