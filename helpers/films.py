"""Short films as one sheet of frames and a small player: no other host, no video encoder."""

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

LARGEST = 500_000
"""Bytes of one film's sheet at most; notebooks hold several and should stay light."""

GREYS = 32
"""Grey levels of a grey film: the eye sees no difference, and the file is half as large."""

# Without JavaScript the whole sheet is a still picture; the script puts the player in its place.
PAGE = """
<div id="@id@" style="max-width:@width@rem">
<img src="@source@" alt="@alt@" style="width:100%;margin:0;border-radius:0">
<div hidden>
<div role="img" style="aspect-ratio:@aspect@;image-rendering:pixelated"></div>
<div style="display:flex;gap:.5rem;align-items:center;margin-top:.3rem">
<button type="button" style="min-width:5rem;padding:.2rem .4rem">Play</button>
<input type="range" min="0" max="@last@" step="1" value="0" aria-label="frame" style="flex:1">
</div>
<output style="display:block;font-variant-numeric:tabular-nums"></output>
</div></div>
"""

SCRIPT = """
(() => {
  const box = document.getElementById("@id@"), data = @data@;
  const [sheet, player] = box.children, view = player.children[0];
  const button = player.querySelector("button"), slider = player.querySelector("input");
  const out = player.querySelector("output"), last = data.labels.length - 1;
  const percent = (i, n) => (n > 1 ? 100 * i / (n - 1) : 0) + "%";
  let clock = null;
  const show = () => {
    const frame = +slider.value, row = Math.floor(frame / data.columns);
    view.style.backgroundPosition =
      percent(frame % data.columns, data.columns) + " " + percent(row, data.rows);
    out.textContent = data.labels[frame];
    slider.setAttribute("aria-valuetext", data.labels[frame]);
  };
  const stop = () => {
    clearInterval(clock);
    clock = null;
    button.textContent = "Play";
  };
  const step = () => {
    slider.value = +slider.value + 1;
    show();
    if (+slider.value >= last) stop();
  };
  const play = () => {
    if (+slider.value >= last) slider.value = 0;
    show();
    clock = setInterval(step, data.milliseconds);
    button.textContent = "Pause";
  };
  button.onclick = () => clock === null ? play() : stop();
  slider.oninput = () => { stop(); show(); };
  view.setAttribute("aria-label", sheet.alt);
  view.style.backgroundImage = "url(" + sheet.src + ")";
  view.style.backgroundSize = 100 * data.columns + "% " + 100 * data.rows + "%";
  sheet.hidden = true;
  player.hidden = false;
  slider.value = 0;
  show();
  // It plays once when it is first seen whole, unless the reader's system asks for little motion
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const seen = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    seen.disconnect();
    if (clock === null && +slider.value === 0) play();
  }, {threshold: 0.9});
  seen.observe(view);
})();
"""


def film_html(
    frames: Any, *, alt: str, labels: Sequence[str], seconds: float = 8.0, width: float = 24.0
) -> str:
    """The HTML of a film with a play button and a slider; without JavaScript, its sheet of frames.

    frames: floats [n, height, width] or [n, height, width, 1 or 3] in [0, 1], n at least 2.
    labels: one line for each frame, shown below it. alt: describes the whole film. seconds: how
    long it plays; it plays once, when it is first seen, and not by itself where the reader's
    system asks for reduced motion. width: largest width on the page, in rem.
    The text is all there is: no other host, an id that follows from the content, keyboard by way
    of the browser's own button and slider. Raises BookError for shapes that do not fit, NaN,
    values outside [0, 1], an empty alt, and a sheet of more than 500 kB.
    """
    frames = _as_frames(frames)
    count, height, wide = frames.shape[:3]
    if len(labels) != count:
        raise BookError(f"{count} frames do not go with {len(labels)} labels.")
    if not alt.strip():
        raise BookError("Describe the film in `alt`, for readers who cannot see it.")
    columns = max(1, min(count, round(np.sqrt(count * height / wide))))  # a sheet nearly square
    rows = -(-count // columns)
    data = {
        "columns": columns,
        "rows": rows,
        "labels": [str(label) for label in labels],
        "milliseconds": max(40, round(1000 * seconds / count)),
    }
    # "</" would end the script element in the middle of a label
    content = json.dumps(data).replace("</", "<\\/")
    kind, sheet = _encode(_lay_out(frames, rows, columns))
    if len(sheet) > LARGEST:
        raise BookError(
            f"The film's sheet takes {len(sheet) / 1000:.0f} kB, at most {LARGEST / 1000:.0f} are "
            "allowed: pass fewer or smaller frames."
        )
    fields = {
        "id": "film-" + hashlib.sha256(sheet + content.encode()).hexdigest()[:12],
        "source": f"data:image/{kind};base64," + base64.b64encode(sheet).decode(),
        "alt": html.escape(alt),
        "aspect": f"{wide}/{height}",
        "width": f"{width:g}",
        "last": str(count - 1),
        "data": content,
    }
    page = PAGE + "<script>" + SCRIPT + "</script>\n"
    for name, value in fields.items():
        page = page.replace(f"@{name}@", value)
    return page


def show_film(frames: Any, *, alt: str, labels: Sequence[str], **options: Any) -> None:
    """Display `film_html` below the cell; in plain text its alternative text stands there."""
    from IPython.display import display

    page = film_html(frames, alt=alt, labels=labels, **options)
    display({"text/html": page, "text/plain": alt}, raw=True)


def _as_frames(frames: Any) -> np.ndarray:
    """Frames as floats [n, height, width, 1 or 3] in [0, 1]."""
    frames = np.asarray(frames, dtype=np.float64)
    if frames.ndim == 3:
        frames = frames[..., None]
    if frames.ndim != 4 or len(frames) < 2 or frames.shape[-1] not in (1, 3) or not frames.size:
        raise BookError(
            "A film takes two or more frames [n, height, width] or [n, height, width, 1 or 3], "
            f"not {frames.shape}."
        )
    if not (frames.min() >= 0 and frames.max() <= 1):
        raise BookError("The frames of a film have values from 0 to 1, and none that is missing.")
    return frames


def _lay_out(frames: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """One picture [rows * height, columns * width, channels]; places left over are white."""
    count, height, width, channels = frames.shape
    sheet = np.ones((rows * columns, height, width, channels))
    sheet[:count] = frames
    sheet = sheet.reshape(rows, columns, height, width, channels)
    return sheet.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)


def _encode(sheet: np.ndarray) -> tuple[str, bytes]:
    """("png", bytes) of a grey sheet in few levels, or ("webp", bytes) of a coloured one."""
    from PIL import Image

    file = io.BytesIO()
    if sheet.shape[-1] == 3:
        Image.fromarray(np.round(sheet * 255).astype(np.uint8)).save(file, "webp", quality=85)
        return "webp", file.getvalue()
    image = Image.fromarray(np.round(sheet[..., 0] * (GREYS - 1)).astype(np.uint8), mode="P")
    image.putpalette([round(255 * level / (GREYS - 1)) for level in range(GREYS) for _ in "rgb"])
    image.save(file, format="png", optimize=True, bits=5)
    return "png", file.getvalue()
