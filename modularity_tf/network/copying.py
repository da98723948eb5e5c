"""Copies of Keras models that compute what the originals do, and are checked.

Whatever returns a changed model starts here. A copy is made anew from its
configuration, so what is not in there has to be carried over: weights, what
layers derive from them, vocabularies, seeds, and attributes that were set
later. Then both models are called on the same inputs, and a copy that computes
something else is refused.
"""

import contextlib
import functools
import inspect
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from modularity_tf import checks
from modularity_tf.network import (
    activations,
    example_inputs,
    keras_private,
    model_weights,
)

_CLOSE = 1e-5  # of an example's largest output
_CLOSE_HALF = 1e-2  # the same in half precision, which rounds
_OF_KERAS = (keras.Sequential, keras_private.FUNCTIONAL)
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def copied(model: keras.Model, inputs: Any = None) -> keras.Model:
    """Returns a copy of a model that computes the same, not compiled.

    Args:
        model: Built `keras.Model`. It is not changed.
        inputs: Some of what it takes, to compare the two on; `None` to draw
            them as in `example_inputs.draw`.

    Raises:
        ValueError: If no copy can be made, it computes something else, or the
            two can't be compared.
    """
    return _remade(model, inputs)[0]


def untrained(
    model: keras.Model, *, seed: int | None = 0, inputs: Any = None
) -> keras.Model:
    """Returns a copy of a model as it was before training, not compiled.

    Its weights are drawn by their initializers. What a layer learned from data
    by `adapt` stays: the mean and variance of a `Normalization`, vocabularies.
    It is the control of `soundness.check`.

    >>> twin = mtf.soundness.untrained(model)
    >>> [weight.shape for weight in twin.weights] == [
    ...     weight.shape for weight in model.weights
    ... ]
    True

    Args:
        model: Built `keras.Model`. It is not changed.
        seed: Int, not negative, of the draws; `None` is random.
        inputs: Some of what it takes, to compare it with its copy on before
            the weights are drawn anew; `None` to draw them.

    Raises:
        ValueError: If no copy can be made, it computes something else, or the
            two can't be compared.
    """
    with _drawn_by(checks.seed(seed)):
        made, fresh, _ = _remade(model, inputs)
    adapted = {
        id(variable)
        for layer in keras_private.all_layers(made)
        if hasattr(layer, "adapt")
        for variable in layer.variables
    }
    for variable, value in zip(made.variables, fresh, strict=True):
        if id(variable) not in adapted:
            variable.assign(value)
    _derive(made)
    return made


@contextlib.contextmanager
def _drawn_by(seed):
    """Seeds Python's generator for a while: Keras draws seeds from it."""
    before = random.getstate()
    # Not what `keras.utils.set_random_seed(seed)` gave the model at its start.
    random.seed(f"untrained {seed}")
    try:
        yield
    finally:
        random.setstate(before)


def with_weights_kept(
    model: keras.Model, kept: Mapping[str, np.ndarray], inputs: Any = None
) -> keras.Model:
    """Returns a copy of a model in which some weights are zero.

    Args:
        model: As in `copied`.
        kept: Dict from weight path, as in `model_weights.model_weights`, to
            boolean array, False where the weight becomes zero.
        inputs: As in `copied`.

    Raises:
        ValueError: As in `copied`, or if no output notices one of the weights.
    """
    made, _, inputs = _remade(model, inputs)
    copies = {id(old): new for old, new in _variables(_layers(model, made))}
    changed = {}
    for path, weight in model_weights.model_weights(model).items():
        if path in kept and not np.all(kept[path]):
            changed[path] = copies[id(weight.variable)]
    _check_noticed(model, made, changed, inputs)
    for path, variable in changed.items():
        value = variable.numpy()
        variable.assign(np.where(kept[path], value, np.zeros_like(value)))
    _derive(made)
    return made


def resized(
    model: keras.Model,
    configs: Mapping[int, Mapping[str, Any]],
    values: Mapping[int, np.ndarray],
    biases: Mapping[int, np.ndarray],
    batches: Sequence[Any],
) -> keras.Model:
    """Returns a model that computes the same, with layers of other sizes.

    Args:
        model: Built Sequential or functional `keras.Model`. It is not changed.
        configs: Dict from the id of a layer, or of another operation of the
            graph, to the config of the one in its place.
        values: Dict from the id of a variable to its values in the new model;
            all others are copied.
        biases: Dict from the id of a layer without bias that gets one to it.
        batches: List of some of what the model takes, to compare the two on.

    Returns:
        A plain Keras model, not compiled.

    Raises:
        ValueError: If no such model can be made, by the path of a layer, or it
            computes something else.
    """
    resizing = _Resizing(configs)
    expected = [_outputs(model, inputs) for inputs in batches]
    compiled, model.compiled = model.compiled, False
    try:
        with (
            _custom_objects(model) as own,
            keras_private.everything_allowed(own),
        ):
            made = resizing.model(model, keras_private.input_structure(model))
    except Exception as error:  # whatever the user's code may raise
        said = example_inputs.in_one_line(error)
        raise ValueError(
            f"{model.name!r} can't be made with layers of other sizes: it gets "
            f"to {_path(model, resizing.reached)!r}, and Keras says: {said}"
        ) from error
    finally:
        model.compiled = compiled
    made.compiled = False
    for old, new in resizing.pairs:
        if isinstance(old, keras.layers.Layer):
            _carry_sizes_over(model, old, new, configs, values, biases)
    try:
        _derive(made)
        found = [_outputs(made, inputs) for inputs in batches]
    except Exception as error:  # whatever a layer says to another size
        said = example_inputs.in_one_line(error)
        raise ValueError(
            f"{model.name!r} can't be made with layers of other sizes: it "
            f"can't be called then, and Keras says: {said}"
        ) from error
    kinds = {x.compute_dtype for x in keras_private.all_layers(model)}
    close = _CLOSE_HALF if any("16" in kind for kind in kinds) else _CLOSE
    for inputs, one, other in zip(batches, expected, found, strict=True):
        difference = _difference(one, other, close)
        if difference is not None:
            drawing = _drawing(model, inputs)
            why = f"; {drawing} draw numbers in every call" if drawing else ""
            raise ValueError(
                f"{model.name!r} can't be made with layers of other sizes: it "
                f"computes something else then, {difference}{why}."
            )
    return made


def as_tensors(inputs: Any) -> Any:
    """Returns what a model takes as tensors, in the same structure.

    Args:
        inputs: Nest of arrays or tensors.

    Raises:
        ValueError: If they are no arrays, or have no examples.
    """
    try:
        found = keras.tree.map_structure(tf.convert_to_tensor, inputs)
    except Exception as error:  # whatever TensorFlow says to it
        raise ValueError(
            "`inputs` must be arrays or tensors, some of what the model takes, "
            f"got {type(inputs).__name__}."
        ) from error
    for x in keras.tree.flatten(found):
        if x.shape.rank == 0 or x.shape[0] == 0:
            raise ValueError(
                "`inputs` must have examples, (batch, ...), got the shape "
                f"{tuple(x.shape)}."
            )
    return found


def _drawing(model, inputs):
    """Returns the paths of layers that change what they hold in a call."""
    with keras.StatelessScope() as scope:
        model(inputs, training=False)
        return [
            path
            for path, layer in activations.layers_of(model).items()
            for variable in keras_private.own_variables(layer)
            if scope.get_current_value(variable) is not None
        ]


class _Resizing:
    """Makes a model anew, layer by layer, so that each finds its input's size.

    Attributes:
        pairs: List of the layers and other operations, each with the new one.
        reached: The layer that is made now.
    """

    def __init__(self, configs):
        self.pairs, self.reached = [], None
        self._configs, self._made = configs, {}

    def model(self, old, inputs):
        """Returns a new model for inputs of some shapes.

        Args:
            old: Sequential or functional model.
            inputs: Nest of symbolic tensors.
        """
        own = keras.tree.flatten(old.inputs)
        given = keras.tree.flatten(inputs)
        inputs = [
            keras.Input(
                batch_shape=x.shape,
                dtype=x.dtype,
                sparse=x.sparse,
                name=was.name,
            )
            for x, was in zip(given, own, strict=True)
        ]
        if not isinstance(old, keras.Sequential):
            return keras.models.clone_model(
                old,
                keras.tree.pack_sequence_as(old.input, inputs),
                clone_function=self._call,
            )
        x, stack = inputs[0], [inputs[0]]
        for layer in old.layers:
            x = self._call(layer)(x)
            stack.append(self._made[id(layer)])
        return keras.Sequential(stack, name=old.name, trainable=old.trainable)

    def _call(self, old):
        """Returns a function that calls the new layer in place of one."""

        def call(*args, **kwargs):
            self.reached = old
            if id(old) not in self._made:
                self._made[id(old)] = self._new(old, (args, kwargs))
            return self._made[id(old)](*args, **kwargs)

        return call

    def _new(self, old, taken):
        if isinstance(old, _OF_KERAS):
            tensors = [
                x
                for x in keras.tree.flatten(taken)
                if isinstance(x, keras.KerasTensor)
            ]
            return self.model(old, tensors)
        config = unbuilt(self._configs.get(id(old), old.get_config()))
        self.pairs.append((old, type(old).from_config(config)))
        return self.pairs[-1][1]


def unbuilt(config: Any) -> Any:
    """Returns a config without the shapes that layers in it were built with.

    Args:
        config: Nest of JSON values, what `get_config` returns.
    """
    if isinstance(config, Mapping):
        return {
            key: unbuilt(value)
            for key, value in config.items()
            if key != "build_config"
        }
    if isinstance(config, (list, tuple)):
        return type(config)(map(unbuilt, config))
    return config


def _carry_sizes_over(model, old, new, configs, values, biases):
    """Gives a fresh layer its values, whose shapes it must have."""
    layers = [*_layers(old, new)]
    variables = _variables(layers)
    for one, other in variables:
        value = values.get(id(one))
        value = one.numpy() if value is None else value
        if tuple(other.shape) != value.shape:
            raise ValueError(
                f"{model.name!r} can't be made with layers of other sizes: the "
                f"weight {one.name!r} of {_path(model, old)!r} "
                f"({type(old).__name__}) has the shape {tuple(other.shape)} "
                f"then, not {value.shape}."
            )
    is_as_before = id(old) not in configs and all(
        id(one) not in values for one, _ in variables
    )
    _carry_over(layers, variables, values, attributes=is_as_before)
    for one, other in layers:
        if id(one) in biases:
            bias, value = getattr(other, "cell", other).bias, biases[id(one)]
            if len(bias.shape) > 1:  # a GRU's: of the input, of the state
                value = np.stack([value, np.zeros_like(value)])
            bias.assign(value)


def _remade(model, inputs):
    """Returns a checked copy, the fresh values of its variables, and inputs."""
    model_weights.model_weights(model)  # refuses what is no built model
    if inputs is None:
        inputs = example_inputs.draw(model)
    inputs = as_tensors(inputs)
    try:
        expected = _outputs(model, inputs)
    except Exception as error:  # whatever the user's code may raise
        said = example_inputs.in_one_line(error)
        raise ValueError(
            f"{model.name!r} can't be called on `inputs`: {said}"
        ) from error
    problem = None
    for make in _ways(model):
        made, reason = _made(model, make, inputs)
        if made is None:
            problem = problem or reason
            continue
        fresh = [variable.numpy() for variable in made.variables]
        try:
            layers = [*_layers(model, made)]
            _carry_over(layers, _variables(layers))
            _derive(made)
            difference = _difference(expected, _outputs(made, inputs))
        except Exception as error:  # whatever the user's code may raise
            said = example_inputs.in_one_line(error)
            problem = problem or f"the copy raised: {said}"
            continue
        if difference is None:
            return made, fresh, inputs
        problem = _where(model, made, inputs, difference)
    raise ValueError(
        f"{type(model).__name__} {model.name!r} can't be copied: {problem}. "
        "Give each model and layer of your own a `get_config` with all that "
        "its `call` depends on, and a `build` that makes all its weights."
    )


def _ways(model):
    """Returns functions that make a model anew, the likelier one first."""
    if type(model) in _OF_KERAS:
        return [keras.models.clone_model, _from_config]
    is_plain = any(type(model).call is kind.call for kind in _OF_KERAS)
    return [_from_config, *([keras.models.clone_model] if is_plain else [])]


def _made(model, make, inputs):
    """Returns a model with all weights, or `None` and what is wrong."""
    # Keras would compile it, with whatever loss and metrics a user has.
    compiled, model.compiled = model.compiled, False
    try:
        with (
            _custom_objects(model) as own,
            keras_private.everything_allowed(own),
        ):
            made = make(model)
        if len(made.weights) != len(model.weights):
            _build(model, made, inputs)
    except Exception as error:  # whatever the user's code may raise
        said = example_inputs.in_one_line(error)
        return None, f"its configuration does not make it: {said}"
    finally:
        model.compiled = compiled
    made.compiled = False
    if len(made.weights) != len(model.weights):
        return None, (
            f"from its configuration it has {len(made.weights)} weights, not "
            f"{len(model.weights)}"
        )
    return made, None


def _from_config(model):
    config = model.get_config()
    # Keras's own config holds what many an `__init__` does not take.
    taken = inspect.signature(type(model).__init__).parameters
    if not any(each.kind is each.VAR_KEYWORD for each in taken.values()):
        for name in ("name", "trainable", "dtype"):
            if name not in taken:
                config.pop(name, None)
    return type(model).from_config(config)


def _build(model, made, inputs):
    """Makes the weights that a model has once it is called."""
    with warnings.catch_warnings():  # that it can't be built without a call
        warnings.simplefilter("ignore", UserWarning)
        made.build_from_config(model.get_build_config())
    if len(made.weights) != len(model.weights):
        made(inputs, training=False)
    made.built = True


@contextlib.contextmanager
def _custom_objects(model):
    """Yields the classes and functions that a model is made of, by name.

    A function whose name another one has, as all lambdas have, gets a name of
    its own meanwhile: by names alone Keras would take one for the other.
    """
    found, renamed = {}, []
    for layer in keras_private.all_layers(model):
        for each in (layer, *getattr(layer, "operations", ())):
            for value in (each, *vars(each).values()):
                is_function = inspect.isfunction(value)
                named = value if is_function else type(value)
                if str(named.__module__).startswith(("keras.", "builtins")):
                    continue
                known = found.setdefault(named.__name__, named)
                is_lambda = named.__name__ == "<lambda>"
                if is_function and (is_lambda or known is not named):
                    renamed.append((named, named.__name__))
                    named.__name__ = f"function_{len(renamed)}"
                    found[named.__name__] = named
    try:
        yield found
    finally:
        for function, name in renamed:
            function.__name__ = name


def _variables(layers):
    """Returns pairs of the variables of layers and copies, seeds as well."""
    pairs = []
    for old, new in layers:
        own, copies = map(keras_private.own_variables, (old, new))
        # Quantized later, a layer has its variables in another order; with a
        # bias that it had not, it has one more in between.
        names, copied_names = ([v.name for v in x] for x in (own, copies))
        if len({*names}) == len(names) and {*names} <= {*copied_names}:
            copies = [copies[copied_names.index(name)] for name in names]
        # A Dropout whose rate was 0 has no seed, which is the last one.
        pairs += zip(own, copies)
    return pairs


def _layers(model, made):
    return zip(
        keras_private.all_layers(model),
        keras_private.all_layers(made),
        strict=True,
    )


def _carry_over(layers, variables, values=None, attributes=True):
    """Gives fresh copies all that layers have and their configs have not.

    Args:
        layers: List of pairs of layers.
        variables: List of pairs of their variables.
        values: Dict from the id of a variable to what its copy gets instead of
            the variable's values.
        attributes: Bool. Whether the attributes are copied.
    """
    for old, new in layers:
        if attributes and isinstance(new, type(old)):
            _copy_attributes(old, new)
            _copy_vocabulary(old, new)
    for old, new in variables:
        value = (values or {}).get(id(old))
        new.assign(old.numpy() if value is None else value)
    for old, new in layers:
        if getattr(old, "stateful", False):  # a recurrent layer
            states = (keras.tree.flatten(x.states) for x in (old, new))
            for one, other in zip(*states, strict=True):
                other.assign(one.numpy())


def _copy_attributes(old, new):
    """Sets the plain attributes that were set after construction."""
    is_of_keras = type(old).__module__.startswith("keras.")
    for name, value in vars(old).items():
        if name in _names_of_keras() or not _is_plain(value):
            continue
        if is_of_keras and name.startswith("_"):
            continue
        if name not in vars(new) or not _are_equal(vars(new)[name], value):
            setattr(new, name, _as_plain(value))


@functools.cache
def _names_of_keras():
    """Returns the attributes that any model has, which are Keras's to set."""
    return {*vars(keras.Model()), "loss", "loss_weights", "optimizer"}


def _is_plain(value):
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (*_PLAIN, np.ndarray, np.generic))


def _as_plain(value):
    """Returns a copy without what Keras hangs on lists to track layers."""
    if isinstance(value, Mapping):
        return {key: _as_plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        kind = tuple if isinstance(value, tuple) else list
        return kind(map(_as_plain, value))
    return np.array(value) if isinstance(value, np.ndarray) else value


def _are_equal(one, other):
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    try:
        return bool(one == other)
    except ValueError:  # arrays within
        return False


def _copy_vocabulary(old, new):
    kinds = (keras.layers.StringLookup, keras.layers.IntegerLookup)
    if not isinstance(old, kinds):
        return
    known = [*old.get_vocabulary()]
    if known != [*new.get_vocabulary()]:
        weights = {}
        if old.output_mode == "tf_idf":
            weights["idf_weights"] = old.idf_weights_const.numpy()
        new.set_vocabulary(known, **weights)


def _derive(model):
    """Has layers compute anew what they derive from their weights.

    Keras's own do so in `finalize_state`, a user's where a file is read.
    """
    for layer in keras_private.all_layers(model):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
        own = type(layer).load_own_variables
        if not own.__module__.startswith("keras."):
            store: dict = {}
            layer.save_own_variables(store)
            layer.load_own_variables(
                {name: _as_array(value) for name, value in store.items()}
            )


def _outputs(model, inputs):
    """Returns the outputs of a model as a list of arrays, and leaves it."""
    with keras.StatelessScope():  # a draw is not the next call's
        outputs = model(inputs, training=False)
    return [_as_array(x) for x in keras.tree.flatten(outputs)]


def _as_array(x):
    if isinstance(x, tf.RaggedTensor):
        x = x.flat_values
    elif isinstance(x, tf.SparseTensor):
        x = x.values
    return keras.ops.convert_to_numpy(x)


def _difference(expected, found, least=_CLOSE):
    """Returns how far outputs differ, beyond `least`; `None` if they do not.

    Beyond that part of the example's largest output, or of that of half of the
    examples: where it is 0 nearly, rounding is more than a part of it.
    """
    if [x.shape for x in expected] != [x.shape for x in found]:
        return "other shapes"
    for one, other in zip(expected, found):
        if one.dtype.kind not in "fcV":  # bfloat16 is of kind V
            if not np.array_equal(one, other):
                return "other values"
            continue
        close = _CLOSE_HALF if one.dtype.itemsize < 4 else least
        one, other = (x.astype("complex128") for x in (one, other))
        finite = np.isfinite(one)
        if not np.array_equal(finite, np.isfinite(other)):
            return "other values"
        gap = np.abs(np.where(finite, one - other, 0))
        scale = np.abs(np.where(finite, one, 0))
        axes = tuple(range(1, scale.ndim))
        largest = np.max(scale, axes, keepdims=True, initial=0)
        usual = np.median(largest) if largest.size else 0.0
        if np.any(gap > close * np.maximum(largest, usual)):
            return f"by {gap.max():.3g}"
    return None


def _where(model, made, inputs, difference):
    """Returns which layer of a copy computes something else, in words."""
    calls = []
    for each in (model, made):
        leaves = keras_private.leaves(each)
        with (
            contextlib.suppress(Exception),
            keras.StatelessScope(),
            activations.recorded_calls(leaves) as recorded,
        ):
            each(inputs, training=False)
        calls.append([(layer, result) for layer, _, result in recorded])
    for (layer, result), (_, other) in zip(*calls):
        outputs = [
            [_as_array(x) for x in keras.tree.flatten(each)]
            for each in (result, other)
        ]
        if _difference(*outputs) is not None:
            return (
                f"the layer {_path(model, layer)!r} "
                f"({type(layer).__name__}) of the copy computes something "
                f"else, {_difference(*outputs)}"
            )
    return f"the copy computes something else, {difference}"


def _path(model, layer):
    paths = {id(x): path for path, x in activations.layers_of(model).items()}
    return paths.get(id(layer), layer.name)


def _check_noticed(model, made, variables, inputs):
    """Raises `ValueError` if a weight has no part in the outputs, by path."""
    values = [variable.value for variable in variables.values()]
    slopes = [None] * len(values)
    # Some operations can't be differentiated: float8, say.
    with (
        contextlib.suppress(Exception),
        keras.StatelessScope(),
        tf.GradientTape(watch_accessed_variables=False) as tape,
    ):
        tape.watch(values)
        outputs = keras.tree.flatten(made(inputs, training=False))
        floats = [x for x in outputs if x.dtype.is_floating]
        slopes = tape.gradient(floats, values) if floats else slopes
    unnoticed = [
        path
        for (path, variable), slope in zip(variables.items(), slopes)
        if slope is None and _is_unnoticed(made, variable, inputs)
    ]
    if unnoticed:
        raise ValueError(
            f"No output of {model.name!r} notices the weights {unnoticed}: its "
            "layers compute with something else, a copy of them say. Leave "
            "these layers out."
        )


def _is_unnoticed(model, variable, inputs):
    """Returns if a layer is called, and one of its weights has no part in it.

    It may have one without a gradient: where it is rounded, or looked up.
    """
    owners = [
        layer
        for layer in keras_private.all_layers(model)
        if any(variable is own for own in keras_private.own_weights(layer))
    ]

    def returned():
        with activations.recorded_calls(owners) as calls:
            _outputs(model, inputs)
        nests = keras.tree.flatten([result for _, _, result in calls])
        return [_as_array(x) for x in nests if hasattr(x, "numpy")]

    value, rng = variable.numpy(), np.random.default_rng(0)
    before = returned()
    if not before:
        return False
    is_unnoticed = True
    for scale in (1, 100):
        variable.assign(value + rng.normal(0, scale, value.shape))
        is_unnoticed &= _difference(before, returned()) is None
    variable.assign(value)
    return is_unnoticed
