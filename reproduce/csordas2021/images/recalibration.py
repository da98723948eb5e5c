"""Batch statistics measured anew, for a network that has lost weights."""

import keras


def recalibrate(network, images, batch_size=500):
    """Measures the moving statistics of all normalizations anew, in place.

    They become the means over batches of the batches' means and variances, each
    batch normalized by its own on its way. Nothing else is changed.

    Args:
        network: Functional Keras model without dropout.
        images: Array of raw pixels, `(images, height, width, channels)`.
        batch_size: Positive int; a smaller last batch is left out.
    """
    layers = [
        layer
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in layers]
    for step in range(max(len(images) // batch_size, 1)):
        for layer in layers:
            layer.momentum = step / (step + 1)  # makes a mean of all so far
        rows = images[step * batch_size : (step + 1) * batch_size]
        network(rows.astype("float32"), training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
