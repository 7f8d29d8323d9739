"""Task-clustering meta-IRL: the thesis talk's experiments, its open choices, and what lies beyond.

=================  ===========================================================================
``reproduction``   ``rlsuite study meta-irl``: the three experiments beside the published tables
``choices``        ``rlsuite study meta-irl-choices``: experiment 1 under every open choice
``beyond``         ``rlsuite study meta-irl-beyond``: the talk's future work
``many``           its part with many tasks, in families of mazes
``appendix``       angles of random vectors, and norms
``training``       what they share
``outcomes``       how outcomes are called, compared and drawn
``published``      the talk's numbers
=================  ===========================================================================
"""
