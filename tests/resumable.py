"""A training run for the kill-and-resume test: `resumable.py MODEL RESULT [EPOCH_TO_DIE_AFTER]`.

Trains MODEL for four epochs with a checkpoint, or one model after the other for MODEL,MODEL; dies
without a word after the given epoch of the last. The final state of everything that is trained goes
to RESULT.
"""

import os
import sys

import numpy as np

from helpers.training import batches, fit, minimize, quiet, set_seed

with quiet():
    import keras
    from keras import layers, ops

EPOCHS, BATCH = 4, 16


class Everything(keras.Model):
    """All kinds of state at once: dropout, batch normalisation, and a seed generator of its own."""

    def __init__(self):
        super().__init__()
        self.noise = keras.random.SeedGenerator(5)
        self.body = keras.Sequential(
            [layers.Dense(12), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.3)]
        )
        self.head = layers.Dense(6)

    def call(self, inputs, training=False):  # [batch, 6] -> [batch, 6]
        if training:
            inputs = inputs + 0.1 * keras.random.normal(ops.shape(inputs), seed=self.noise)
        return self.head(self.body(inputs, training=training))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean((y_pred - x) ** 2)


class Players(keras.Model):
    """Two networks with an optimiser each, which take turns in an overridden train_step."""

    def __init__(self):
        super().__init__()
        self.noise = keras.random.SeedGenerator(7)
        self.generator = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dense(6)])
        self.critic = keras.Sequential([layers.Dense(8), layers.Dropout(0.2), layers.Dense(1)])

    def compile(self, generator_optimizer, critic_optimizer):
        super().compile()
        self.generator_optimizer = generator_optimizer
        self.critic_optimizer = critic_optimizer
        generator_optimizer.build(self.generator.trainable_variables)
        critic_optimizer.build(self.critic.trainable_variables)

    def call(self, inputs):
        return self.critic(self.generator(inputs))

    def train_step(self, data):
        real, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        latent = keras.random.normal(ops.shape(real), seed=self.noise)

        def critic_loss():
            fake = self.critic(self.generator(latent), training=True)
            return ops.mean(ops.softplus(fake)) + ops.mean(
                ops.softplus(-self.critic(real, training=True))
            )

        def generator_loss():
            return ops.mean(ops.softplus(-self.critic(self.generator(latent), training=True)))

        first = minimize(critic_loss, self.critic.trainable_variables, self.critic_optimizer)
        second = minimize(
            generator_loss, self.generator.trainable_variables, self.generator_optimizer
        )
        return {"critic_loss": first, "generator_loss": second}


def build(name, updates):
    model = {"everything": Everything, "players": Players}[name]()
    model(np.zeros((2, 6), "float32"))
    if name == "everything":
        schedule = keras.optimizers.schedules.CosineDecay(3e-2, updates)
        model.compile(keras.optimizers.Adam(schedule))
    else:
        model.compile(keras.optimizers.Adam(1e-2), keras.optimizers.RMSprop(1e-2))
    return model


def jitter(batch, generator):
    return batch + generator.normal(scale=0.05, size=batch.shape).astype("float32")


class Death(keras.callbacks.Callback):
    """The checkpoint of epoch k is there when epoch k + 1 begins."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            sys.stdout.flush()
            os._exit(9)


def train(name, death):
    """Everything that is trained, and what is counted, by name."""
    inputs = np.random.default_rng(0).normal(size=(100, 6)).astype("float32")
    data = batches(inputs, batch_size=BATCH, seed=11, augment=jitter)
    model = build(name, EPOCHS * len(data))
    run = fit(model, data, epochs=EPOCHS, checkpoint=f"test_{name}", callbacks=[Death(death)])
    optimizers = [v for v in vars(model).values() if isinstance(v, keras.optimizers.Optimizer)]
    variables = [*model.variables, *(v for each in optimizers for v in each.variables)]
    arrays = {f"{i} {v.path}": ops.convert_to_numpy(v) for i, v in enumerate(variables)}
    arrays |= {f"history_{key}": np.array(values) for key, values in run.history.items()}
    return {f"{name} {key}": value for key, value in arrays.items()} | {
        f"{name} updates": run.updates
    }


def main(names, result, epoch_to_die_after=None):
    set_seed(3)
    *first, last = names.split(",")
    arrays = {}
    for name in first:
        arrays |= train(name, None)
    arrays |= train(last, None if epoch_to_die_after is None else int(epoch_to_die_after))
    np.savez(result, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
