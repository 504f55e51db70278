"""Plumbing for the book: data, budgets, training, weights, results, pictures, metrics.

The models are not here; they are in the notebooks, complete and readable. Importing this package
is cheap: TensorFlow, Keras and matplotlib are imported by the functions that need them.
"""

from helpers import speed

__version__ = "0.1.0"

speed.prepare()
