"""Callbacks that show a mask in TensorBoard while it trains."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops


class MaskSummary(keras.callbacks.Callback):
    """Writes what a `MaskedModel` keeps to TensorBoard after every epoch.

    Scalars `keep_fraction/PATH` and `keep_fraction/all`, the share of weights
    that the thresholded mask keeps, and histograms `keep_probability/PATH` of
    sigmoid(l). The step is the optimizer's.

    Args:
        log_dir: Str or path, the folder of the event files.

    Raises:
        ValueError: When training begins, if the model is no `MaskedModel`.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), figure 7
    """

    def __init__(self, log_dir):
        super().__init__()
        self._log_dir = str(log_dir)
        self._writer = None

    def on_train_begin(self, logs=None):
        if not hasattr(self.model, "mask_logits"):
            raise ValueError(
                f"`MaskSummary` needs a MaskedModel, got {self.model!r}."
            )
        self._writer = tf.summary.create_file_writer(self._log_dir)

    def on_epoch_end(self, epoch, logs=None):
        step = int(ops.convert_to_numpy(self.model.optimizer.iterations))
        kept = total = 0
        with self._writer.as_default(step=step):
            for path, variable in self.model.mask_logits.items():
                logits = ops.convert_to_numpy(variable.value)
                mask = logits > 0
                kept, total = kept + mask.sum(), total + mask.size
                tf.summary.scalar(f"keep_fraction/{path}", np.mean(mask))
                tf.summary.histogram(
                    f"keep_probability/{path}", ops.sigmoid(logits)
                )
            tf.summary.scalar("keep_fraction/all", kept / total)

    def on_train_end(self, logs=None):
        self._writer.close()
