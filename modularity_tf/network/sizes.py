"""How large a model is: what it holds, and multiplies for one example."""

import collections
import math
from typing import Any

import keras

from modularity_tf.network import activations, keras_private, layer_kinds


def parameters(model: keras.Model) -> dict[str, int]:
    """Returns how many numbers each layer holds, statistics included.

    Args:
        model: Built `keras.Model`.

    Returns:
        Dict from layer path to int, of layers that hold any. A weight that
        layers share counts once.
    """
    found: dict[str, int] = collections.defaultdict(int)
    seen: set[int] = set()
    for path, layer in activations.layers_of(model).items():
        is_whole = isinstance(layer, keras.layers.RNN)  # with its cell
        for inner in keras_private.all_layers(layer) if is_whole else [layer]:
            seeds = {id(x.state) for x in keras_private.seed_generators(inner)}
            for variable in keras_private.own_variables(inner):
                if id(variable) not in seen | seeds:
                    seen.add(id(variable))
                    found[path] += math.prod(variable.shape)
    return dict(found)


def multiply_adds(model: keras.Model, inputs: Any) -> dict[str, int]:
    """Returns how often each layer multiplies and adds for one example.

    Counted are the products with kernels: the size of a kernel times the
    positions where it is used. Activations, normalization, pooling, and what
    attention multiplies without weights are not.

    Args:
        model: Built `keras.Model`.
        inputs: Some of what it takes; their shapes count.

    Returns:
        Dict from layer path to int, of layers that have a kernel.
    """
    paths = {id(x): path for path, x in activations.layers_of(model).items()}
    leaves = keras_private.leaves(model)
    with (
        keras.StatelessScope(),
        activations.recorded_calls(leaves) as calls,
    ):
        model(inputs, training=False)
    found: dict[str, int] = collections.defaultdict(int)
    for layer, taken, result in calls:
        count = _of_call(layer, taken, result)
        if count:
            found[paths[id(layer)]] += count
    return dict(found)


def _of_call(layer, taken, result):
    """Returns how often a call multiplies and adds for one example."""
    if isinstance(layer, keras.layers.TimeDistributed):
        step = _of_call(layer.layer, [taken[0][:, 0]], result[:, 0])
        return taken[0].shape[1] * step
    if isinstance(layer, keras.layers.Bidirectional):
        both = (layer.forward_layer, layer.backward_layer)
        return sum(_of_call(each, taken, result) for each in both)
    if isinstance(layer, keras.layers.RNN):
        kernels = [x for x in layer.weights if "kernel" in x.name]
        first = keras.tree.flatten(result)[0].shape  # of ConvLSTM: an image
        positions = first[2 if layer.return_sequences else 1 : -1]
        steps = math.prod([taken[0].shape[1], *positions])
        return steps * sum(map(_size, kernels))
    if isinstance(layer, layer_kinds.TRANSPOSED):
        return _size(layer.kernel) * math.prod(taken[0].shape[1:-1])
    if isinstance(layer, layer_kinds.SEPARABLE):
        size = _size(layer.depthwise_kernel) + _size(layer.pointwise_kernel)
        return size * math.prod(result.shape[1:-1])
    if isinstance(layer, layer_kinds.DEPTHWISE):
        return _size(layer.kernel) * math.prod(result.shape[1:-1])
    kernel = keras_private.kernel(layer)
    if kernel is None:
        return 0
    if isinstance(layer, keras.layers.EinsumDense):
        return _size(kernel) * _positions(layer.equation, taken[0].shape)
    return _size(kernel) * math.prod(result.shape[1:-1])


def _size(variable):
    return math.prod(variable.shape)


def _positions(equation, shape):
    """Returns how often an EinsumDense uses its kernel for one example."""
    terms = equation.replace(" ", "").split("->")[0].split(",")
    letters = terms[0].replace("...", "")
    shape = [1, *shape[1:]]  # one example
    named = shape[len(shape) - len(letters) :]
    others = shape[: len(shape) - len(letters)]
    free = [
        n
        for letter, n in zip(letters, named, strict=True)
        if letter not in terms[1]
    ]
    return math.prod([*others, *free])
