"""The generator of the search in Keras, which loads the weights beside this file.

faces_32.weights.h5: build_generator(64, (128, 96, 48, 24)), recipe "lr10" of ../gpu.md.
faces_64.weights.h5: build_generator(128, (256, 128, 96, 48, 24)), recipe "gan64_cheap".
diffusion_64.weights.h5: `build_unet` of notebooks/08_diffusion/ddm.ipynb with SIDE = 64 (the
average; pictures normalised by the means and deviations in results.json).
"""

import keras
from keras import layers, ops


def bend(x):
    return layers.LeakyReLU(negative_slope=0.2)(x)


def double(maps):
    size = (2 * maps.shape[1], 2 * maps.shape[2])
    return ops.image.resize(maps, size, interpolation="nearest")


def build_generator(latent, widths, convs=1):
    """Noise to pictures in about [-1, 1]: the colours of all scales are summed."""
    noise = keras.Input((latent,))
    x = bend(layers.Dense(16 * widths[0], name="start")(noise))
    x = layers.Reshape((4, 4, widths[0]))(x)
    picture = layers.Conv2D(3, 1, name="colour_0")(x)
    for number, width in enumerate(widths[1:]):
        x = double(x)
        for one in range(convs):
            name = f"conv_{number * convs + one}"
            x = bend(layers.Conv2D(width, 3, padding="same", name=name)(x))
        colours = layers.Conv2D(3, 1, name=f"colour_{number + 1}")(x)
        picture = layers.Add()([double(picture), colours])
    return keras.Model(noise, picture, name="generator")
