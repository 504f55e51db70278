"""The film player: its file, what it refuses, and how it behaves in a real browser."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.files import BookError
from helpers.films import GREYS, film_html

FRAMES = np.broadcast_to(np.linspace(0, 1, 7)[:, None, None], (7, 6, 9))
LABELS = [f"step {number}" for number in range(7)]


def page(frames: Any = FRAMES, **changes: Any) -> str:
    words: dict[str, Any] = {"alt": 'Black turns "white"', "labels": LABELS} | changes
    return film_html(frames, **words)


def sheet(text: str) -> np.ndarray:
    from PIL import Image

    encoded = re.search(r"base64,([^\"]+)\"", text)
    assert encoded
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded[1]))).convert("RGB"))


def test_the_sheet_holds_all_frames_in_reading_order() -> None:
    picture = sheet(page()) / 255
    assert picture.shape == (6 * 4, 9 * 2, 3)  # two columns, four rows
    corners = picture[::6, ::9, 0].ravel()
    assert np.allclose(corners[:7], FRAMES[:, 0, 0], atol=0.5 / (GREYS - 1) + 0.01)
    assert corners[7] == 1  # the place left over is white


def test_colours_survive() -> None:
    colours = np.array([[1, 0, 0], [0, 0.5, 0], [0, 0, 1], [1, 1, 0]], dtype=float)
    frames = np.broadcast_to(colours[:, None, None], (4, 16, 16, 3))
    picture = sheet(page(frames, labels=LABELS[:4])) / 255
    middles = picture[8::16, 8::16].reshape(-1, 3)
    assert np.allclose(middles, colours, atol=0.06)


def test_it_describes_itself_and_needs_no_other_host() -> None:
    text = page()
    assert 'alt="Black turns &quot;white&quot;"' in text
    assert "<button" in text and 'type="range"' in text and "prefers-reduced-motion" in text
    assert not re.search(r"https?:|@\w+@", text)
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", re.sub(r"base64,[^\"]+", "", text))


def test_its_id_comes_from_its_content() -> None:
    def name(text: str) -> list[str]:
        return sorted(set(re.findall(r"film-[0-9a-f]{12}", text)))

    assert name(page()) == name(page()) and len(name(page())) == 1
    assert name(page()) != name(page(FRAMES[::-1])) != name(page(labels=[*LABELS[1:], "end"]))


def test_a_label_cannot_end_the_script() -> None:
    assert page(labels=["</script><b>", *LABELS[1:]]).count("</script>") == 1


@pytest.mark.parametrize(
    ("frames", "words", "message"),
    [
        (FRAMES[:1], {"labels": LABELS[:1]}, "two or more"),
        (FRAMES[0], {}, "two or more"),
        (np.zeros((7, 6, 9, 2)), {}, "two or more"),
        (FRAMES * 2, {}, "from 0 to 1"),
        (FRAMES - 0.1, {}, "from 0 to 1"),
        (FRAMES * np.nan, {}, "from 0 to 1"),
        (FRAMES, {"labels": LABELS[:6]}, "7 frames do not go with 6 labels"),
        (FRAMES, {"alt": " "}, "alt"),
        (np.random.default_rng(0).random((7, 600, 600)), {}, "fewer or smaller"),
    ],
)
def test_it_refuses_what_does_not_fit(frames: Any, words: dict[str, Any], message: str) -> None:
    with pytest.raises(BookError, match=message):
        page(frames, **words)


def test_a_notebook_gets_html_and_words(capsys: pytest.CaptureFixture[str]) -> None:
    from helpers.films import show_film

    show_film(FRAMES, alt="Black turns white", labels=LABELS)
    assert "Black turns white" in capsys.readouterr().out  # outside a notebook, the words


# ------------------------------------------------------------------------------ in a real browser


@pytest.fixture
def open_film(driver: Any, tmp_path: Path) -> Callable[..., Any]:
    """Opens a page with a film on it; returns its button, slider, line of text and view."""
    from selenium.webdriver.common.by import By

    def open_it(*, motion: str, above: str = "", **words: Any) -> list[Any]:
        features = [{"name": "prefers-reduced-motion", "value": motion}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        file = tmp_path / "page.html"
        text = f"<!DOCTYPE html><meta charset='utf-8'>{above}{page(**words)}"
        file.write_text(text, encoding="utf-8")
        driver.get(file.as_uri())
        found = ["button", "input", "output", "[role=img]"]
        return [driver.find_element(By.CSS_SELECTOR, name) for name in found]

    return open_it


def wait_for(condition: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends, what
        time.sleep(0.02)


@pytest.mark.browser
def test_it_plays_once_by_itself_and_again_when_asked(driver: Any, open_film: Any) -> None:
    button, slider, output, view = open_film(motion="no-preference", seconds=0.7)
    wait_for(lambda: output.text == "step 6" and button.text == "Play", "it did not end")
    assert view.value_of_css_property("background-position") == "0% 100%"  # bottom left
    button.click()
    wait_for(lambda: output.text in ("step 1", "step 2", "step 3"), "it did not start again")
    wait_for(lambda: output.text == "step 6" and button.text == "Play", "it did not end")
    assert slider.get_attribute("aria-valuetext") == "step 6"


@pytest.mark.browser
def test_it_pauses_and_goes_on(open_film: Any) -> None:
    button, _, output, _ = open_film(motion="no-preference", seconds=2.8)
    wait_for(lambda: output.text == "step 1", "it did not start")
    assert button.text == "Pause"
    button.click()
    held = output.text
    time.sleep(1.0)
    assert (output.text, button.text) == (held, "Play")
    button.click()
    wait_for(lambda: output.text == "step 6", "it did not go on")


@pytest.mark.browser
def test_keys_reach_every_frame(driver: Any, open_film: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    button, slider, output, view = open_film(motion="reduce", seconds=0.7)
    ActionChains(driver).send_keys(Keys.TAB).perform()
    assert driver.switch_to.active_element == button
    ActionChains(driver).send_keys(Keys.TAB).perform()
    assert driver.switch_to.active_element == slider
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert output.text == slider.get_attribute("aria-valuetext") == "step 2"
    assert view.value_of_css_property("background-position").startswith("0% 33.3")
    slider.send_keys(Keys.END, Keys.ARROW_LEFT)
    assert output.text == "step 5"
    button.send_keys(Keys.SPACE)  # from the button, the keyboard plays
    wait_for(lambda: output.text == "step 6" and button.text == "Play", "the key did not play it")


@pytest.mark.browser
def test_the_slider_stops_a_running_film(open_film: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    button, slider, output, _ = open_film(motion="no-preference", seconds=2.8)
    wait_for(lambda: button.text == "Pause", "it did not start")
    slider.send_keys(Keys.HOME, Keys.ARROW_RIGHT)
    assert (output.text, button.text) == ("step 1", "Play")
    time.sleep(0.9)
    assert output.text == "step 1"


@pytest.mark.browser
def test_reduced_motion_and_distance_keep_it_still(driver: Any, open_film: Any) -> None:
    button, _, output, view = open_film(motion="reduce", seconds=0.7)
    time.sleep(0.6)
    assert (output.text, button.text) == ("step 0", "Play")
    far = "<div style='height: 3000px'>text</div>"
    button, _, output, view = open_film(motion="no-preference", above=far, seconds=0.7)
    time.sleep(0.6)
    assert output.text == "step 0"  # nobody has seen it yet
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", view)
    wait_for(lambda: output.text == "step 6", "it did not start when seen")


@pytest.mark.browser
def test_without_javascript_the_sheet_is_a_picture(driver: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    file = tmp_path / "still.html"
    still = re.sub(r"<script>.*?</script>", "", page(), flags=re.DOTALL)
    file.write_text(f"<!DOCTYPE html><meta charset='utf-8'>{still}", encoding="utf-8")
    driver.get(file.as_uri())
    picture = driver.find_element(By.TAG_NAME, "img")
    assert picture.is_displayed() and picture.size["height"] > 50
    assert not driver.find_element(By.TAG_NAME, "button").is_displayed()
