"""Functions of scripts/draw_openers.py for the opener of chapter 6, until it exists."""

def rubber_sheet() -> Any:
    """A cloud on a rubber sheet that is bent twice: up and down, then to and fro."""
    figure, axis = sheet(15.2, 8.1)

    def upright(points: np.ndarray) -> np.ndarray:
        """The first coordinate stays and says how the second one is scaled and shifted."""
        x, y = points
        return np.stack([x, y * np.exp(-0.2 + 0.35 * x) + 0.3 * x**2 - 0.5])

    def sideways(points: np.ndarray) -> np.ndarray:
        """The second coordinate stays and says how the first one is scaled and shifted."""
        x, y = points
        return np.stack([x * np.exp(0.1 * y) + 0.7 * np.sin(1.3 * y), y])

    cloud = np.random.default_rng(6).normal(size=(2, 230))
    cloud = cloud[:, np.hypot(*cloud) < 2.4]
    angle, corner = np.linspace(0, 2 * np.pi, 100), np.array([[0, 1, 1, 0, 0], [0, 0, 1, 1, 0]])
    lines = [2.5 * np.stack([np.cos(angle), np.sin(angle)])]
    for value in np.arange(-2.4, 2.5, 0.6):
        reach = np.linspace(-1, 1, 30) * np.sqrt(2.5**2 - value**2)
        lines += [np.stack([np.full(30, value), reach]), np.stack([reach, np.full(30, value)])]
    sides = [np.linspace(start, end, 12) for start, end in pairwise(corner.T)]
    square = 0.6 * np.concatenate(sides).T
    steps = (np.asarray, upright, lambda points: sideways(upright(points)))
    names = ("noise", "after one layer", "after two layers")
    for middle, step, name in zip((2.3, 7.2, 12.3), steps, names, strict=True):

        def place(points: np.ndarray, step: Any = step, middle: float = middle) -> np.ndarray:
            return np.array([[middle], [4.1]]) + 0.78 * step(points)

        for line in lines:
            axis.plot(*place(line), color="#c4ccd2", linewidth=0.8, zorder=1)
        axis.scatter(*place(cloud), s=6, color=BLUE, linewidths=0, alpha=0.75, zorder=3)
        for left, low, colour in [(-1.2, -0.6, ORANGE), (1.2, -0.6, GREEN)]:
            around = place(square + np.array([[left], [low]]))
            axis.fill(*around, facecolor=colour, alpha=0.35, zorder=2)
            axis.plot(*around, color=colour, linewidth=1.5, zorder=4)
        axis.text(middle, 1.65, name, ha="center", va="top", fontsize=12)
    pointer(axis, (0.3, 7.05), (14.9, 7.05), ORANGE)
    axis.text(7.6, 7.2, "drawing: noise is bent into data", ha="center", va="bottom", fontsize=12,
              color=ORANGE)  # fmt: skip
    pointer(axis, (14.9, 0.85), (0.3, 0.85), BLUE)
    axis.text(7.6, 0.7, "measuring: data is bent back", ha="center", va="top", fontsize=12,
              color=BLUE)  # fmt: skip
    return figure
