"""Task-clustering meta-IRL: the thesis talk's experiments, its open choices, and what lies beyond.

=================  ===========================================================================
``reproduction``   ``rlsuite study meta-irl``: the three experiments beside the published tables
``choices``        ``rlsuite study meta-irl-choices``: experiment 1 under every open choice
``beyond``         ``rlsuite study meta-irl-beyond``: the talk's future work
``training``       what they share
``published``      the talk's numbers
=================  ===========================================================================
"""
