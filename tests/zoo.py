"""Every operation on every model of the zoo: right, or refused with a reason.

    python -m tests.zoo [NAME ...]

prints a table of models and operations, all of them; the tests leave out what
takes long and is alike for models of a kind. The truths are computed without
the operation in question: weights multiplied by hand, layers that put out what
the test says, and NumPy.
"""

import contextlib
import dataclasses
import os
import re
import sys
import tempfile
import time
import warnings
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

import modularity_tf as mtf
from modularity_tf.masking import penalty_path
from modularity_tf.network import (
    activations,
    keras_private,
    layer_kinds,
    model_weights,
)
from tests import zoo_models

PERCENTILE = 70.0
SCALING = (keras.layers.BatchNormalization, *layer_kinds.DEPTHWISE)
PASSING = (  # through which a unit that is 0 stays so
    *layer_kinds.ACTIVATIONS,
    keras.layers.Dropout,
    keras.layers.ZeroPadding2D,
)


class Wrong(Exception):
    """An operation gave something that is not true."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of an operation.

    Attributes:
        kind: Str: "right", "refused", "wrong" or "crash".
        text: Str, what was refused, or what is wrong.
    """

    kind: str
    text: str = ""


class Specimen:
    """A model of the zoo, built, with data, and what was found about it."""

    def __init__(self, entry):
        keras.utils.set_random_seed(0)
        self.entry, self.rng = entry, np.random.default_rng(1)
        self.model = entry.build()
        _settle(self.model, self.rng)
        self.x = (entry.inputs or self._drawn)(self.rng)
        self.inputs = keras.tree.map_structure(tf.convert_to_tensor, self.x)
        self.labels = np.arange(zoo_models.ROWS) % 2
        self.y, self.mask, self.copy, self.small = None, None, None, None
        self.clusters = {}
        if entry.can_run:
            self.y = keras.tree.map_structure(self._target, self._call())
            self.original = self.outputs()
            self.random_mask = mtf.WeightMask(
                {
                    path: self.rng.random(weight.variable.shape) < 0.7
                    for path, weight in self.weights().items()
                }
            )
            self.first, self.second = self._two_units()
        self.model.compile(
            loss=entry.loss, metrics=[*entry.metrics], run_eagerly=True
        )
        self.variables = [(v, v.numpy()) for v in self.model.variables]

    @property
    def data(self):
        return self.x, np.zeros(zoo_models.ROWS) if self.y is None else self.y

    def weights(self):
        return model_weights.model_weights(self.model)

    def kernels(self):
        """Returns the mask that was found, or a random one."""
        return self.mask or self.random_mask

    def outputs(self, model=None):
        """Returns the outputs of a model, a list of arrays."""
        return [_array(y) for y in keras.tree.flatten(self._call(model))]

    def _call(self, model=None):
        model = self.model if model is None else model
        keras.utils.set_random_seed(2)
        for variable in model.variables:
            if variable.path.endswith("seed_generator_state"):
                variable.assign([0, 3])
        for layer in keras_private.all_layers(model):
            if getattr(layer, "stateful", False):
                layer.reset_state()
        return model(self.inputs, training=False)

    def differs(self, one, other):
        """Returns how far outputs are from others, beyond rounding."""
        if len(one) != len(other):
            return np.inf
        far = 0.0
        for a, b in zip(one, other):
            if a.shape != b.shape or not np.isfinite(a).all():
                return np.inf
            scale = max(1.0, float(np.abs(b).max()))
            far = max(far, float(np.abs(a - b).max()) / scale)
        return far if far > self.entry.tolerance else 0.0

    @contextlib.contextmanager
    def masked(self, values):
        """The model has weights multiplied by values, while this lasts."""
        variables = [self.weights()[path].variable for path in values]
        before = [variable.numpy() for variable in variables]
        for variable, old, value in zip(variables, before, values.values()):
            variable.assign(old * value.astype(old.dtype))
        try:
            yield
        finally:
            for variable, old in zip(variables, before):
                variable.assign(old)

    def performance(self, mask):
        """Returns how the model performs under a mask, by hand.

        The accuracy, or the share of the loss explained of the output that
        does worst.
        """
        found = []
        for kept in (mask | ~mask, mask, mask - mask):
            with self.masked(kept.values):
                found.append(self._evaluate())
        whole, part, nothing = found
        if "accuracy" in part:
            return part["accuracy"]
        names = [name for name in part if name.endswith("_loss")] or ["loss"]
        return min(
            (nothing[name] - part[name]) / (nothing[name] - whole[name])
            for name in names
            if nothing[name] != whole[name]
        )

    def _evaluate(self):
        self.model.reset_metrics()
        found = self.model.test_on_batch(self.inputs, self.y, return_dict=True)
        added = sum(float(each) for each in self.model.losses)
        found["loss"] = found["loss"] - added
        return {name: float(value) for name, value in found.items()}

    def _drawn(self, rng):
        def draw(x):
            shape = (zoo_models.ROWS, *(n or 4 for n in x.shape[1:]))
            if "int" in x.dtype:
                return rng.integers(1, 5, shape).astype(x.dtype)
            return rng.normal(size=shape).astype(x.dtype)

        inputs = getattr(self.model, "inputs", None)
        if not inputs:
            return draw(keras.Input((4,)))
        if isinstance(self.model, keras.Sequential):
            return draw(inputs[0])
        return keras.tree.map_structure(
            draw, keras_private.input_structure(self.model)
        )

    def _target(self, outputs):
        if self.entry.loss == "mse":
            return _array(outputs).astype("float32")
        return np.argmax(outputs, axis=-1)

    def _two_units(self):
        """Returns two selections: a unit of every hidden layer each."""
        one, other = {}, {}
        known = activations.neuron_layers(self.model, outputs=True)
        for path, layer in known.items():
            kernel = keras_private.kernel(layer)
            is_int4 = getattr(layer, "quantization_mode", None) == "int4"
            units = layer.units if is_int4 else kernel.shape[-1]
            one[path], other[path] = np.zeros((2, units), bool)
            if not zoo_models.is_output(path):
                a, b = self.rng.choice(units, 2, replace=False)
                one[path][a] = other[path][b] = True
        return mtf.NeuronSelection(one), mtf.NeuronSelection(other)


def _array(x):
    return np.array(keras.ops.convert_to_numpy(x), "float64")


def _settle(model, rng):
    """Gives biases and statistics the values that training would."""
    for weight in model_weights.model_weights(model).values():
        value = weight.variable.numpy()
        if "float" in weight.variable.dtype and np.ptp(value) == 0:
            weight.variable.assign(value + rng.uniform(-0.5, 0.5, value.shape))
    for variable in model.non_trainable_variables:
        if variable.path.endswith("moving_mean"):
            variable.assign(rng.uniform(-0.3, 0.3, variable.shape))
        elif variable.path.endswith("moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))


@contextlib.contextmanager
def watched(layers_by_path, change):
    """Hands what layers put out to a function, and on what that returns.

    Args:
        layers_by_path: Dict from path to `keras.layers.Layer`.
        change: Function from a path and a tensor to a tensor.
    """
    patched = []

    def patch(layer, name, path):
        call = getattr(layer, name)

        def changed(*args, **kwargs):
            return change(path, call(*args, **kwargs))

        changed.__wrapped__ = call  # its signature
        object.__setattr__(layer, name, changed)
        patched.append((layer, name))

    try:
        for path, layer in layers_by_path.items():
            patch(layer, "call", path)
            if getattr(layer, "quantization_mode", None):
                patch(layer, "quantized_call", path)
        yield
    finally:
        for layer, name in patched:
            object.__delattr__(layer, name)


def forced(model, values):
    """The units of layers put out given values.

    Args:
        model: `keras.Model`.
        values: Dict from path to a pair: a bool array, which units; and a
            function from the layer and its output to what these put out.
    """
    found = activations.neuron_layers(model, outputs=True)
    chosen = {path: found[path] for path in values}

    def change(path, out):
        flags, function = values[path]
        return tf.where(
            flags, tf.cast(function(found[path], out), out.dtype), out
        )

    return watched(chosen, change)


def activated_by(value):
    """Returns what a unit puts out whose weights are 0 and bias is `value`."""
    return lambda layer, out: layer.activation(tf.constant(value, out.dtype))


def noise(layer, out):
    return 3.0 * tf.random.stateless_normal(tf.shape(out), seed=[1, 2])


def activities(specimen):
    """Returns what neurons put out, averaged over positions, by layer.

    Returns:
        Dict from path to two arrays `(examples, units)`: the mean, and the
        mean magnitude. Layers within loops are left out.
    """
    model, activated = specimen.model, specimen.entry.activated
    if specimen.entry.noise:  # other draws, other means
        return {}
    neuronal = activations.neuron_layers(model, outputs=True)
    paths = {activated.get(p, p): p for p in neuronal}
    chosen = {}
    for path in paths:
        chosen |= {
            p: x
            for p, x in activations.choose_layers(model, path).items()
            if p == path
        }
    recorded = {}

    def record(path, out):
        recorded.setdefault(paths[path], []).append(out)
        return out

    with watched(chosen, record):
        specimen.outputs()
    found = {}
    for path, outs in recorded.items():
        if all(isinstance(out, tf.__internal__.EagerTensor) for out in outs):
            signed = [_mean(out, _array(out)) for out in outs]
            sizes = [_mean(out, np.abs(_array(out))) for out in outs]
            found[path] = np.mean(signed, axis=0), np.mean(sizes, axis=0)
    return found


def _mean(out, values):
    keras_mask = keras_private.get_keras_mask(out)
    weights = np.ones(values.shape[:-1])
    if keras_mask is not None:
        keras_mask = _array(keras_mask)
        extra = values.ndim - 1 - keras_mask.ndim
        weights = weights * keras_mask.reshape(*keras_mask.shape, *[1] * extra)
    axes = tuple(range(1, values.ndim - 1))
    total = (values * weights[..., None]).sum(axis=axes)
    return total / weights.sum(axis=axes).reshape(len(values), -1)


# The operations. Each takes a specimen and raises `Wrong` where its result is
# not true; what it returns is said in the table.


def find_weights(s):
    tf.config.run_functions_eagerly(not s.entry.thorough)
    # Any mask will do, but of a model with noise one that performs.
    wait = penalty_path._WAIT_AT_FIRST if s.entry.noise else 1
    try:
        with mock.patch.object(penalty_path, "_WAIT_AT_FIRST", wait):
            mask = mtf.find_weights(
                s.model,
                s.data,
                s.data,
                alpha=1e-6,
                steps=2,
                batch_size=zoo_models.ROWS,
                learning_rate=3.0,
                seed=1,
                verbose=0,
            )
    finally:
        tf.config.run_functions_eagerly(False)
    s.mask = mask
    expected, told = s.performance(mask), mask.provenance["performance"]
    if not abs(told - expected) <= max(10 * s.entry.tolerance, s.entry.noise):
        raise Wrong(f"performance {told}, in truth {expected}")


def apply(s):
    s.copy = s.random_mask.apply(s.model)
    with s.masked(s.random_mask.values):
        _check_outputs(s, s.copy, s.outputs())
    if not s.differs(s.outputs(s.copy), s.original):
        raise Wrong("the mask changes nothing")


def remove_from(s):
    copy = s.random_mask.remove_from(s.model)
    with s.masked((~s.random_mask).values):
        _check_outputs(s, copy, s.outputs())


def find_neurons(s):
    found = mtf.find_neurons(
        s.model, (s.x, s.labels), label=1, percentile=PERCENTILE
    )
    found.check_fits(s.model)
    for path, (_, sizes) in activities(s).items():
        if zoo_models.is_output(path):
            continue
        means = sizes[s.labels == 1].mean(axis=0)
        expected = means > np.percentile(means, PERCENTILE)
        gap = np.abs(means - np.percentile(means, PERCENTILE)).min()
        if gap > s.entry.tolerance and path not in found.values:
            raise Wrong(f"has no layer {path!r}")
        if gap > s.entry.tolerance and (found.values[path] != expected).any():
            raise Wrong(f"neurons of {path!r} {found.values[path]}: {means}")


def find_units(s):
    s.clusters = mtf.find_units(s.model, s.data, steps=5, restarts=0)
    for path, (signed, _) in activities(s).items():
        if zoo_models.is_output(path):
            continue
        if path not in s.clusters:
            raise Wrong(f"has no layer {path!r}")
        expected = np.abs(np.atleast_2d(np.cov(signed.T)))
        off = np.abs(s.clusters[path].similarity - expected).max()
        if not off <= 10 * s.entry.tolerance * max(1.0, expected.max()):
            raise Wrong(f"the covariance of {path!r} is off by {off}")


@contextlib.contextmanager
def shut(model, selection):
    """Neurons contribute nothing, while this lasts.

    They put out act(0), and what they alone go through, a BatchNormalization
    or a depthwise convolution, makes act(0) of it, too.
    """
    found = activations.neuron_layers(model, outputs=True)
    flags_of = {path: v for path, v in selection.values.items() if v.any()}
    off = {path: (v, activated_by(0.0)) for path, v in flags_of.items()}
    behind = {}
    for path, flags in flags_of.items():
        layer = found[path]
        while len(layer._outbound_nodes) == 1:
            layer = layer._outbound_nodes[0].operation
            if isinstance(layer, layer_kinds.DEPTHWISE):
                flags = flags.repeat(layer.depth_multiplier)
            if isinstance(layer, SCALING):
                behind[f"{path} {layer.name}"] = layer, flags
            elif not isinstance(layer, PASSING):
                break

    def change(path, out):
        layer, flags = behind[path]
        activation = getattr(layer, "activation", None) or (lambda x: x)
        zero = activation(tf.constant(0.0, out.dtype))
        return tf.where(flags, zero, out)

    layers_behind = {path: layer for path, (layer, _) in behind.items()}
    with forced(model, off), watched(layers_behind, change):
        yield


def keep_neurons(s):
    copy = (~s.first).apply(s.model)
    with shut(s.model, s.first):
        _check_outputs(s, copy, s.outputs())


def on_and_off(s):
    """Returns a selection of neurons, and of others that are off."""
    return mtf.NeuronSelection(s.first.values, off=s.second.values)


def force_neurons(s):
    copy = on_and_off(s).force(s.model)
    values = {
        path: (
            flags | s.second.values[path],
            lambda layer, out, flags=flags: layer.activation(
                tf.cast(tf.broadcast_to(flags, tf.shape(out)), out.dtype)
            ),
        )
        for path, flags in s.first.values.items()
        if (flags | s.second.values[path]).any()
    }
    with forced(s.model, values):
        _check_outputs(s, copy, s.outputs())


def remove_neurons(s):
    chosen, told = _removable(s, lambda part: part.remove_from(s.model))
    if s.entry.thorough:
        nothing = s.first - s.first
        _check_outputs(s, nothing.remove_from(s.model), s.original)
    if chosen:
        s.small = small = chosen.remove_from(s.model)
        expected = s.outputs(small)
        removed = {p: (v, noise) for p, v in chosen.values.items() if v.any()}
        with forced(small, removed):
            if s.differs(s.outputs(small), expected):
                raise Wrong("a removed neuron is heard")
        kept = {p: {p: (~chosen.values[p], noise)} for p in removed}
        if not s.entry.thorough:
            kept = {
                "any layer": {p: v for k in kept.values() for p, v in k.items()}
            }
        for where, values in kept.items():
            with forced(small, values):
                if not s.differs(s.outputs(small), expected):
                    raise Wrong(f"no kept neuron of {where!r} is heard")
    return told


def weights_of_neurons(s):
    chosen, told = _removable(
        s, lambda part: mtf.WeightMask.of_neurons(part, s.model)
    )
    if chosen:
        found = mtf.WeightMask.of_neurons(chosen, s.model).values
        layer_of = {k: p for p, k in activations.kernel_paths(s.model).items()}
        small = model_weights.model_weights(s.small) if s.small else {}
        for path, marked in found.items():
            layer, old = layer_of.get(path), s.weights()[path].variable
            incoming = np.zeros(marked.shape, bool)
            incoming[..., chosen.values.get(layer, False)] = True
            if (incoming & ~marked).any():
                raise Wrong(f"the weights that lead to {layer!r}")
            if path in small:
                gone = (old.numpy() != 0) & (small[path].variable.numpy() == 0)
                if (marked != gone | incoming)[old.numpy() != 0].any():
                    raise Wrong(f"the weights in {path!r} that read them")
        lacking = {k for k, p in layer_of.items() if p in chosen.values}
        lacking -= {*found}
        if lacking:
            raise Wrong(f"has not {lacking}")
    return told


def units_of_weights(s):
    mask, kernels = s.kernels(), activations.kernel_paths(s.model)
    for path, flags in mask.units(s.model).values.items():
        own = [kernels[path]] if path in kernels else _cell_kernels(s, path)
        kept = np.concatenate(
            [mask.values[each].reshape(-1, flags.size) for each in own]
        )
        if (flags != (kept.mean(axis=0) > kept.mean())).any():
            raise Wrong(f"the units of {path!r}")


def _cell_kernels(s, path):
    """Returns the paths of both kernels of a recurrent layer."""
    kernels = [p for p in s.weights() if p.endswith("kernel")]
    return [p for p in kernels if p.startswith(f"{path}/")]


def compare(s):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = mtf.compare(
            {"neurons": s.first, "weights": s.kernels()},
            s.model,
            permutations=9,
        ).rows
    units = s.kernels().units(s.model).values
    for row in rows[:-1]:
        one, other = s.first.values[row.layer], units[row.layer]
        expected = None
        if one.any():
            expected = (one & other).sum() / one.sum()
        is_right = row.value == expected or (
            None not in (row.value, expected)
            and abs(row.value - expected) < 1e-6
        )
        if not is_right:
            raise Wrong(f"{row}: in truth {expected}")


def shrink(s):
    off = {p: v for p, v in s.first.values.items() if v.any()}
    small = (~mtf.NeuronSelection(off)).shrink(s.model)
    with shut(s.model, s.first):
        expected = s.outputs()
    _check_outputs(s, small.model, expected)
    sizes = {each.layer: each for each in small.layers}
    for path, flags in off.items():
        before, after = sizes[path].units
        gone = flags.sum() - sum(sizes[path].stays.values())
        if before != flags.size or after > before - gone:
            raise Wrong(f"{path!r} has {after} units, {sizes[path].stays}")
    kernels = {
        path: weight.variable.shape
        for path, weight in model_weights.model_weights(small.model).items()
    }
    for path, kernel in activations.kernel_paths(s.model).items():
        if kernel in kernels and kernels[kernel][-1] != sizes[path].units[1]:
            raise Wrong(f"{kernel!r} has the shape {kernels[kernel]}")
    if s.entry.thorough:
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "small.keras")
            small.model.save(file)
            loaded = keras.models.load_model(file, safe_mode=False)
        _check_outputs(s, loaded, expected)
    stays = small.stays
    return f"stay in {', '.join(stays)}" if stays else ""


def gates(s):
    off = {p: v for p, v in s.first.values.items() if v.any()}
    gated = mtf.MaskedModel(
        s.model, groups="units", layers=[*off], num_samples=None
    )
    for path, flags in off.items():
        gated.mask_logits[path].assign(np.where(flags, -50.0, 50.0))
    with shut(s.model, s.first):
        expected = s.outputs()
    _check_outputs(s, gated, expected)
    trained = keras.tree.flatten(gated(s.inputs, training=True))
    off_by = s.differs([_array(y) for y in trained], expected)
    if off_by and not s.entry.noise:
        raise Wrong(f"in training the outputs are off by {off_by:.3g}")


def save_findings(s):
    both = on_and_off(s)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "finding.npz")
        for found in (s.kernels(), s.first, both, s.clusters):
            found.save(file)
            loaded = type(found).load(file, s.model)
            if repr(_told(found)) != repr(_told(loaded)):
                raise Wrong(f"{found!r} is saved as {loaded!r}")


def _told(found):
    """Returns all that a finding holds, as text can tell it."""
    config, arrays = found._packed()
    return config, {key: value.tolist() for key, value in arrays.items()}


def save_copy(s):
    copy = s.copy or s.random_mask.apply(s.model)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "copy.keras")
        copy.save(file)
        loaded = keras.models.load_model(file, safe_mode=False)
    _check_outputs(s, loaded, s.outputs(copy))


def untrained_twin(s):
    twin = mtf.MaskedModel(s.model, seed=0).untrained_twin().model
    if not s.differs(s.outputs(twin), s.original):
        raise Wrong("it is trained")
    own = s.weights()
    for path, weight in model_weights.model_weights(twin).items():
        weight.variable.assign(own[path].variable)
    for old, new in zip(s.model.variables, twin.variables, strict=True):
        if "moving_" in old.path:
            new.assign(old)
    _check_outputs(s, twin, s.original)


def export(s):
    copy = s.copy or s.random_mask.apply(s.model)
    with tempfile.TemporaryDirectory() as folder:
        copy.export(folder, verbose=False)
        loaded = tf.saved_model.load(folder)  # which keeps the variables
        served = loaded.serve(s.inputs)
    served = [_array(y) for y in tf.nest.flatten(served)]
    if not s.entry.noise and s.differs(served, s.outputs(copy)):
        raise Wrong("it serves something else")


OPERATIONS = (
    find_weights,
    apply,
    remove_from,
    find_neurons,
    find_units,
    keep_neurons,
    force_neurons,
    remove_neurons,
    weights_of_neurons,
    units_of_weights,
    compare,
    shrink,
    gates,
    save_findings,
    save_copy,
    untrained_twin,
    export,
)


THOROUGH = (remove_from, force_neurons, gates, export)
QUICK = (apply, find_neurons, remove_neurons)  # each depends on what layers do


def _check_outputs(s, model, expected):
    off = s.differs(s.outputs(model), expected)
    if off:
        raise Wrong(f"the outputs are off by {off:.3g}")


def _removable(s, operation):
    """Returns the neurons that can be removed, and says which can't.

    Returns:
        `NeuronSelection`, or `None` if there is none, and a str.
    """
    refused = []
    whole = s.first
    for where, is_due in ((s.entry.mixed, True), (s.entry.may_be_mixed, False)):
        for path, reason in where.items():
            part = {path: s.first.values[path]}
            try:
                operation(mtf.NeuronSelection(part))
            except ValueError as error:
                if not _is_reason(str(error), reason):
                    raise
                refused.append(path)
            else:
                if is_due:
                    raise Wrong(f"{path!r} is not refused")
    rest = {p: v for p, v in whole.values.items() if p not in refused}
    chosen = mtf.NeuronSelection(rest)
    told = f"refused: {', '.join(refused)}" if refused else ""
    return (chosen if chosen.keep_fraction > 0 else None), told


def _is_reason(text, reason):
    return "\n" not in text and re.search(reason, text) is not None


def outcome(specimen, operation):
    """Returns the `Outcome` of an operation."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            told = operation(specimen)
        for variable, value in specimen.variables:
            if "seed" not in variable.path and not np.array_equal(
                variable.numpy(), value
            ):
                if "float" in variable.dtype:
                    variable.assign(value)
                raise Wrong(f"it changes {variable.path!r} of the model")
    except Wrong as error:
        return Outcome("wrong", str(error))
    except ValueError as error:
        kind = "crash" if "\n" in str(error) else "refused"
        return Outcome(kind, str(error))
    except Exception as error:  # whatever it is, it is told
        return Outcome("crash", f"{type(error).__name__}: {error}")
    return Outcome("right", told or "")


def outcomes(entry, everything=False):
    """Yields `(operation, Outcome, problem)` of an entry.

    The problem is a str, or `None` if the outcome is what is expected.

    Args:
        entry: `zoo_models.Entry`.
        everything: Bool. Also what the tests leave out, for time.
    """
    specimen = Specimen(entry)
    for operation in OPERATIONS:
        name = operation.__name__
        if everything or entry.thorough:
            is_due = True
        elif entry.quick and name not in entry.refused:
            is_due = operation in QUICK
        else:
            is_due = operation not in THOROUGH
        is_due &= name not in entry.skipped
        is_due &= entry.can_run or name in zoo_models.UNITS
        if is_due:
            found = outcome(specimen, operation)
            yield name, found, _problem(entry, name, found)


def _problem(entry, name, found):
    due, allowed = entry.refused.get(name), entry.either.get(name)
    if found.kind == "refused" and _is_reason(
        found.text, due or allowed or r"(?!)"
    ):
        return None
    if found.kind == "right" and due is None:
        return None
    wanted = "right" if due is None else f"refused with {due!r}"
    text = " ".join(found.text.split())[:300]
    return f"{entry.name}, {name}: {found.kind}: {text}, not {wanted}"


def named(entries):
    """Returns entries as `parameterized.named_parameters` takes them."""
    return [(entry.name, entry) for entry in entries]


def main(names):
    """Prints the table of models and operations, and what is not right."""
    names_of_all = [x.__name__ for x in OPERATIONS]
    _print_row("model", *names_of_all, "s")
    _print_row(*["---"] * (len(OPERATIONS) + 2))
    problems, reasons = [], []
    for entry in zoo_models.ALL:
        if names and entry.name not in names:
            continue
        start, cells = time.process_time(), {}
        for name, found, problem in outcomes(entry, everything=True):
            cells[name] = found.kind if found.kind != "right" else "+"
            if problem:
                problems.append(problem)
                cells[name] = found.kind.upper()
            elif found.text:
                reasons.append(f"{entry.name}, {name}: {found.text}")
                cells[name] = "refused" if found.kind == "refused" else "part"
        row = [cells.get(name, "") for name in names_of_all]
        _print_row(entry.name, *row, f"{time.process_time() - start:.1f}")
    for title, lines in (("Not as expected", problems), ("Refused", reasons)):
        sys.stdout.write(f"\n{title}: {len(lines)}\n\n")
        sys.stdout.writelines(f"- {line}\n" for line in lines)


def _print_row(*cells):
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
