"""ScoredModel: find the few weights of a model that do a task (edge-popup)."""

from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from modularity_tf import checks
from modularity_tf.findings import weight_mask
from modularity_tf.masking import frozen_model, mask_sampling
from modularity_tf.network import model_weights

SCOPES = ("model", "weight")

# What is left of a removed weight: nothing, as float32 sums go. At exactly 0 a
# layer that rectifies its weights (SparseDense) would pass no gradient on.
_REMOVED = 1e-30


@keras.saving.register_keras_serializable(package="modularity_tf")
class ScoredModel(frozen_model.FrozenModel):
    """A trained model that uses only the weights with the highest scores.

    Each candidate weight w_i gets a score s_i, and training changes the
    scores only:

        output = model(inputs, weights=w * m),  m_i = 1[s_i in the top q]

    Backward, the mask is taken for the scores themselves (straight-through):
    dL/ds_i = w_i dL/d(w_i m_i). The number of weights kept is fixed, unlike in
    `MaskedModel`, so masks of different tasks have the same size. The wrapped
    model runs in inference mode, and its weights are never written to.

    >>> scored = mtf.ScoredModel(model, share=0.05, seed=0)
    >>> scored.compile(
    ...     keras.optimizers.SGD(0.1, momentum=0.9),
    ...     loss="sparse_categorical_crossentropy",
    ... )
    >>> history = scored.fit(images, labels, verbose=0)
    >>> scored.weight_mask(task="digits").keep_fraction  # 118 of 2368
    0.04983108108108108

    Scores start uniform in (-b, b), b = 1 / sqrt(fan in), fan in being the
    weight's number of rows (Kaiming-uniform with a = sqrt(5), PyTorch's rule
    for weights).

    Args:
        model: Built `keras.Model`, trained. It is not changed.
        share: Float q in (0, 1], the share of the candidates that is kept,
            rounded to a whole number of weights, at least one.
        candidates: `WeightMask` of the weights that compete, the others in
            its tensors being removed. Tensors that it does not name stay as
            they are. By default all kernels but for weights of exactly 0:
            those can't do anything, and no gradient reaches their scores.
        scope: "model": the top q over all candidates together, as Bena &
            Goodman; or "weight": in each weight tensor, as Ramanujan et al.
        signed: Bool. Compare the scores (`True`, as Bena & Goodman) or their
            absolute values (`False`, as Ramanujan et al.).
        seed: Int; the same seed draws the same scores. `None` is random.

    Call arguments:
        inputs: What `model` takes. The first axis is the batch.

    Returns:
        What `model` returns.

    Raises:
        ValueError: For a model that is not built, arguments out of range,
            `candidates` that do not fit or have a tensor without any.

    References:
        - [Ramanujan et al., 2020](https://arxiv.org/abs/1911.13299), section
          3
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), section
          3.2
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        share: float = 0.05,
        candidates: weight_mask.WeightMask | None = None,
        scope: Literal["model", "weight"] = "model",
        signed: bool = True,
        seed: int | None = 0,
        **kwargs: Any,
    ) -> None:
        checks.number("share", share, above=True, most=1)
        if not isinstance(signed, bool):
            raise ValueError(f"`signed` must be a bool, got {signed!r}.")
        if scope not in SCOPES:
            raise ValueError(f"`scope` must be in {SCOPES}, got {scope!r}.")
        super().__init__(model, **kwargs)
        weights = model_weights.model_weights(model)
        if candidates is None:
            self.candidates = _nonzero_kernels(model)
        else:
            self.candidates = weight_mask.given_or_empty(
                candidates, "candidates"
            )
        self.candidates.check_fits(model)
        counts = {p: v.sum() for p, v in self.candidates.values.items()}
        empty = [path for path, count in counts.items() if not count]
        if empty or not counts:
            raise ValueError(
                f"`candidates` must have weights of {model.name!r} in each "
                f"of its tensors, got {counts}."
            )
        self.share, self.scope, self.signed = share, scope, signed
        self._check_floats({path: weights[path] for path in counts})
        self.scores = self._add_learned(
            {path: weights[path].variable.shape for path in counts},
            initializer="zeros",
        )
        self._groups = (
            [[*counts]] if scope == "model" else [[p] for p in counts]
        )
        self._counts = [
            max(1, round(share * int(sum(counts[p] for p in group))))
            for group in self._groups
        ]
        self.reset(seed=seed)
        self.built = True

    @property
    def learned(self) -> dict[str, keras.Variable]:
        return self.scores

    def call(self, inputs: Any) -> Any:
        values = {}
        for path, kept in self._top().items():
            scores = self.scores[path].value
            weight = ops.stop_gradient(self._functional.variables[path].value)
            # Forward the mask, backward the scores.
            mask = ops.where(kept, np.float32(1.0), np.float32(_REMOVED))
            mask += scores - ops.stop_gradient(scores)
            values[path] = weight * ops.cast(mask, weight.dtype)
        return self._functional(values, inputs)

    def reset(self, *, seed: int | None = 0) -> None:
        """Draws the scores anew and makes the optimizer as before training.

        For the next task of the same model: the compiled step is kept. The
        learning rate is that of `compile`, whatever callbacks have made of it.

        Args:
            seed: As in `ScoredModel`; the seed from here on.

        Raises:
            ValueError: If `seed` is out of range.
        """
        self.seed = checks.seed(seed)
        rng = np.random.default_rng(self.seed)
        for scores in self.scores.values():
            bound = np.prod(scores.shape[:-1], initial=1.0) ** -0.5
            scores.assign(rng.uniform(-bound, bound, scores.shape))
        self._reset_optimizer()

    def weight_mask(self, task: str | None = None) -> weight_mask.WeightMask:
        """Returns what was learned: which candidates have the top scores.

        Args:
            task: Str or `None`, for the record: what the scores learned.

        Returns:
            `WeightMask` over the tensors of `candidates`.

        Raises:
            ValueError: If a score is NaN or infinite, or `task` no JSON value.
        """
        self.check_learned()
        values = {
            path: ops.convert_to_numpy(kept)
            for path, kept in self._top().items()
        }
        provenance = {
            "task": weight_mask.task_record(task),
            "model": self.model.name,
            "model_fingerprint": model_weights.fingerprint(self.model),
            "share": self.share,
            "scope": self.scope,
            "signed": self.signed,
            "seed": self.seed,
        }
        return weight_mask.WeightMask(values, provenance)

    def get_config(self) -> dict[str, Any]:
        config = {
            "model": keras.saving.serialize_keras_object(self.model),
            "share": self.share,
            "candidates": keras.saving.serialize_keras_object(self.candidates),
            "scope": self.scope,
            "signed": self.signed,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}

    def _top(self):
        """Returns boolean tensors, keyed by path: which weights are used."""
        found = {}
        for paths, count in zip(self._groups, self._counts, strict=True):
            ranks = {}
            for path in paths:
                scores = self.scores[path].value
                rank = scores if self.signed else ops.abs(scores)
                competes = self.candidates.values[path]
                ranks[path] = ops.where(competes, rank, -np.inf)
            found.update(mask_sampling.top_scores(ranks, count))
        return found


def _nonzero_kernels(model):
    chosen = model_weights.chosen_weights(model, "kernels")
    return weight_mask.WeightMask(
        {p: w.variable.numpy() != 0 for p, w in chosen.items()}
    )
