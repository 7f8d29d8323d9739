"""Pictures of dendrograms, made without pyplot."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _FOUND, _SECOND = "#6b7280", "#2563eb", "#dc6803"


def draw_dendrograms(
    trees: Mapping[str, Float[np.ndarray, "merge 4"]],
    names: Sequence[str],
    *,
    columns: int = 3,
    marked: Sequence[Iterable[int]] = (),
) -> "Figure":
    """Draw dendrograms side by side.

    Args:
        trees: Linkages, as SciPy writes them, by title.
        names: The leaves' names.
        columns: How many to a row.
        marked: Sets of leaves; where one is a subtree, it is drawn in a colour.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    rows = -(-len(trees) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.3 * rows), layout="constrained")
    for axes, (title, tree) in zip(
        figure.subplots(rows, columns, squeeze=False).flat, trees.items(), strict=False
    ):
        draw_dendrogram(axes, tree, names, marked=marked)
        axes.set_title(title, fontsize=9)
    for axes in figure.axes[len(trees) :]:
        axes.remove()
    return figure


def draw_dendrogram(
    axes: "Axes",
    tree: Float[np.ndarray, "merge 4"],
    names: Sequence[str],
    *,
    marked: Sequence[Iterable[int]] = (),
) -> Mapping[frozenset[int], tuple[float, float]]:
    """Draw one dendrogram into axes of one's own, its leaves below and its heights upwards.

    Args:
        axes: Where to.
        tree: The linkage.
        names: The leaves' names.
        marked: Sets of leaves; where one is a subtree, it is drawn in a colour.

    Returns:
        Where each merge is drawn, by the leaves below it.
    """
    from scipy.cluster.hierarchy import dendrogram

    below = [frozenset((i,)) for i in range(len(names))]
    for first, second, *_ in tree:
        below.append(below[int(first)] | below[int(second)])
    colours = {
        node: colour
        for wanted, colour in zip(map(frozenset, marked), (_FOUND, _SECOND), strict=False)
        if wanted in below
        for node, members in enumerate(below)
        if members <= wanted
    }
    drawn = dendrogram(
        tree,
        ax=axes,
        labels=list(names),
        link_color_func=lambda node: colours.get(node, _INK),
        leaf_font_size=8,
        leaf_rotation=0,
    )
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(axis="y", labelsize=7)
    return _places(drawn)


def _places(drawn: Mapping[str, Any]) -> Mapping[frozenset[int], tuple[float, float]]:
    """The middle of each merge's bar, found from the leaves up."""
    leaves = enumerate(drawn["leaves"])
    at = {(5.0 + 10 * i, 0.0): frozenset((leaf,)) for i, leaf in leaves}
    places: dict[frozenset[int], tuple[float, float]] = {}
    bars = sorted(zip(drawn["icoord"], drawn["dcoord"], strict=True), key=lambda bar: bar[1][1])
    for (left, *_, right), (low, high, _, other) in bars:
        middle = ((left + right) / 2, high)
        members = at[left, low] | at[right, other]
        at[middle], places[members] = members, middle
    return places
