"""A feedforward network that learns task after task in its free weights."""

import keras
from keras import ops

from modularity_tf.masking import masked_dense
from modularity_tf.network import keras_private
from reproduce.csordas2021 import initializers

OLD_LOGIT = 2.0  # where the mask logits of used weights start


@keras.saving.register_keras_serializable(package="reproduce")
class ContinualDense(masked_dense.MaskedDense):
    """MaskedDense whose used weights are frozen.

    `used` and `bias_used` say which weights earlier tasks need: they get no
    gradient, so that those tasks stay as they were. See `MaskedDense` for the
    arguments; weights and biases have masks.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{**kwargs, "mask_bias": True})

    def build(self, input_shape):
        super().build(input_shape)
        self.used = self._add_flags(keras_private.kernel(self), "used")
        self.bias_used = self._add_flags(self.bias, "bias_used")

    def start_task(self, seed, old_logit, new_logit):
        """Frees what the last task does not need, for the next one.

        Weights that its mask keeps are used from here on. The others are drawn
        anew.

        Args:
            seed: Int, of the new weights and of the mask samples to come.
            old_logit: Float, where the logits of used weights start.
            new_logit: Float, where those of the others start.
        """
        # Files do not keep a generator's state: every task begins its own.
        self.seed_generator.state.assign([seed, 0])
        for weight, logits, used in self._parts():
            used.assign(ops.logical_or(used, logits > 0))
            if weight is self.bias:
                fresh = ops.zeros(weight.shape)
            else:
                fresh = initializers.xavier_normal(seed)(weight.shape)
            weight.assign(ops.where(used, weight, fresh))
            logits.assign(ops.where(used, old_logit, new_logit))

    def masks(self):
        """Returns what this task keeps, and what earlier ones used.

        Returns:
            Two dicts from "kernel" and "bias" to boolean arrays.
        """
        kept = [ops.convert_to_numpy(x.value) > 0 for _, x, _ in self._parts()]
        used = [ops.convert_to_numpy(u.value) for *_, u in self._parts()]
        names = ("kernel", "bias")
        return dict(zip(names, kept)), dict(zip(names, used))

    def _parts(self):
        return (
            (keras_private.kernel(self), self.mask_logits, self.used),
            (self.bias, self.bias_mask_logits, self.bias_used),
        )

    def _gate(self, weight, logits, training):
        used = (
            self.used
            if weight is keras_private.kernel(self)
            else self.bias_used
        )
        weight = ops.where(used, ops.stop_gradient(weight), weight)
        return super()._gate(weight, logits, training)

    def _add_flags(self, weight, name):
        return self.add_weight(
            shape=weight.shape,
            dtype="bool",
            initializer="zeros",
            trainable=False,
            name=name,
        )


def build(num_inputs, sizes, num_classes, seed=0, **kwargs):
    """Returns the feedforward network of section 3.3, untrained.

    The layers are named `rescaling`, `hidden1`, ..., `output`. The text gives
    no initial weights; those here follow the law of the authors' code.

    Args:
        num_inputs: Positive int, pixels.
        sizes: Positive ints, units of the hidden layers; (800, 800, 64) in
            the paper.
        num_classes: Positive int.
        seed: Int >= 0. The same seed gives the same weights and mask samples.
        **kwargs: Of `MaskedDense`: `num_samples`, `alpha`, ...

    Returns:
        `keras.Sequential` of `ContinualDense` layers from raw pixels, 0 to
        255, of shape `(batch, num_inputs)` to logits `(batch, num_classes)`.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), 3.3, C.5
    """
    widths = (*sizes, num_classes)
    seeds = [  # below 2 ** 31
        each // 2 for each in initializers.seeds(seed, 2 * len(widths))
    ]
    layers = [
        keras.Input((num_inputs,)),
        keras.layers.Rescaling(1 / 255, name="rescaling"),
    ]
    for i, width in enumerate(widths):
        last = i == len(sizes)
        layers.append(
            ContinualDense(
                width,
                activation=None if last else "relu",
                kernel_initializer=initializers.xavier_normal(seeds[2 * i]),
                seed=seeds[2 * i + 1],
                name="output" if last else f"hidden{i + 1}",
                **kwargs,
            )
        )
    return keras.Sequential(layers, name="continual")
