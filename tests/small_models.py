"""Models that several tests look into."""

import keras
from keras import layers


def cnn():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flatten"),
            layers.Dropout(0.5),
            layers.Dense(4, activation="relu", name="hidden"),
            layers.Dense(2, name="output"),
        ],
        name="cnn",
    )


def nested():
    inner = keras.Sequential(
        [keras.Input((3,)), layers.Dense(5, name="d")], name="inner"
    )
    inputs = keras.Input((4,))
    x = layers.Dense(3, "tanh", name="first")(inputs)
    return keras.Model(inputs, layers.Dense(2, name="last")(inner(x)))
