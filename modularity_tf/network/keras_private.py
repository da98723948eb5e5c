"""Every private attribute of Keras that the library uses, in one place.

Keras promises nothing about them. Each was checked with Keras 3.15; its test
says which one a later Keras has dropped or changed.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras.src.backend.common import global_state
from keras.src.models.functional import Functional
from keras.src.saving import serialization_lib

CHECKED_WITH = "3.15"  # the version of Keras
FUNCTIONAL = Functional  # the class of a model that is made of its graph


def own_weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns a layer's own weights, frozen or not, without its sublayers'.

    `Layer._trainable_variables`: `layer.trainable_variables` leaves out those
    of frozen layers, and `layer.weights` has those of sublayers. Checked with
    Keras 3.15.
    """
    return layer._trainable_variables


def own_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns all of a layer's own variables, with its seeds' states.

    `Layer._non_trainable_variables`, `Layer._seed_generators`. Checked with
    Keras 3.15.
    """
    return [
        *layer._trainable_variables,
        *layer._non_trainable_variables,
        *(generator.state for generator in layer._seed_generators),
    ]


def children(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers directly inside a layer or model, in its order.

    `Layer._layers`: only a model has the public `layers`. Checked with Keras
    3.15.
    """
    return layer._layers


def all_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns a layer and all layers inside it, depth first, each once."""
    found = {id(layer): layer}
    for child in children(layer):
        for inner in all_layers(child):
            found.setdefault(id(inner), inner)
    return [*found.values()]


def leaves(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the innermost layers inside a model, each once.

    A recurrent layer is one of them, and so are `Bidirectional` and
    `TimeDistributed`: what lies inside is called in a loop. A layer is one,
    too, if only its activation lies inside.
    """
    loops = (
        keras.layers.RNN,
        keras.layers.Bidirectional,
        keras.layers.TimeDistributed,
    )
    found = {}

    def collect(layer):
        for child in children(layer):
            own = getattr(child, "activation", None)
            inside = [x for x in children(child) if x is not own]
            if isinstance(child, loops) or not inside:
                found[id(child)] = child
            else:
                collect(child)

    collect(model)
    return [*found.values()]


@contextlib.contextmanager
def everything_allowed(custom_objects: dict[str, Any]) -> Iterator[None]:
    """Lets Keras make what is in this process from its config: lambdas, too.

    `serialization_lib.SafeModeScope`: `enable_unsafe_deserialization` is for
    the whole process. Checked with Keras 3.15.

    Args:
        custom_objects: Dict from name to class or function.
    """
    with (
        keras.saving.custom_object_scope(custom_objects),
        serialization_lib.SafeModeScope(safe_mode=False),
    ):
        yield


def kernel(layer: keras.layers.Layer) -> Any:
    """Returns the kernel of a Dense or Conv layer as a variable, or `None`.

    `Dense._kernel`, `BaseConv._kernel`: the public `kernel` is a tensor where
    LoRA is on. Checked with Keras 3.15.
    """
    return getattr(layer, "_kernel", None)


def input_structure(model: keras.Model) -> Any:
    """Returns the symbolic inputs in the structure that a model takes.

    `Function._inputs_struct`: the public `inputs` are a flat list. A model
    without it, a Sequential one, takes a single tensor. Checked with Keras
    3.15.
    """
    return getattr(model, "_inputs_struct", model.inputs[0])


def output_structure(model: keras.Model) -> Any:
    """Returns the symbolic outputs in the structure that a model returns.

    `Function._outputs_struct`: the public `outputs` are a flat list. `None` for
    a model without it. Checked with Keras 3.15.
    """
    return getattr(model, "_outputs_struct", None)


def get_keras_mask(tensor: Any) -> Any:
    """Returns the mask that Keras hangs on a layer's output, or `None`.

    `_keras_mask` of a tensor. Checked with Keras 3.15.
    """
    return getattr(tensor, "_keras_mask", None)


def set_keras_mask(tensor: Any, keras_mask: Any) -> None:
    """Hangs a mask on a tensor, for the layers that it goes to.

    `_keras_mask` of a tensor. Checked with Keras 3.15.
    """
    tensor._keras_mask = keras_mask


def is_initialized(variable: keras.Variable) -> bool:
    """Returns whether a Keras variable has a value yet.

    `Variable._value`: `value` makes one up for a variable that was made in a
    `StatelessScope`. Checked with Keras 3.15.
    """
    return variable._value is not None


def seed_generators(model: keras.Model) -> list[keras.random.SeedGenerator]:
    """Returns the `SeedGenerator`s of a model and the layers inside, in order.

    `Layer._seed_generators`: `variables` has their states among others.
    Checked with Keras 3.15.
    """
    return [
        generator
        for layer in all_layers(model)
        for generator in layer._seed_generators
    ]


@contextlib.contextmanager
def global_seed_generator(seed: int) -> Iterator[None]:
    """Puts another generator in place of Keras's own for unseeded draws.

    The global attribute `global_seed_generator`; `None` until the first such
    draw. Checked with Keras 3.15.

    Args:
        seed: Int.
    """
    name = "global_seed_generator"
    before = global_state.get_global_attribute(name)
    own = keras.random.SeedGenerator(seed, name="seed_generator_for_a_while")
    global_state.set_global_attribute(name, own)
    try:
        yield
    finally:
        global_state.set_global_attribute(name, before)


def told_as_it_is(error: Any) -> Exception:
    """Returns an error to which Keras adds no lines on the layer's arguments.

    `_keras_call_info_injected` of an exception. Checked with Keras 3.15.
    """
    error._keras_call_info_injected = True
    return error


def variable_index(
    optimizer: keras.optimizers.Optimizer, variable: keras.Variable
) -> int:
    """Returns the place of a variable in the list an optimizer was built for.

    `Optimizer._get_variable_index`. Checked with Keras 3.15.
    """
    return optimizer._get_variable_index(variable)


def compiled_metrics(model: keras.Model) -> Any:
    """Returns the metrics that a model was compiled with, as they were given.

    Those with weights if there are no others.

    `CompileMetrics._user_metrics` and `_user_weighted_metrics` of
    `Model._compile_metrics`: the public `metrics` are made of them for this
    model. Checked with Keras 3.15.

    Returns:
        As `keras.Model.compile` takes them, or `None`.
    """
    compiled = getattr(model, "_compile_metrics", None)
    if compiled is None:
        return None
    return compiled._user_metrics or compiled._user_weighted_metrics


def loss_of_function(function: Any) -> keras.losses.Loss:
    """Returns a loss that calls a function, as `compile` makes it.

    `LossFunctionWrapper`, the base of Keras's losses. Checked with Keras 3.15.
    """
    wrapper = keras.losses.MeanSquaredError.__mro__[1]
    return wrapper(function, name=getattr(function, "__name__", None))


def is_built(metric: keras.metrics.Metric) -> bool:
    """Returns whether a metric has all of its variables.

    `R2Score._built` and that of others that make some with the first rows.
    Checked with Keras 3.15.
    """
    return bool(metric.variables) and getattr(metric, "_built", True)


def values_of(metric: Any, targets: Any, outputs: Any) -> Any:
    """Returns the value of a metric for each element, `None` if it has none.

    `MeanMetricWrapper._fn`, `MeanMetricWrapper._fn_kwargs`. Checked with Keras
    3.15.
    """
    if not isinstance(metric, keras.metrics.MeanMetricWrapper):
        return None
    own = type(metric).update_state
    if own is not keras.metrics.MeanMetricWrapper.update_state:
        return None
    return metric._fn(targets, outputs, **metric._fn_kwargs)
