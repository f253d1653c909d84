"""Every theme can be read, and told apart by every kind of colour vision."""

import itertools

import numpy as np
import pytest

from tinygrad_edu import Tensor
from tinygrad_edu.render import draw
from tinygrad_edu.render.palette import HEATS, STEPS, THEMES, heat_of, mixed
from tinygrad_edu.render.plain import ViewNode
from tinygrad_edu.render.view import view_of

# How colours look without one kind of cones: Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "all three cones": np.eye(3),
    "no red cones": [[0.15229, 1.05258, -0.20487], [0.11450, 0.78628, 0.09922], [-0.00388, -0.04812, 1.05200]],
    "no green cones": [[0.36732, 0.86065, -0.22797], [0.28009, 0.67250, 0.04741], [-0.01182, 0.04294, 0.96888]],
    "no blue cones": [[1.25553, -0.07675, -0.17878], [-0.07841, 0.93081, 0.14760], [0.00473, 0.69137, 0.30390]],
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    values = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def luminance(colour):
    return float(linear(colour) @ TO_XYZ[1])


def contrast(one, other):
    """As WCAG 2 defines it: 1 is none, 21 is black on white."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def seen(colour, vision):
    """In CIE L*a*b*, where 2.3 is just noticeable."""
    xyz = TO_XYZ @ np.clip(np.array(vision) @ linear(colour), 0, 1) / (TO_XYZ @ np.ones(3))
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", THEMES)
def test_roles_are_told_apart_by_every_kind_of_colour_vision(theme, vision):
    colours = THEMES[theme]
    for one, other in itertools.combinations(("operation", "leaf", "output", "wrong"), 2):
        fills, frames = (
            np.linalg.norm(seen(pair[one], VISION[vision]) - seen(pair[other], VISION[vision]))
            for pair in (colours.fills, colours.frames)
        )
        assert max(fills, frames) > 10, (one, other, fills, frames)


@pytest.mark.parametrize("theme", THEMES)
def test_words_are_read_on_every_fill(theme):
    colours = THEMES[theme]
    for fill in (colours.paper, *colours.scopes, *colours.fills.values()):
        assert contrast(colours.ink, fill) >= 7
        assert contrast(colours.pale, fill) >= 4.5 or fill == colours.fills["wrong"], "on which all words are ink"
    assert contrast(colours.gradient, colours.fills["leaf"]) >= 4.5
    for share in np.linspace(0, 1, STEPS):
        assert contrast(colours.ink, mixed(*colours.heat, share)) >= 4.5


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", THEMES)
def test_each_step_of_heat_is_seen(theme, vision):
    steps = [seen(mixed(*THEMES[theme].heat, k / (STEPS - 1)), VISION[vision]) for k in range(STEPS)]
    assert all(np.linalg.norm(one - other) > 2.3 for one, other in itertools.pairwise(steps))
    lightness = [step[0] for step in steps]
    assert lightness == sorted(lightness, reverse=theme != "dark")


def test_heat_orders_nodes_by_what_is_measured():
    nodes = [ViewNode(k, "operation", "f", saved_bytes=size) for k, size in enumerate([0, 10, 1000, 100, None])]
    warmth = heat_of(nodes, "bytes")
    assert warmth.steps == {1: 1, 3: 5, 2: STEPS - 1}
    assert warmth.legend == "Colour: bytes kept for backward, 10 (pale) to 1,000 (strong)."


@pytest.mark.parametrize("heat", HEATS)
def test_every_heat_says_what_it_shows_or_that_nothing_is_known(heat):
    def f(x):
        return np.tanh(x @ np.ones((3, 2))).sum()

    dot = draw(f, np.arange(6.0).reshape(2, 3), format="dot", heat=heat)
    assert f"Colour: {HEATS[heat][0]}," in dot and f"heat{STEPS - 1}" in dot
    assert "of which nothing is known here" in heat_of([ViewNode(0, "operation", "f", saved_bytes=None)], heat).legend


def test_a_longer_array_is_not_hotter_for_its_length():
    x = Tensor(np.ones(2), requires_grad=True)
    view = view_of(np.concatenate([x] * 50).sum(), gradients=True)
    steps = heat_of(view.nodes, "value").steps
    assert {view.nodes[number].label for number, step in steps.items() if step == STEPS - 1} >= {"sum"}
