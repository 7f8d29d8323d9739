"""What is claimed of planning by diffusion, tested: ``rlsuite study decision-diffuser``.

===============  =========================================================
``claims``       the study
``mazes``        returns, beside IQL, CQL and behaviour cloning
``ring``         two constraints: alone, together, negated; sweeps; samplers
``stacking``     constraints on blocks, towers that were never shown
``skills``       gaits, alone and two at once
``locomotion``   a hopper on the host, beside the same policies
``stochastic``   what to ask for where actions slip
``samplers``     how plans are drawn
``trained``      what they train
===============  =========================================================
"""
