"""helpers.driving: the environment equals CarRacing-v3, and drives are repeatable and resumable."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from helpers import driving
from helpers.files import BookError

SHORT = {"frames": 12}  # three steps
GAS = np.array([0.1, 0.5, 0.0], np.float32)


class Wandering:
    """Draws each action anew, from the generator of its drive."""

    def __init__(self, dice: np.random.Generator) -> None:
        self.dice = dice

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        return self.dice.uniform([-1, 0, 0], [1, 1, 1]).astype(np.float32)


class Steady:
    """Always answers with one action, which may be a bad one."""

    def __init__(self, dice: np.random.Generator, action: Any = GAS) -> None:
        self.action = action

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        return np.asarray(self.action)


class DiesOnTrack3:
    """Stands in for a machine that goes down in the middle of the work."""

    def __init__(self, dice: np.random.Generator) -> None:
        # The generator is seeded with the number of the track
        seed = dice.bit_generator.seed_seq.entropy[0]  # type: ignore[attr-defined]
        if "BROKEN" in os.environ and seed == 3:
            raise KeyboardInterrupt

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        return GAS


def same(one: driving.Drive, other: driving.Drive) -> bool:
    return (
        one.seed == other.seed
        and np.array_equal(one.actions, other.actions)
        and np.array_equal(one.rewards, other.rewards)
        and np.array_equal(one.frames, other.frames)
        and one.ended == other.ended
    )


@pytest.fixture
def full_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")


# ------------------------------------------------------------------------------- the environment


def test_the_environment_passes_gymnasiums_own_check() -> None:
    from gymnasium.utils.env_checker import check_env

    check_env(driving.make_env(**SHORT), skip_render_check=True, skip_close_check=True)


def test_a_step_is_four_steps_of_car_racing_with_one_action() -> None:
    """Frames byte by byte, also where most of the track is not drawn; rewards are sums."""
    import gymnasium

    ours, theirs = driving.make_env(frames=142), gymnasium.make("CarRacing-v3")
    frame, _ = ours.reset(seed=5)
    picture, _ = theirs.reset(seed=5)
    assert np.array_equal(frame, driving.shrink(picture))
    dice = np.random.default_rng(0)
    for step in range(36):
        action = dice.uniform([-0.4, 0, 0], [0.4, 0.6, 0.1]).astype(np.float32)
        frame, reward, *_, info = ours.step(action)
        total = 0.0
        for _ in range(4 if step < 35 else 2):  # the last step is shorter: 142 = 35 x 4 + 2
            picture, part, *_ = theirs.step(action)
            total += part
        assert reward == pytest.approx(total, abs=1e-9)
        if step % 5 == 0 or step == 35:
            assert np.array_equal(frame, driving.shrink(picture)), step
    assert info == {"frames": 142}


def test_a_frame_shows_the_world_and_not_the_instruments() -> None:
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[84:] = 255
    assert driving.shrink(picture).max() == 0
    picture[:84] = [10, 20, 30]
    assert driving.shrink(picture).shape == (64, 64, 3)
    assert (driving.shrink(picture) == [10, 20, 30]).all()


def test_a_seed_is_a_track_and_the_same_one_each_time() -> None:
    env = driving.make_env(**SHORT)
    frames = [env.reset(seed=seed)[0] for seed in (1, 2, 1)]
    assert np.array_equal(frames[0], frames[2])
    assert not np.array_equal(frames[0], frames[1])


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ([np.nan, 0, 0], "not finite"),
        ([0, np.inf, 0], "not finite"),
        ([0, 1.01, 0], "not in the space"),
        ([-1.2, 0, 0], "not in the space"),
        ([0, 0, -0.1], "not in the space"),
        ([0, 0], "shape"),
        ([[0, 0, 0]], "shape"),
    ],
)
def test_a_bad_action_is_refused(action: Any, words: str) -> None:
    env = driving.make_env(**SHORT)
    env.reset(seed=0)
    with pytest.raises(BookError, match=words):
        env.step(np.array(action))
    with pytest.raises(BookError, match=words):
        driving.drive(functools.partial(Steady, action=action), 0, **SHORT)


def test_a_reward_that_is_not_a_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    env = driving.make_env(**SHORT)
    env.reset(seed=0)
    monkeypatch.setattr(env.race, "step", lambda action: (None, np.nan, False, False, {}))
    with pytest.raises(BookError, match="reward at frame 4"):
        env.step(GAS)


def test_a_drive_that_is_over_is_not_gone_on_with() -> None:
    env = driving.make_env(frames=4)
    with pytest.raises(BookError, match="reset"):
        env.step(GAS)
    env.reset(seed=0)
    assert env.step(GAS)[2:4] == (False, True)  # truncated: time was over
    with pytest.raises(BookError, match="reset"):
        env.step(GAS)


def test_far_off_the_field_the_drive_ends_within_a_step_and_is_drawn() -> None:
    env = driving.make_env()
    start, _ = env.reset(seed=0)
    env.step(GAS)
    for part in [env.race.car.hull, *env.race.car.wheels]:  # as if it had driven there
        part.position = (part.position[0] + 1000, part.position[1])
    frame, reward, terminated, truncated, info = env.step(GAS)
    assert (terminated, truncated, info["frames"]) == (True, False, 5)
    assert reward == pytest.approx(-100)  # CarRacing's own price for leaving the field
    assert not np.array_equal(frame, start)
    with pytest.raises(BookError, match="reset"):
        env.step(GAS)


@pytest.mark.parametrize("sizes", [{"frame_skip": 0}, {"frames": 0}])
def test_sizes_must_make_sense(sizes: dict[str, int]) -> None:
    with pytest.raises(BookError):
        driving.make_env(**sizes)


def test_the_car_begins_on_the_road_and_moves() -> None:
    env = driving.make_env()
    env.reset(seed=0)
    line, start = driving.centre_line(env), driving.position(env)
    assert line.ndim == 2 and line.shape[1] == 2 and 200 < len(line) < 400
    assert np.hypot(*(line - start).T).min() < 4  # half the width of the road is 6.7
    gaps = np.hypot(*(line - np.roll(line, 1, axis=0)).T)
    assert gaps.max() < 10  # a closed line of short pieces
    for _ in range(20):
        env.step(GAS)
    assert np.hypot(*(driving.position(env) - start)) > 1


# --------------------------------------------------------------------------------------- drives


def test_a_whole_drive_has_a_thousand_frames() -> None:
    each = driving.drive(Steady, 7, keep_frames=False)
    assert len(each) == 250 and not each.ended and each.frames is None
    assert each.score == pytest.approx(each.rewards.sum(), abs=1e-3)
    # Every frame costs 0.1, every piece of road pays 1000 / all pieces
    assert each.score > -100.001


def test_a_drive_can_be_played_again_from_its_actions() -> None:
    """So frames, actions and rewards belong together: reward t follows action t."""
    each = driving.drive(Wandering, 3, **SHORT)
    assert each.frames is not None and each.frames.shape == (4, 64, 64, 3)
    env = driving.make_env(**SHORT)
    frame, _ = env.reset(seed=3)
    for step in range(3):
        assert np.array_equal(frame, each.frames[step])
        frame, reward, *_ = env.step(each.actions[step])
        assert reward == pytest.approx(float(each.rewards[step]), abs=1e-5)
    assert np.array_equal(frame, each.frames[3])


def test_a_drive_without_hope_is_given_up_and_pays_for_the_rest() -> None:
    standing = functools.partial(Steady, action=np.zeros(3, np.float32))
    whole = driving.drive(standing, 7, frames=80, keep_frames=False)
    given_up = driving.drive(standing, 7, frames=80, keep_frames=False, patience=5)
    assert len(given_up) < 10 < len(whole) == 20
    assert given_up.score == pytest.approx(whole.score, abs=1e-4)
    going = driving.drive(Steady, 7, frames=80, keep_frames=False, patience=20)
    assert len(going) == 20


def test_a_drive_depends_on_its_seed_alone() -> None:
    one, other, again = (driving.drive(Wandering, seed, **SHORT) for seed in (1, 2, 1))
    assert same(one, again)
    assert not np.array_equal(one.actions, other.actions)


def test_two_processes_drive_as_one_does() -> None:
    import joblib

    alone = driving.drives(Wandering, range(4), **SHORT)
    with joblib.parallel_config(n_jobs=2):
        together = driving.drives(Wandering, range(4), **SHORT)
        scores = driving.scores(Wandering, range(4), **SHORT)
    assert all(same(*pair) for pair in zip(alone, together, strict=True))
    assert np.array_equal(scores, [each.score for each in alone])


def test_a_cluster_drives_as_one_process_does() -> None:
    pytest.importorskip("distributed")
    import joblib
    from distributed import Client, LocalCluster

    alone = driving.drives(Wandering, range(3), **SHORT)
    with (
        patch.dict(os.environ),  # Dask writes settings of the allocator into it
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        together = driving.drives(Wandering, range(3), **SHORT)
    assert all(same(*pair) for pair in zip(alone, together, strict=True))


def test_tracks_of_two_groups_must_differ() -> None:
    driving.require_other_tracks(train=range(10), test=range(10, 20))
    with pytest.raises(BookError, match="Track 9 is in train and in test"):
        driving.require_other_tracks(train=range(10), test=range(9, 20))


# --------------------------------------------------------------------------------- kept drives


def test_a_killed_collection_goes_on_where_it_was(
    full_run: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    whole = driving.drives(Steady, range(6), **SHORT)
    monkeypatch.setattr(driving, "PER_WORKER", 2)
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(KeyboardInterrupt):
        driving.collect(DiesOnTrack3, range(6), "steady", **SHORT)
    files = sorted((tmp_path / "cache" / "drives").rglob("*"))
    assert [path.name for path in files if path.is_file()] == ["000000.npz", "000001.npz"]
    before = [path.stat().st_mtime_ns for path in files if path.is_file()]
    monkeypatch.delenv("BROKEN")
    resumed = driving.collect(DiesOnTrack3, range(6), "steady", **SHORT)
    assert "2 of 6 drives are done already" in capsys.readouterr().out
    assert all(same(*pair) for pair in zip(whole, resumed, strict=True))
    assert [path.stat().st_mtime_ns for path in files if path.is_file()] == before


def test_drives_of_another_driver_or_setting_are_not_mixed_in(full_run: None) -> None:
    first = driving.collect(Steady, [1], "one", settings={"gas": 0.5}, **SHORT)
    brake = functools.partial(Steady, action=np.array([0, 0, 1], np.float32))
    other = driving.collect(brake, [1], "one", settings={"gas": 0.0}, **SHORT)
    longer = driving.collect(Steady, [1], "one", settings={"gas": 0.5}, frames=16)
    wander = driving.collect(Wandering, [1], "one", settings={"gas": 0.5}, **SHORT)
    assert not np.array_equal(first[0].actions, other[0].actions)
    assert (len(first[0]), len(longer[0])) == (3, 4)
    assert not np.array_equal(first[0].actions, wander[0].actions)


def test_under_quick_nothing_is_kept(tmp_path: Path) -> None:
    driving.collect(Steady, [1], "one", **SHORT)
    assert not (tmp_path / "cache" / "drives").exists()


def test_a_track_twice_is_refused() -> None:
    with pytest.raises(BookError, match="twice"):
        driving.collect(Steady, [1, 2, 1], "one", **SHORT)


def test_a_damaged_file_is_named(full_run: None, tmp_path: Path) -> None:
    driving.collect(Steady, [1], "one", **SHORT)
    path = next((tmp_path / "cache" / "drives").rglob("*.npz"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BookError, match="damaged"):
        driving.collect(Steady, [1], "one", **SHORT)
    each = driving.drive(Steady, 1, **SHORT)
    bad = driving.Drive(1, each.actions * np.nan, each.rewards, each.ended, each.frames)
    driving.save(bad, path)
    with pytest.raises(BookError, match="damaged"):
        driving.load(path)
    short = driving.Drive(1, each.actions, each.rewards[:-1], each.ended, each.frames)
    driving.save(short, path)
    with pytest.raises(BookError, match="damaged"):
        driving.load(path)
    with pytest.raises(BookError, match="no frames"):
        driving.save(driving.drive(Steady, 1, keep_frames=False, **SHORT), path)
