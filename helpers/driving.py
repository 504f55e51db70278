"""Driving: the car-racing environment in small frames, and drives in parallel that can resume.

A *drive* is one attempt at one track. A *step* is one decision of the driver: its action is held
for FRAME_SKIP frames of the simulator. What happens at step t is kept as
frames[t], actions[t] -> rewards[t], frames[t + 1].

Drives run through joblib. Without a setting they run one after the other; in a block
`with joblib.parallel_config(n_jobs=2)` on two processes; with `backend="dask"` or `"ray"` on a
cluster. On one kind of processor the result of a drive depends on its driver and its seed, not on
the number of processes; on another, rounding may send a car another way.
"""

from __future__ import annotations

import functools
import math
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from helpers import fingerprints
from helpers.budget import is_full_run
from helpers.checkpoints import UNREADABLE, file_stem
from helpers.files import BookError, atomic_path, cache_folder

Array = np.ndarray
Driver = Callable[[Array], Array]
"""From a frame [64, 64, 3] of bytes to an action [3]: steering, gas, brake."""
MakeDriver = Callable[[np.random.Generator], Driver]
"""Makes the driver of one drive; all that it draws at random comes from this generator."""

FRAME_SKIP = 4
"""Frames of the simulator for which an action is held."""

FRAMES = 1000
"""Frames of a whole drive, as in the environment's own time limit (20 seconds)."""

FRAME_COST = 0.1
"""What CarRacing takes off the score in each frame."""

SIZE = 64
"""Height and width of the frames that a driver sees."""

WORLD_ROWS = 84
"""Rows of the simulator's 96 that show the world; below them are instruments."""

PER_WORKER = 4
"""Drives that a worker does between two times of saving."""


@dataclass(frozen=True)
class Drive:
    """One drive on one track.

    seed: of the track. frames: bytes [steps + 1, 64, 64, 3], or None if they were not kept;
    actions: [steps, 3]; rewards: [steps], each summed over the frames of its step; ended: whether
    the environment ended the drive (lap complete, or far off the field) before its time was over.
    """

    seed: int
    actions: Array
    rewards: Array
    ended: bool
    frames: Array | None = None

    @property
    def score(self) -> float:
        """The sum of the rewards: what is called the score of a drive."""
        return float(self.rewards.sum(dtype=np.float64))

    def __len__(self) -> int:
        return len(self.actions)


# ------------------------------------------------------------------------------- the environment


def make_env(*, frame_skip: int = FRAME_SKIP, frames: int = FRAMES) -> Any:
    """CarRacing-v3 with frames of 64 x 64, and an action that is held for `frame_skip` frames.

    A Gymnasium environment. Observations: bytes [64, 64, 3]. Actions: steering in [-1, 1], gas and
    brake in [0, 1]. `reset(seed=...)` chooses the track. A step's reward is the sum over its
    frames. A drive is truncated after `frames` frames, and is terminated earlier only by
    CarRacing itself. Only the last frame of a step is drawn, which saves most of the time.
    Raises BookError for an action that is not finite or not in the space: CarRacing itself takes
    NaN, and then counts the lap as complete.
    """
    if frame_skip < 1 or frames < 1:
        raise BookError(
            f"A drive needs frames: {frame_skip} per step, {frames} in all, will not do."
        )
    return _classes().Driving(frame_skip, frames)


def position(env: Any) -> Array:
    """Where the car is: [2], in the simulator's units."""
    return np.array(env.unwrapped.race.car.hull.position, np.float64)


def centre_line(env: Any) -> Array:
    """The middle of the road, once around: [pieces, 2]."""
    return np.array([piece[2:4] for piece in env.unwrapped.race.track], np.float64)


def shrink(picture: Array) -> Array:
    """A picture of the simulator [96, 96, 3] without its instruments, as bytes [64, 64, 3]."""
    from PIL import Image

    world = Image.fromarray(np.ascontiguousarray(picture[:WORLD_ROWS]))
    return np.asarray(world.resize((SIZE, SIZE), Image.Resampling.BOX))


@functools.cache
def _classes() -> Any:
    """The environment's classes, made at first use: Gymnasium takes a second to import."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # no window, no sound
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Box2D's wrapper and pygame use old parts of Python
        import gymnasium
        from gymnasium.envs.box2d import car_racing

    # From the car to the furthest point at which CarRacing draws a shape, in pixels
    reach = math.hypot(
        car_racing.WINDOW_W / 2 + car_racing.MAX_SHAPE_DIM,
        car_racing.WINDOW_H * 3 / 4 + car_racing.MAX_SHAPE_DIM,
    )

    class QuickRacing(car_racing.CarRacing):
        """CarRacing that draws only what is asked for; what it draws is equal byte by byte."""

        blind = False  # whether the next frame is not drawn
        state: Any = None
        _corners: Any = None

        def reset(self, **options: Any) -> Any:
            self._corners = None
            return super().reset(**options)

        def _render(self, mode: str) -> Any:
            return self.state if self.blind else super()._render(mode)

        def _render_road(self, zoom: float, translation: Any, angle: float) -> None:
            # CarRacing turns every piece of grass and road around the car, and then leaves out
            # those that are far from the screen. Far ones are left out here before the turning.
            if self._corners is None:
                self._pieces = [*self._grass(), *self.road_poly]
                self._corners = np.array([corners for corners, _ in self._pieces])  # [n, 4, 2]
            field, car = car_racing.PLAYFIELD, self.car
            assert car is not None  # nothing is drawn before the first reset
            square = [(field, field), (field, -field), (-field, -field), (-field, field)]
            self._draw_colored_polygon(
                self.surf, square, self.bg_color, zoom, translation, angle, clip=False
            )
            away = self._corners - np.array(car.hull.position)
            near = (np.hypot(away[..., 0], away[..., 1]).min(axis=1) * zoom) < reach + 1
            for index in np.flatnonzero(near):
                corners, colour = self._pieces[index]
                colour = [int(value) for value in colour]
                self._draw_colored_polygon(self.surf, corners, colour, zoom, translation, angle)

        def _grass(self) -> list[Any]:
            size = car_racing.GRASS_DIM
            return [
                (
                    [
                        (size * x + size, size * y),
                        (size * x, size * y),
                        (size * x, size * y + size),
                        (size * x + size, size * y + size),
                    ],
                    self.grass_color,
                )
                for x in range(-20, 20, 2)
                for y in range(-20, 20, 2)
            ]

    class Driving(gymnasium.Env):
        metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's form)

        def __init__(self, frame_skip: int, frames: int) -> None:
            self.frame_skip, self.frames = frame_skip, frames
            self.race = QuickRacing()
            self.action_space = self.race.action_space
            self.observation_space = gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
            self.frame = frames  # so that a step before the first reset is refused

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            super().reset(seed=seed)
            self.race.blind = False
            picture, _ = self.race.reset(seed=seed)
            self.frame = 0
            return shrink(picture), {"frames": 0}

        def step(self, action: Any) -> Any:
            if self.frame >= self.frames:
                raise BookError("The drive is over: call reset before the next step.")
            action = checked_action(action, self.action_space)
            total, terminated = 0.0, False
            last = min(self.frame + self.frame_skip, self.frames)
            while self.frame < last and not terminated:
                self.frame += 1
                self.race.blind = self.frame < last
                picture, reward, terminated, _, _ = self.race.step(action)
                total += float(reward)
            if not math.isfinite(total):
                raise BookError(f"The reward at frame {self.frame} is {total}, not a number.")
            if terminated and self.race.blind:  # it ended within the step: draw it after all
                self.race.blind = False
                picture = self.race._render("state_pixels")
            truncated = self.frame >= self.frames and not terminated
            info = {"frames": self.frame}
            if terminated:
                self.frame = self.frames
            return shrink(picture), total, bool(terminated), truncated, info

        def close(self) -> None:
            self.race.close()

    from types import SimpleNamespace

    return SimpleNamespace(QuickRacing=QuickRacing, Driving=Driving)


def checked_action(action: Any, space: Any) -> Array:
    """The action as float32 [n], or BookError when it is not finite or not in the space (Box)."""
    action = np.asarray(action, dtype=np.float32)
    if action.shape != space.shape:
        raise BookError(f"An action has the shape {space.shape}, not {action.shape}.")
    if not np.isfinite(action).all():
        raise BookError(f"The action {action.tolist()} is not finite: the driver has diverged.")
    if not space.contains(action):
        raise BookError(
            f"The action {action.tolist()} is not in the space from {space.low.tolist()} to "
            f"{space.high.tolist()}: squeeze it with tanh, or clip it."
        )
    return action


# --------------------------------------------------------------------------------------- drives


def drive(
    make_driver: MakeDriver,
    seed: int,
    *,
    keep_frames: bool = True,
    frame_skip: int = FRAME_SKIP,
    frames: int = FRAMES,
    patience: int | None = None,
) -> Drive:
    """Drive once on the track of this seed, with a fresh driver.

    make_driver(generator) gives the driver, a function from a frame to an action. The generator is
    seeded with (seed, 1), so that its draws are not those that make the track. patience: for
    searches; after so many steps without a reward above zero the drive is given up, and its last
    reward then includes what the frames left over would have cost a car that stands.
    """
    env = make_env(frame_skip=frame_skip, frames=frames)
    driver = make_driver(np.random.default_rng([seed, 1]))
    frame, _ = env.reset(seed=int(seed))
    seen, actions, rewards = [frame], [], []
    terminated = truncated = False
    waited = 0
    while not (terminated or truncated):
        action = checked_action(driver(frame), env.action_space)
        frame, reward, terminated, truncated, info = env.step(action)
        actions.append(action)
        rewards.append(reward)
        if keep_frames:
            seen.append(frame)
        waited = 0 if reward > 0 else waited + 1
        if patience is not None and waited >= patience and not terminated:
            rewards[-1] -= FRAME_COST * (frames - info["frames"])
            break
    env.close()
    return Drive(
        seed=int(seed),
        actions=np.array(actions, np.float32),
        rewards=np.array(rewards, np.float32),
        ended=terminated,
        frames=np.array(seen) if keep_frames else None,
    )


def drives(make_driver: MakeDriver, seeds: Iterable[int], **options: Any) -> list[Drive]:
    """`drive` on each of these tracks, in parallel as joblib is set; in the order of the seeds."""
    import joblib

    tasks = (joblib.delayed(drive)(make_driver, int(seed), **options) for seed in seeds)
    return list(joblib.Parallel()(tasks))


def collect(
    make_driver: MakeDriver,
    seeds: Sequence[int],
    name: str,
    *,
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> list[Drive]:
    """`drives` that are kept in the cache one by one in a full run, so that a killed run resumes.

    name: of the collection, e.g. "wandering". settings: what the driver depends on beside its
    code, by name; drives of other settings, or of other code of the driver, are not mixed in.
    Arrays, the arguments of a partial and this module are not part of that: name them in
    settings. Under quick nothing is kept. Raises BookError for a file that is damaged, and for a
    seed that comes twice.
    """
    import joblib

    if len(set(seeds)) != len(seeds):
        raise BookError("A seed comes twice: the same drive would count double.")
    if not is_full_run():
        return drives(make_driver, seeds, **options)
    folder = _folder(make_driver, name, dict(settings or {}) | options)
    missing = [seed for seed in seeds if not _path(folder, seed).exists()]
    if len(missing) < len(seeds):
        print(f"{len(seeds) - len(missing)} of {len(seeds)} drives are done already")
    # In parts, so that a run that is killed has lost a minute and not an hour
    size = PER_WORKER * max(1, joblib.effective_n_jobs(joblib.Parallel().n_jobs))
    for first in range(0, len(missing), size):
        for each in drives(make_driver, missing[first : first + size], **options):
            save(each, _path(folder, each.seed))
    return [load(_path(folder, seed)) for seed in seeds]


def scores(make_driver: MakeDriver, seeds: Iterable[int], **options: Any) -> Array:
    """The score of a drive on each of these tracks: [n]. Frames are not kept."""
    return np.array(
        [each.score for each in drives(make_driver, seeds, keep_frames=False, **options)]
    )


def require_other_tracks(**groups: Iterable[int]) -> None:
    """BookError if a track is in two groups, such as train=range(100), test=range(1_000, 1_020)."""
    seen: dict[int, str] = {}
    for name, seeds in groups.items():
        for seed in seeds:
            if seed in seen:
                raise BookError(f"Track {seed} is in {seen[seed]} and in {name}.")
        seen |= dict.fromkeys(seeds, name)


# ---------------------------------------------------------------------------------------- files


def save(each: Drive, path: Path) -> None:
    """Write a drive as compressed plain arrays, atomically."""
    if each.frames is None:
        raise BookError(f"The drive on track {each.seed} has no frames to keep.")
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary, seed=each.seed, frames=each.frames, actions=each.actions,
            rewards=each.rewards, ended=each.ended,
        )  # fmt: skip


def load(path: Path) -> Drive:
    """Read a drive that `save` wrote; BookError when the file is damaged or does not fit."""
    try:
        with np.load(path, allow_pickle=False) as file:
            each = Drive(
                seed=int(file["seed"]), frames=file["frames"], actions=file["actions"],
                rewards=file["rewards"], ended=bool(file["ended"]),
            )  # fmt: skip
    except UNREADABLE as error:
        raise BookError(f"The drive {path} is damaged: delete it to drive again.") from error
    frames, steps = each.frames, len(each.actions)
    fits = (
        frames is not None
        and frames.shape == (steps + 1, SIZE, SIZE, 3)
        and frames.dtype == np.uint8
        and each.actions.shape == (steps, 3)
        and each.rewards.shape == (steps,)
        and np.isfinite(each.actions).all()
        and np.isfinite(each.rewards).all()
    )
    if not fits:
        raise BookError(f"The drive {path} is damaged: delete it to drive again.")
    return each


def _folder(make_driver: MakeDriver, name: str, settings: Mapping[str, Any]) -> Path:
    """Where drives of this driver with these settings are kept."""
    function = make_driver
    while isinstance(function, functools.partial):
        function = function.func
    parts = [f"{key}={_in_words(value)}" for key, value in sorted(settings.items())]
    number = fingerprints.of_text("\n".join([fingerprints.of_code(function), *parts]))
    return cache_folder() / "drives" / f"{file_stem(name)}.{number}"


def _in_words(value: Any) -> str:
    return fingerprints.of_array(value) if isinstance(value, np.ndarray) else repr(value)


def _path(folder: Path, seed: int) -> Path:
    return folder / f"{int(seed):06d}.npz"
