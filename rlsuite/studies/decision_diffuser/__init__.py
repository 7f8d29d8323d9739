"""What is claimed of planning by diffusion, tested: ``rlsuite study decision-diffuser``.

===============  =========================================================
``claims``       the study
``ring``         two constraints: alone, together, negated; sweeps; samplers
===============  =========================================================
"""
