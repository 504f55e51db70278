"""Functions of scripts/draw_openers.py for the opener of chapter 5, until it exists."""

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
