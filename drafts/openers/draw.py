"""Functions of scripts/draw_openers.py for the openers of chapters 5 and 6, until these exist."""

def pieces() -> Any:
    """A word and a picture, each half finished, and the chances of the piece that comes next."""
    figure, axis = sheet(15.2, 9.3)
    text, side = "a white shi", 0.82
    for i, letter in enumerate(text + "?"):
        left, last = 0.1 + side * i, i == len(text)
        box = {"facecolor": "#fbe3d5", "edgecolor": ORANGE} if last else {
            "facecolor": "#d9ebf6", "edgecolor": BLUE}  # fmt: skip
        axis.add_patch(Rectangle((left, 7.1), side, 1.0, zorder=3 if last else 2, **box))
        axis.text(left + side / 2, 7.57, letter, ha="center", va="center", fontsize=14,
                  color=ORANGE if last else "black", zorder=4)  # fmt: skip
    axis.text(5.0, 6.85, "letters so far", ha="center", va="top", fontsize=12, color=BLUE)
    pointer(axis, (10.1, 7.6), (11.2, 7.6))
    for i, (letter, chance) in enumerate([("r", 0.5), ("p", 0.25), ("n", 0.2), ("e", 0.04)]):
        low = 8.4 - 0.62 * i
        axis.text(11.75, low + 0.2, letter, ha="center", va="center", fontsize=12)
        axis.add_patch(Rectangle((12.15, low), 4.8 * chance, 0.4, color=ORANGE))
    axis.text(13.3, 6.3, "next letter", ha="center", va="top", fontsize=12, color=ORANGE)

    drawn, row, column, cell = shirt()[::2, ::2], 6, 9, 0.37
    left, low = 2.4, 0.1
    levels = np.where(np.arange(14 * 14).reshape(14, 14) < 14 * row + column, drawn, np.nan)
    extent = (left, left + 14 * cell, low, low + 14 * cell)
    axis.add_patch(Rectangle((left, low), 14 * cell, 14 * cell, facecolor="#f1f3f5", zorder=1))
    axis.imshow(levels, cmap="gray_r", vmin=0, vmax=1, extent=extent, zorder=2)
    grid = {"color": "#c4ccd2", "linewidth": 0.5, "zorder": 3}
    for i in range(15):
        axis.plot([left, left + 14 * cell], [low + i * cell] * 2, **grid)
        axis.plot([left + i * cell] * 2, [low, low + 14 * cell], **grid)
    top = low + (14 - row) * cell
    here = (left + column * cell, top - cell)
    edge_x = [0, 14, 14, column, column, 0, 0]
    edge_y = [14, 14, 14 - row, 14 - row, 13 - row, 13 - row, 14]
    axis.plot(left + cell * np.array(edge_x), low + cell * np.array(edge_y), color=BLUE,
              linewidth=1.6, zorder=4)  # fmt: skip
    axis.add_patch(Rectangle(here, cell, cell, facecolor="#fbe3d5", edgecolor=ORANGE, zorder=5,
                             linewidth=1.6))  # fmt: skip
    axis.text(2.2, 4.2, "pixels\nso far", ha="right", va="center", fontsize=12, color=BLUE)
    axis.text(left + 7 * cell, 1.3, "not drawn yet", ha="center", va="center", fontsize=12,
              color=GREY, zorder=4)  # fmt: skip
    pointer(axis, (here[0] + cell, here[1] + cell / 2), (11.2, here[1] + cell / 2), ORANGE,
            zorder=6)  # fmt: skip
    for i, (level, chance) in enumerate([(0.0, 0.04), (0.55, 0.1), (0.75, 0.6), (0.95, 0.26)]):
        below = 3.65 - 0.62 * i
        axis.add_patch(Rectangle((11.55, below), 0.4, 0.4, facecolor=str(1 - level),
                                 edgecolor=GREY))  # fmt: skip
        axis.add_patch(Rectangle((12.15, below), 4.8 * chance, 0.4, color=ORANGE))
    axis.text(13.3, 1.55, "next pixel", ha="center", va="top", fontsize=12, color=ORANGE)
    return figure


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
