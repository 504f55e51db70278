"""helpers.plots: what is drawn, in which order, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from helpers import plots
from helpers.files import BookError


@pytest.fixture(autouse=True)
def fresh_style() -> Iterator[None]:
    with matplotlib.rc_context():
        yield
    plt.close("all")


def drawn(figure: object) -> list[np.ndarray]:
    return [np.asarray(axis.images[0].get_array()) for axis in figure.axes if axis.images]  # type: ignore[attr-defined]


@pytest.mark.parametrize("shape", [(7, 4, 5), (7, 4, 5, 1), (7, 4, 5, 3)])
def test_image_grid_draws_every_picture_in_order(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).random(shape).astype("float32")
    figure = plots.image_grid(images, columns=3)
    assert len(figure.axes) == 9  # three rows; two places stay empty
    assert len(drawn(figure)) == 7
    for picture, image in zip(drawn(figure), images, strict=True):
        np.testing.assert_allclose(picture.squeeze(), image.squeeze())


def test_image_grid_scales_bytes_and_clips_floats(caplog: pytest.LogCaptureFixture) -> None:
    whole = np.full((1, 2, 2, 3), 255, "uint8")
    np.testing.assert_array_equal(drawn(plots.image_grid(whole, columns=1))[0], 1.0)
    wide = np.array([-1.0, 2.0]).reshape(1, 1, 2, 1).repeat(3, axis=-1)
    assert drawn(plots.image_grid(wide, columns=1))[0][0, :, 0].tolist() == [0.0, 1.0]
    assert caplog.text == ""  # matplotlib would say that it had to clip


def test_image_grid_keeps_one_scale_of_grey_unless_told() -> None:
    images = np.array([0.2, 0.4]).reshape(2, 1, 1)
    fixed = plots.image_grid(images, columns=2)
    assert [axis.images[0].get_clim() for axis in fixed.axes] == [(0.0, 1.0)] * 2
    own = plots.image_grid(np.array([[[3.0, 5.0]]]), columns=1, limits=None)
    assert own.axes[0].images[0].get_clim() == (3.0, 5.0)


def test_image_grid_titles_and_row_labels() -> None:
    figure = plots.image_grid(
        np.zeros((4, 2, 2)), columns=2, titles=list("abcd"), row_labels=["one", "two"]
    )
    assert [axis.get_title() for axis in figure.axes] == list("abcd")
    assert [axis.get_ylabel() for axis in figure.axes] == ["one", "", "two", ""]


@pytest.mark.parametrize("shape", [(0, 4, 4, 1), (4, 4), (2, 4, 4, 2), (1, 2, 3, 3, 3)])
def test_image_grid_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(BookError, match="Pictures have the shape"):
        plots.image_grid(np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_image_grid_refuses_values_that_are_not_finite(value: float) -> None:
    images = np.zeros((2, 3, 3, 1))
    images[1, 2, 2] = value
    with pytest.raises(BookError, match="not finite"):
        plots.image_grid(images)


def test_image_grid_refuses_a_wrong_number_of_titles() -> None:
    with pytest.raises(BookError, match="3 pictures do not go with 2 titles"):
        plots.image_grid(np.zeros((3, 2, 2)), titles=["a", "b"])
    with pytest.raises(BookError, match="2 rows do not go with 1 row labels"):
        plots.image_grid(np.zeros((3, 2, 2)), columns=2, row_labels=["a"])


def test_loss_curves() -> None:
    history = {"loss": [3.0, 2.0, 1.0], "val_loss": [3.5, 2.5, 2.4], "lr": [1.0]}
    figure = plots.loss_curves(history, labels={"loss": "training", "val_loss": "validation"})
    lines = figure.axes[0].get_lines()
    assert [line.get_ydata().tolist() for line in lines] == [history["loss"], history["val_loss"]]
    assert [line.get_xdata().tolist() for line in lines] == [[1, 2, 3]] * 2
    assert [line.get_linestyle() for line in lines] == ["-", "--"]
    shown = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert shown == ["training", "validation"]


def test_loss_curves_never_leave_a_curve_out() -> None:
    with pytest.raises(BookError, match="no 'val_loss'; it has accuracy, loss"):
        plots.loss_curves({"loss": [1.0], "accuracy": [0.5]}, labels={"val_loss": "validation"})


def test_style_is_opaque_and_uses_the_colours() -> None:
    plots.use_style()
    assert matplotlib.rcParams["figure.facecolor"] == "white"
    assert not matplotlib.rcParams["savefig.transparent"]
    cycle = [entry["color"] for entry in matplotlib.rcParams["axes.prop_cycle"]]
    assert cycle == list(plots.COLOURS)


def seen_by(colour: str, matrix: np.ndarray) -> np.ndarray:
    """A colour as a person with a colour deficiency sees it (linear RGB, Machado 2009)."""
    linear = np.array(
        [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    )
    return np.clip(matrix @ linear, 0, 1)


# Full protanopia and deuteranopia in the simulation by Machado, Oliveira and Fernandes (2009)
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


@pytest.mark.parametrize("vision", VISIONS)
def test_the_first_seven_colours_differ_for_every_eye(vision: str) -> None:
    seen = [seen_by(colour, VISIONS[vision]) ** (1 / 2.2) for colour in plots.COLOURS[:7]]
    gaps = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(gaps) > 0.15


def test_diagram_draws_every_box_and_arrow() -> None:
    figure = plots.diagram(
        {"x": (0, 0, "picture"), "f": (2, 0, "network"), "y": (2, 1.5, "answer")},
        [("x", "f"), ("f", "y", "softmax")],
        colours={"f": 0},
    )
    (axis,) = figure.axes
    texts = {text.get_text() for text in axis.texts}
    assert {"picture", "network", "answer", "softmax"} <= texts
    assert len(axis.patches) == 3
    arrows = [text for text in axis.texts if getattr(text, "arrow_patch", None) is not None]
    assert len(arrows) == 2
    low, high = axis.get_xlim()
    assert low < -0.75 and high > 2.75  # nothing is cut


def test_diagram_refuses_unknown_boxes() -> None:
    with pytest.raises(BookError, match="no box 'z'"):
        plots.diagram({"x": (0, 0, "picture")}, [("x", "z")])


def test_piano_roll() -> None:
    """A held half note is one bar, two repeated quarters are two; bar lines follow the upbeat."""
    figure, axes = plt.subplots()
    voices = [[(0, 8, 60), (12, 16, 62), (16, 20, 62)], [(4, 20, 48)]]
    plots.piano_roll(axes, voices, labels=["high", "low"], bar=16, pickup=4, ticks_per_quarter=4)
    bars = [(patch.get_x(), round(patch.get_width(), 2), patch.get_y() + patch.get_height() / 2)
            for patch in axes.patches]  # fmt: skip
    assert bars == [(0, 1.92, 60), (3, 0.92, 62), (4, 0.92, 62), (1, 3.92, 48)]
    assert [line.get_xdata()[0] for line in axes.lines] == [1.0]
    assert axes.patches[0].get_facecolor() != axes.patches[3].get_facecolor()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["high", "low"]
    plt.close(figure)
    for wrong in ([[], []], []):
        with pytest.raises(BookError, match="needs a note"):
            plots.piano_roll(axes, wrong)
    with pytest.raises(BookError, match="do not go with"):
        plots.piano_roll(axes, voices, labels=["one"])
