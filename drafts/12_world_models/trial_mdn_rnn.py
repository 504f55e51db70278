"""A trial of mdn_rnn's recipe, to be deleted when it is settled. Not a part of the book.

usage: trial_mdn_rnn.py [--epochs 300] [--rate 0.003] [--every 10] [--network memory] ...

It runs the notebook's tagged cells (setup, imports, settings, model) with GENBOOK_BUDGET=cpu, so on
all drives that a full run of world_vae left in the cache. Then it trains, and every so many epochs
prints what the network is worth on the whole validation drives: nats per step, and the share of the
rewards' variance that it predicts. The rate falls along a cosine over all --epochs, so a run that
--stop ends early shows the speed, not the end. Nothing is written.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, help="by default the notebook's")
parser.add_argument("--rate", type=float, help="the highest learning rate")
parser.add_argument("--every", type=int, default=10, help="epochs between two lines")
parser.add_argument("--stop", type=int, help="updates after which to stop")
parser.add_argument("--seconds", type=float, help="seconds of training after which to stop")
parser.add_argument("--network", choices=("memory", "single", "no_memory"), default="memory")
parser.add_argument("--log-scale", type=float, help="log sigma before the training")
parser.add_argument("--units", type=int, help="numbers of the LSTM's output")
parser.add_argument("--clip", type=float, help="the longest gradient")
options = parser.parse_args()
os.environ |= {"GENBOOK_BUDGET": "cpu", "GENBOOK_RELEASE": "0", "GENBOOK_SEED": "0"}
os.environ.setdefault("MPLBACKEND", "agg")
os.chdir(ROOT)

from scripts import notebook_files  # noqa: E402

path = ROOT / "notebooks" / "12_world_models" / "mdn_rnn.ipynb"
cells: dict = {"__name__": "notebook"}
for cell in notebook_files.read(path).cells:
    tagged = notebook_files.tags(cell) & {"setup", "imports", "settings", "model"}
    if cell.cell_type != "code" or not tagged:
        continue
    exec(compile(cell.source, "<mdn_rnn>", "exec"), cells)
    if "settings" in tagged:  # before the functions whose defaults they are
        for name, value in {
            "EPOCHS": options.epochs,
            "LEARNING_RATE": options.rate,
            "START_LOG_SCALE": options.log_scale,
            "UNITS": options.units,
            "CLIP": options.clip,
        }.items():
            if value is not None:
                cells[name] = value

import numpy as np  # noqa: E402
from keras import ops, tree  # noqa: E402

settings = ("EPOCHS", "LEARNING_RATE", "START_LOG_SCALE", "UNITS", "CLIP", "WINDOW", "BATCH_SIZE")
print({name: cells[name] for name in settings}, flush=True)
held_out = cells["held_out"]
kept = cells["usual"](held_out["rewards"])


def reward_share(guesses: np.ndarray) -> float:
    return float(cells["explained"](guesses[kept], held_out["rewards"][kept]))


nats, guesses, _ = cells["rivals"](cells["train"], held_out)
print("rivals, nats:", {name: round(float(each.mean()), 1) for name, each in nats.items()})
print("rivals, rewards:", {name: round(reward_share(each), 3) for name, each in guesses.items()})

network, windows = cells["new_memory"](**({} | cells["OTHERS"]).get(options.network, {}))


def gradient_norm(batch: dict) -> float:
    "Before it is cut to CLIP; TensorFlow only."
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = network.compute_loss(y_pred=network(batch))
    gradients = tape.gradient(loss, network.trainable_variables)
    return float(tf.linalg.global_norm(gradients))


def report(epoch: int, updates: int, losses: list[float], seconds: float) -> None:
    nats, guesses, _ = cells["forecasts"](network, held_out)
    print(
        f"epoch {epoch}, {updates:,} updates, {seconds:.0f} s: "
        f"training loss {np.mean(losses) if losses else float('nan'):.2f}, "
        f"validation {nats.mean():.2f} nats, rewards {reward_share(guesses):.3f}, "
        f"gradient {gradient_norm(windows[0][0]):.1f}",
        flush=True,
    )


seconds, updates, losses, ended = 0.0, 0, [], False
report(0, 0, losses, seconds)
for epoch in range(cells["EPOCHS"]):
    windows.start_epoch(epoch)
    started, losses = time.monotonic(), []
    for index in range(len(windows)):
        batch = tree.map_structure(ops.convert_to_tensor, windows[index][0])
        losses.append(float(network.train_on_batch(batch)))
        updates += 1
        spent = seconds + time.monotonic() - started
        ended = updates == options.stop or spent > (options.seconds or float("inf"))
        if ended:
            break
    seconds += time.monotonic() - started
    if ended or (epoch + 1) % options.every == 0 or epoch + 1 == cells["EPOCHS"]:
        report(epoch + 1, updates, losses, seconds)
    if ended:
        break
