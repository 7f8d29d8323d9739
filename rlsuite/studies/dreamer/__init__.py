"""What is claimed of learning in imagination, tested: ``rlsuite study dreamer``.

================  ================================================
``claims``        the study
``efficiency``    against PPO in the same environments
``exploitation``  imagined returns against real ones
``open_loop``     fifty steps ahead, without looking
``gradients``     through the model, or by the score function
``sweep``         λ and horizon in one program
``models``        models fitted to random actions, and frozen
================  ================================================
"""
