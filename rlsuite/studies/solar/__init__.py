"""SOLAR (Zhang et al. 2019) beside what it is compared with: ``rlsuite study solar``.

===============  =======================================================
``claims``       the study
``curves``       costs over episodes: SOLAR, its ablations, planning, PPO
``transitions``  which transition is best: evidence, predictions, control
``spectra``      eigenvalues of dynamics, and how sure the model is
``pictures``     states, reconstructions, and an episode as it happened
===============  =======================================================
"""
