"""Dendrograms: merges are drawn where their heights are."""

import numpy as np
from matplotlib.figure import Figure

from rlsuite.algorithms import task_clustering as tc
from rlsuite.io.dendrograms import draw_dendrogram, draw_dendrograms


def random_tree(seed, tasks=6):
    points = np.random.default_rng(seed).normal(size=(tasks, 3))
    return tc.linkage(tc.distances(points, "euclidean"))


def test_every_merge_is_found_at_its_height():
    for seed in range(5):
        tree = random_tree(seed)
        axes = Figure().add_subplot()
        places = draw_dendrogram(axes, tree, list("abcdef"))
        assert set(places) == tc.subtrees(tree)
        below = [frozenset((i,)) for i in range(6)]
        for first, second, height, _ in tree:
            below.append(below[int(first)] | below[int(second)])
            assert places[below[-1]][1] == height
        assert {text.get_text() for text in axes.get_xticklabels()} == set("abcdef")


def test_marked_sets_are_coloured_where_they_are_subtrees():
    tree = tc.linkage(np.asarray([1.0, 5.0, 5.0]))
    for marked, colours in (([(0, 1)], 2), ([(1, 2)], 1)):
        axes = Figure().add_subplot()
        draw_dendrogram(axes, tree, list("abc"), marked=marked)
        drawn = {tuple(c.get_edgecolor()[0]) for c in axes.collections}
        assert len(drawn) == colours


def test_one_panel_for_each_tree():
    figure = draw_dendrograms({str(i): random_tree(i) for i in range(4)}, list("abcdef"))
    assert [axes.get_title() for axes in figure.axes] == ["0", "1", "2", "3"]
