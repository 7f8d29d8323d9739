"""MAML against pretraining (Finn et al. 2017, sec. 5): ``rlsuite study maml``.

==============  ==================================
``adaptation``  the study
``sinusoids``   sine waves, and the variants there
``navigation``  a point in the plane
``trials``      what both share
==============  ==================================
"""
