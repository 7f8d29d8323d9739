"""A task for gymnasium's interface that is learned in seconds."""

import gymnasium
import numpy as np
from gymnasium import spaces


class Follow(gymnasium.Env):
    """Shows a number, and wants it back, five times; the fifth ends it for good, or cuts it off."""

    observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = spaces.Box(-2.0, 2.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._time = 0
        return self._draw(), {}

    def step(self, action):
        reward = 1.0 - abs(float(action[0] - self._shown[0]))
        self._time += 1
        over = self._time == 5
        good = over and self._shown[0] > 0
        return self._draw(), reward, good, over and not good, {}

    def _draw(self):
        self._shown = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self._shown
