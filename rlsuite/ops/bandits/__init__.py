r"""Bandits whose arms pay 0 or 1 (or normal rewards): what is best, exactly, and what others earn.

Arm k pays 1 with the probability θ_k, drawn once an episode. After t pulls all that is known stands
in how often each arm has paid and has not, a point of a :class:`Lattice`; so the best policy of an
episode of T pulls is found by going backwards in t,

    Q_t(b, k) = p_k(b) (1 + γ V_{t+1}(b + success of k)) + (1 − p_k(b)) γ V_{t+1}(b + failure of k),
    V_t(b) = max_k Q_t(b, k),    V_T = 0,

and what any policy that looks at counts earns by the same recursion with a mean in place of the
maximum. No simulation is needed, and no policy does better than V_0.

``UniformArms``, ``BetaArms`` and ``FiniteArms`` say what θ is drawn from, the last one also if arms
are correlated. ``lattice`` has the states, ``solve`` the best policy, ``evaluate`` the worth of any
other; ``uniform``, ``myopic``, ``ucb1``, ``thompson`` and ``by_index`` are policies as tables of
probabilities, and ``gittins_bernoulli`` and ``gittins_normal`` indices between a lower and an upper
bound.

**Gittins' indices are best for an endless episode of discounted rewards, not for one that ends
after T pulls**: there they are one more policy, and close to the best.

References:
    Gittins: Bandit processes and dynamic allocation indices. JRSS B 41, 1979.
    Gittins, Glazebrook, Weber: Multi-armed bandit allocation indices. 2nd ed., 2011.
    Auer, Cesa-Bianchi, Fischer: Finite-time analysis of the multiarmed bandit problem. Machine
    Learning 47, 2002.
    Thompson: On the likelihood that one unknown probability exceeds another in view of the evidence
    of two samples. Biometrika 25, 1933.

Example:
    >>> arms, states = UniformArms(2), lattice(2, 20)
    >>> best = solve(arms, states).values[0, 0]
    >>> greedy = evaluate(arms, states, myopic(arms, states))[0, 0]
    >>> round(float(best), 3), round(float(greedy), 3)
    (12.431, 12.365)
"""

from rlsuite.ops.bandits.arms import Arms, BetaArms, FiniteArms, NormalArms, UniformArms
from rlsuite.ops.bandits.exact import Solution, evaluate, solve
from rlsuite.ops.bandits.gittins import Bracket, gittins_bernoulli, gittins_normal
from rlsuite.ops.bandits.lattice import Lattice, lattice
from rlsuite.ops.bandits.policies import by_index, myopic, thompson, ucb1, uniform

__all__ = [
    "Arms",
    "BetaArms",
    "Bracket",
    "FiniteArms",
    "Lattice",
    "NormalArms",
    "Solution",
    "UniformArms",
    "by_index",
    "evaluate",
    "gittins_bernoulli",
    "gittins_normal",
    "lattice",
    "myopic",
    "solve",
    "thompson",
    "ucb1",
    "uniform",
]
