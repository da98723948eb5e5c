"""Models that several tests look into."""

import warnings

import keras
from keras import layers, ops


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


def adapted(quantized_to=None):
    """Returns a model of layers that can have LoRA and be quantized."""
    keras.utils.set_random_seed(0)
    conv = layers.Conv2D(3, 3, name="conv")
    dense = layers.Dense(4, name="dense")
    last = layers.EinsumDense("ab,bc->ac", 2, bias_axes="c", name="last")
    model = keras.Sequential(
        [keras.Input((4, 4, 2)), conv, layers.Flatten(), dense, last]
    )
    if quantized_to is None:
        for layer in (conv, dense, last):
            layer.enable_lora(2)
            layer.lora_kernel_b.assign(ops.ones(layer.lora_kernel_b.shape))
    else:
        with warnings.catch_warnings():  # of layers that can't be
            warnings.simplefilter("ignore")
            model.quantize(quantized_to)
    return model
