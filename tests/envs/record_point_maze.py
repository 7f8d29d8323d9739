"""Write what MuJoCo's point mazes do in some steps: ``point_maze_mujoco.json``, beside this file.

Needs ``gymnasium-robotics`` and ``mujoco``; was run with 1.4.2 and 3.17.0. In the three mazes the
ball is pushed about for 6000 steps by forces that stay for 20; of each maze, 15 steps in free space
and 35 at walls are kept.

    python tests/envs/record_point_maze.py
"""

import json
import os
from pathlib import Path

import numpy as np

SIMULATIONS = {"umaze": "UMaze", "medium": "Medium", "large": "Large"}
STEPS, KEPT = 6000, {False: 15, True: 35}


def record(simulation, random):
    """Steps of one maze: state, force, next state."""
    import gymnasium
    import gymnasium_robotics

    gymnasium.register_envs(gymnasium_robotics)
    environment = gymnasium.make(f"PointMaze_{simulation}-v3").unwrapped
    environment.reset(seed=0)
    ball = environment.point_env
    found = {False: [], True: []}
    state = np.concatenate([ball.data.qpos, ball.data.qvel])
    for step in range(STEPS):
        if step % 20 == 0:
            force = random.choice([-1, 1], 2) * random.uniform(0.3, 1.0, 2)
        after = ball.step(force)[0]
        # One contact is always there: the ball on the ground.
        found[ball.data.ncon > 1].append([*state, *force, *after])
        state = after
    chosen = [
        rows[number]
        for touching, rows in found.items()
        for number in random.choice(len(rows), KEPT[touching], replace=False)
    ]
    walls = np.asarray(environment.maze.maze_map) == 1
    rows = ["".join("#" if wall else " " for wall in row) for row in walls]
    return {"rows": rows, "steps": chosen}


if __name__ == "__main__":
    os.environ.setdefault("MUJOCO_GL", "disabled")
    random = np.random.default_rng(0)
    recorded = {name: record(simulation, random) for name, simulation in SIMULATIONS.items()}
    text = json.dumps(recorded).replace("], [", "],\n[")
    Path(__file__).with_name("point_maze_mujoco.json").write_text(text + "\n")
