"""Memories against Bayes-optimal agents (Mikulik et al. 2020): ``rlsuite study bayes-optimal``.

===============  ===================================================
``comparison``   the study
``training``     runs that leave their parameters on the way
``behaviour``    the same episodes, side by side
``convergence``  distances from Bayes and between runs, and their map
``structure``    whether memories are what suffices, by maps both ways
``maps``         how such maps are learned and judged
``ladder``       policies of a bandit, from random ones to the best
``beyond``       other memories, longer episodes, a hidden chain
===============  ===================================================
"""
