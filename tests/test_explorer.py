"""The latent explorer: its file, what it refuses, and how it behaves in a real browser."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.explorer import explorer_html
from helpers.files import BookError

ROWS, COLUMNS = 3, 4
FIRST, SECOND = [-1.5, -0.5, 0.5, 1.5], [1.0, 0.0, -1.0]
NAMES = [[f"garment {row}{column}" for column in range(COLUMNS)] for row in range(ROWS)]


def pictures() -> np.ndarray:
    """Twelve pictures of 5x5 pixels, each of one brightness."""
    levels = np.linspace(0, 1, ROWS * COLUMNS).reshape(ROWS, COLUMNS, 1, 1)
    return np.broadcast_to(levels, (ROWS, COLUMNS, 5, 5))


def page(**changes: Any) -> str:
    words = {"alt": 'A chart of "twelve" greys', "names": NAMES} | changes
    return explorer_html(pictures(), FIRST, SECOND, **words)


def test_the_chart_holds_all_pictures_black_on_white() -> None:
    from PIL import Image

    encoded = re.search(r"base64,([^\"]+)\"", page())
    assert encoded
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded[1]))).convert("L"))
    assert image.shape == (5 * ROWS, 5 * COLUMNS)
    corners = image[::5, ::5].astype(float)
    assert np.allclose(corners, 255 * (1 - pictures()[:, :, 0, 0]), atol=255 / 31 / 2 + 1)


def test_it_describes_itself_and_needs_no_other_host() -> None:
    text = page()
    assert 'alt="A chart of &quot;twelve&quot; greys"' in text
    assert text.count('type="range"') == 2 and 'aria-live="polite"' in text
    assert not re.search(r"https?:|@\w+@", text)
    without_data = re.sub(r"base64,[^\"]+", "", text)
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", without_data)


def test_its_id_comes_from_its_content() -> None:
    def name(text: str) -> list[str]:
        return sorted(set(re.findall(r"explorer-[0-9a-f]{12}", text)))

    assert name(page()) == name(page()) and len(name(page())) == 1
    assert name(page()) != name(page(names=None))


def test_a_name_cannot_end_the_script() -> None:
    names = [[*row] for row in NAMES]
    names[0][0] = "</script><b>"
    assert page(names=names).count("</script>") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"alt": " "},
        {"names": NAMES[:2]},
        {"names": [row[:3] for row in NAMES]},
    ],
)
def test_it_refuses_what_does_not_fit(changes: dict[str, Any]) -> None:
    with pytest.raises(BookError):
        page(**changes)


def test_it_refuses_wrong_pictures_and_numbers() -> None:
    for wrong in (pictures()[0], pictures() * 2, pictures() * np.nan, pictures() - 0.1):
        with pytest.raises(BookError, match="pictures"):
            explorer_html(wrong, FIRST, SECOND, alt="x")
    with pytest.raises(BookError, match="4 first and 3 second"):
        explorer_html(pictures(), SECOND, FIRST, alt="x")


# ------------------------------------------------------------------------------ in a real browser


@pytest.mark.browser
def test_sliders_keys_and_clicks(driver: Any, tmp_path: Path) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    file = tmp_path / "page.html"
    file.write_text(f"<!DOCTYPE html><meta charset='utf-8'>{page()}", encoding="utf-8")
    driver.get(file.as_uri())
    across, up = driver.find_elements(By.CSS_SELECTOR, "input")
    output = driver.find_element(By.TAG_NAME, "output")
    view = driver.find_element(By.CSS_SELECTOR, "[role=img]")
    chart = driver.find_element(By.TAG_NAME, "img")
    assert across.is_displayed() and up.is_displayed()

    across.send_keys(Keys.HOME)
    up.send_keys(Keys.HOME)
    assert output.text == "z = (-1.50, -1.00): garment 20"  # bottom left
    across.send_keys(Keys.ARROW_RIGHT)
    up.send_keys(Keys.END)
    assert output.text == "z = (-0.50, 1.00): garment 01"  # one to the right, top
    assert output.text in view.get_attribute("aria-label")
    assert up.get_attribute("aria-valuetext") == "1.00"

    size = chart.size
    right, down = size["width"] * 0.45, size["height"] * 0.45
    ActionChains(driver).move_to_element_with_offset(chart, right, down).click().perform()
    assert output.text == "z = (1.50, -1.00): garment 23"  # bottom right
    assert view.value_of_css_property("background-position") == "100% 100%"
    # a press on the left, dragged to the upper right
    (
        ActionChains(driver)
        .move_to_element_with_offset(chart, -right, down)
        .click_and_hold()
        .move_by_offset(int(2 * right), int(-2 * down))
        .release()
        .perform()
    )
    assert output.text == "z = (1.50, 1.00): garment 03"
    ActionChains(driver).move_to_element_with_offset(chart, -right, down).perform()
    assert output.text == "z = (1.50, 1.00): garment 03"  # let go, it stays


@pytest.mark.browser
def test_without_javascript_the_chart_is_a_picture(driver: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    file = tmp_path / "still.html"
    still = re.sub(r"<script>.*?</script>", "", page(), flags=re.DOTALL)
    file.write_text(f"<!DOCTYPE html><meta charset='utf-8'>{still}", encoding="utf-8")
    driver.get(file.as_uri())
    assert driver.find_element(By.TAG_NAME, "img").is_displayed()
    assert not any(slider.is_displayed() for slider in driver.find_elements(By.TAG_NAME, "input"))
