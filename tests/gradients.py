"""Closed forms for minimize and input_gradient; runs on the backend of KERAS_BACKEND."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from helpers.training import batches, fit, input_gradient, minimize, quiet

with quiet():
    import keras
    from keras import layers, ops

RNG = np.random.default_rng(1)


def check_quadratic() -> None:
    """One step of plain gradient descent on 0.5 sum a (w - c)^2 is w - rate a (w - c)."""
    start, a, c = (RNG.normal(size=4).astype("float32") for _ in range(3))
    weight, other = keras.Variable(start), keras.Variable(np.ones(2, "float32"))
    optimizer = keras.optimizers.SGD(0.1)
    slopes, centre = ops.convert_to_tensor(a), ops.convert_to_tensor(c)
    loss = minimize(lambda: 0.5 * ops.sum(slopes * (weight - centre) ** 2), [weight], optimizer)
    assert np.isclose(float(loss), 0.5 * (a * (start - c) ** 2).sum(), rtol=1e-5)
    expected = start - 0.1 * a * (start - c)
    np.testing.assert_allclose(ops.convert_to_numpy(weight), expected, rtol=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(other), 1)
    # Only the named variables move, though the loss depends on the others too
    minimize(lambda: ops.sum(other) * ops.sum(weight), [other], keras.optimizers.SGD(0.5))
    np.testing.assert_allclose(ops.convert_to_numpy(weight), expected, rtol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(other), 1 - 0.5 * expected.sum(), rtol=1e-5)


def check_two_variables() -> None:
    """Both variables move in one step, each by its own derivative; one without a part stays."""
    first, second, third = (keras.Variable(np.float32(value)) for value in (2.0, 3.0, 4.0))
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([first, second, third])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of the third variable
        minimize(lambda: first.value**2 * second.value, [first, second, third], optimizer)
    moved = [float(ops.convert_to_numpy(variable)) for variable in (first, second, third)]
    np.testing.assert_allclose(moved, [2 - 0.1 * 2 * 2 * 3, 3 - 0.1 * 2**2, 4], rtol=1e-6)


def check_input_gradient() -> None:
    """The gradient of x^3 + sum(x)^2 per row, and the second derivative of x^3."""
    x = RNG.normal(size=(5, 3)).astype("float32")
    gradient = input_gradient(lambda v: ops.sum(v**3, axis=1) + ops.sum(v, axis=1) ** 2, x)
    expected = 3 * x**2 + 2 * x.sum(axis=1, keepdims=True)
    assert gradient.shape == x.shape
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), expected, rtol=1e-4, atol=1e-5)
    second = input_gradient(lambda v: input_gradient(lambda u: ops.sum(u**3), v), x)
    np.testing.assert_allclose(ops.convert_to_numpy(second), 6 * x, rtol=1e-4, atol=1e-5)


def penalty(critic: Any, x: Any) -> Any:
    slopes = input_gradient(critic, x)
    norms = ops.sqrt(ops.sum(slopes**2, axis=1) + 1e-12)
    return ops.mean((norms - 1) ** 2)


def check_gradient_penalty() -> None:
    """For critic(x) = x w the penalty is (|w| - 1)^2, with derivative 2 (|w| - 1) w / |w|."""
    w = np.array([[1.0], [2.0], [-2.0]], "float32")  # |w| = 3
    critic = keras.Sequential([keras.Input((3,)), layers.Dense(1, use_bias=False)])
    critic.set_weights([w])
    x = RNG.normal(size=(7, 3)).astype("float32")
    loss = minimize(
        lambda: penalty(critic, x), critic.trainable_variables, keras.optimizers.SGD(0.1)
    )
    assert np.isclose(float(loss), (3 - 1) ** 2, rtol=1e-5)
    np.testing.assert_allclose(critic.get_weights()[0], w - 0.1 * 2 * (3 - 1) * w / 3, rtol=1e-5)


class PenalisedCritic(keras.Model):
    """The same penalty inside a train_step that fit compiles into a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = keras.Sequential([keras.Input((3,)), layers.Dense(1, use_bias=False)])

    def call(self, x: Any) -> Any:
        return self.critic(x)

    def train_step(self, data: Any) -> dict[str, Any]:
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        loss = minimize(
            lambda: penalty(self.critic, x), self.critic.trainable_variables, self.optimizer
        )
        return {"loss": loss}


def check_penalty_inside_fit() -> None:
    """|w| follows the recursion n <- n - 2 rate (n - 1), one step a batch."""
    model = PenalisedCritic()
    w = np.array([[1.0], [2.0], [-2.0]], "float32")
    model.critic.set_weights([w])
    model(np.zeros((1, 3), "float32"))
    model.compile(keras.optimizers.SGD(0.1))
    data = batches(RNG.normal(size=(12, 3)).astype("float32"), batch_size=4)
    run = fit(model, data, epochs=2)
    norm = 3.0
    for _ in range(run.updates):
        norm -= 0.2 * (norm - 1)
    assert run.updates == 6
    np.testing.assert_allclose(model.critic.get_weights()[0], w * norm / 3, rtol=1e-4)


def check_all() -> None:
    check_quadratic()
    check_two_variables()
    check_input_gradient()
    check_gradient_penalty()
    check_penalty_inside_fit()


if __name__ == "__main__":
    check_all()
    print(f"gradients are right on {keras.backend.backend()}")
