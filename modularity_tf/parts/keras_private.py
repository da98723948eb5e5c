"""Every private attribute of Keras that the library uses, in one place.

Keras promises nothing about them. Each was checked with Keras 3.15; its test
says which one a later Keras has dropped or changed.
"""

import keras

CHECKED_WITH = "3.15"  # the version of Keras


def own_weights(layer):
    """Returns a layer's own weights, frozen or not, without its sublayers'.

    `Layer._trainable_variables`: `layer.trainable_variables` leaves out those
    of frozen layers, and `layer.weights` has those of sublayers. Checked with
    Keras 3.15.
    """
    return layer._trainable_variables


def children(layer):
    """Returns the layers directly inside a layer or model, in its order.

    `Layer._layers`: only a model has the public `layers`. Checked with Keras
    3.15.
    """
    return layer._layers


def all_layers(layer):
    """Returns a layer and all layers inside it, depth first, each once."""
    found = {id(layer): layer}
    for child in children(layer):
        for inner in all_layers(child):
            found.setdefault(id(inner), inner)
    return [*found.values()]


def kernel(layer):
    """Returns the kernel of a Dense or Conv layer as a variable, or `None`.

    `Dense._kernel`, `BaseConv._kernel`: the public `kernel` is a tensor where
    LoRA is on. Checked with Keras 3.15.
    """
    return getattr(layer, "_kernel", None)


def input_structure(model):
    """Returns the symbolic inputs in the structure that a model takes.

    `Function._inputs_struct`: the public `inputs` are a flat list. A model
    without it, a Sequential one, takes a single tensor. Checked with Keras
    3.15.
    """
    return getattr(model, "_inputs_struct", model.inputs[0])


def get_keras_mask(tensor):
    """Returns the mask that Keras hangs on a layer's output, or `None`.

    `_keras_mask` of a tensor. Checked with Keras 3.15.
    """
    return getattr(tensor, "_keras_mask", None)


def set_keras_mask(tensor, keras_mask):
    """Hangs a mask on a tensor, for the layers that it goes to.

    `_keras_mask` of a tensor. Checked with Keras 3.15.
    """
    tensor._keras_mask = keras_mask


def variable_index(optimizer, variable):
    """Returns the place of a variable in the list an optimizer was built for.

    `Optimizer._get_variable_index`. Checked with Keras 3.15.
    """
    return optimizer._get_variable_index(variable)


def compiled_metrics(model):
    """Returns the metrics that a model was compiled with, fresh ones.

    `CompileMetrics._user_metrics` of `Model._compile_metrics`: the public
    `metrics` are those of this model, with its state. Checked with Keras 3.15.

    Returns:
        As `keras.Model.compile` takes them, or `None`.
    """
    compiled = getattr(model, "_compile_metrics", None)
    if compiled is None:
        return None

    def fresh(metric):
        is_metric = isinstance(metric, keras.metrics.Metric)
        return (
            type(metric).from_config(metric.get_config())
            if is_metric
            else metric
        )

    return keras.tree.map_structure(fresh, compiled._user_metrics)
