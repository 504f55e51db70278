"""A chart of decoded codes to walk through: plain HTML with pictures that were made beforehand."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from helpers.files import BookError

GREYS = 32
"""Grey levels in the chart's file: the eye sees no difference, and the file is half as large."""

# Without JavaScript the chart is a still picture; the script brings sliders and the close-up.
PAGE = """
<div id="@id@" style="display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start;max-width:46rem">
<div style="position:relative;flex:1 1 18rem;max-width:28rem;line-height:0">
<img src="@source@" alt="@alt@" style="width:100%;margin:0;border-radius:0">
<span aria-hidden="true" hidden style="position:absolute;box-sizing:border-box;pointer-events:none;
border:2px solid #D55E00;outline:1px solid #fff;width:@step_x@%;height:@step_y@%"></span></div>
<div hidden style="flex:0 1 11rem">
<div role="img" style="aspect-ratio:@aspect@;background-color:#fff;image-rendering:pixelated"></div>
<label style="display:block">@first@<input type="range" min="0" max="@last_x@" step="1"
style="width:100%"></label>
<label style="display:block">@second@<input type="range" min="0" max="@last_y@" step="1"
style="width:100%"></label>
<output aria-live="polite" style="display:block;font-variant-numeric:tabular-nums"></output>
</div></div>
"""

SCRIPT = """
(() => {
  const box = document.getElementById("@id@"), data = @data@;
  const [map, panel] = box.children, [chart, mark] = map.children;
  const view = panel.children[0], out = panel.querySelector("output");
  const [across, up] = panel.querySelectorAll("input");
  const percent = (i, n) => (n > 1 ? 100 * i / (n - 1) : 0) + "%";
  const show = () => {
    const x = +across.value, row = data.rows - 1 - up.value;  // the top row has the largest value
    view.style.backgroundPosition = percent(x, data.columns) + " " + percent(row, data.rows);
    mark.style.left = 100 * x / data.columns + "%";
    mark.style.top = 100 * row / data.rows + "%";
    const name = data.names ? ": " + data.names[row][x] : "";
    out.textContent = "z = (" + data.first[x] + ", " + data.second[row] + ")" + name;
    view.setAttribute("aria-label", "decoded picture at " + out.textContent);
    across.setAttribute("aria-valuetext", data.first[x]);
    up.setAttribute("aria-valuetext", data.second[row]);
  };
  view.style.backgroundImage = "url(" + chart.src + ")";
  view.style.backgroundSize = 100 * data.columns + "% " + 100 * data.rows + "%";
  across.value = data.columns >> 1;
  up.value = data.rows >> 1;
  across.oninput = up.oninput = show;
  chart.style.cursor = "pointer";
  chart.style.touchAction = "pinch-zoom";  // a finger on the chart walks, it does not scroll
  chart.draggable = false;
  const walk = (event) => {
    const frame = chart.getBoundingClientRect();
    const place = (at, size, n) => Math.min(n - 1, Math.max(0, Math.floor(at / size * n)));
    across.value = place(event.clientX - frame.left, frame.width, data.columns);
    up.value = data.rows - 1 - place(event.clientY - frame.top, frame.height, data.rows);
    show();
  };
  chart.onpointerdown = (event) => { chart.setPointerCapture(event.pointerId); walk(event); };
  chart.onpointermove = (event) => { if (chart.hasPointerCapture(event.pointerId)) walk(event); };
  panel.hidden = mark.hidden = false;
  show();
})();
"""


def explorer_html(
    pictures: Any,
    first: Sequence[float],
    second: Sequence[float],
    *,
    alt: str,
    labels: tuple[str, str] = ("first number", "second number"),
    names: Sequence[Sequence[str]] | None = None,
) -> str:
    """The HTML of a chart of decoded pictures with two sliders, a pointer to drag, and a close-up.

    pictures: grey floats [rows, columns, height, width] in [0, 1]; black on white when drawn.
    first: the code's first number for each column; second: its second number for each row, the top
    row first. labels: words beside the sliders. names: what each place shows [rows][columns], read
    out to those who cannot see it. alt: describes the whole chart.
    The file is all there is: no other host, no random id, keyboard by way of the browser's own
    sliders, a still picture without JavaScript. Raises BookError for shapes that do not fit, NaN,
    values outside [0, 1], and an empty alt.
    """
    pictures = np.asarray(pictures, dtype=np.float64)
    if pictures.ndim != 4 or not (pictures.min(initial=1) >= 0 and pictures.max(initial=0) <= 1):
        raise BookError(
            "The explorer takes pictures [rows, columns, height, width] with values from 0 to 1, "
            f"not {pictures.shape}."
        )
    rows, columns, height, width = pictures.shape
    sizes_of_names = None if names is None else [len(row) for row in names]
    if (len(second), len(first)) != (rows, columns) or sizes_of_names not in (
        None,
        [columns] * rows,
    ):
        raise BookError(f"Pass {columns} first and {rows} second numbers, and as many names.")
    if not alt.strip():
        raise BookError("Describe the chart in `alt`, for readers who cannot see it.")
    data = {
        "rows": rows,
        "columns": columns,
        "first": [f"{value:.2f}" for value in first],
        "second": [f"{value:.2f}" for value in second],
        "names": None if names is None else [list(row) for row in names],
    }
    # "</" would end the script element in the middle of a name
    content = json.dumps(data).replace("</", "<\\/")
    png = _chart_png(pictures)
    fields = {
        "id": "explorer-" + hashlib.sha256(png + content.encode()).hexdigest()[:12],
        "source": "data:image/png;base64," + base64.b64encode(png).decode(),
        "alt": html.escape(alt),
        "first": html.escape(labels[0]),
        "second": html.escape(labels[1]),
        "data": content,
        "step_x": f"{100 / columns:.4f}",
        "step_y": f"{100 / rows:.4f}",
        "last_x": str(columns - 1),
        "last_y": str(rows - 1),
        "aspect": f"{width}/{height}",
    }
    page = PAGE + "<script>" + SCRIPT + "</script>\n"
    for name, value in fields.items():
        page = page.replace(f"@{name}@", value)
    return page


def show_explorer(
    pictures: Any, first: Sequence[float], second: Sequence[float], **words: Any
) -> None:
    """Display `explorer_html` below the cell; in plain text its alternative text stands there."""
    from IPython.display import display

    page = explorer_html(pictures, first, second, **words)
    display({"text/html": page, "text/plain": words["alt"]}, raw=True)


def _chart_png(pictures: np.ndarray) -> bytes:
    """All pictures in one PNG of few grey levels, black on white."""
    from PIL import Image

    rows, columns, height, width = pictures.shape
    sheet = pictures.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)
    levels = np.round((1 - sheet) * (GREYS - 1)).astype(np.uint8)
    image = Image.fromarray(levels, mode="P")
    image.putpalette([round(255 * level / (GREYS - 1)) for level in range(GREYS) for _ in "rgb"])
    file = io.BytesIO()
    image.save(file, format="png", optimize=True, bits=5)
    return file.getvalue()
