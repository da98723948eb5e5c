"""A program as strict users of types write it: `make lint` checks it."""

import keras
import numpy as np

import modularity_tf as mtf


def masks(model: keras.Model, x: np.ndarray, y: np.ndarray) -> keras.Model:
    mask: mtf.WeightMask = mtf.find_weights(model, (x, y))
    left: list[float] = [trial["keep_fraction"] for trial in mask.path]
    scores = mtf.weight_scores(model, method=lambda model, data: {"a": x})
    mask.save(f"{len(left)} {len(scores)}.npz")
    return (mask | ~mask).apply(model)


def neurons(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    sure: mtf.NeuronSelection = mtf.find_neurons(
        model, (x, y), 3, method="bayesian"
    )
    needed: mtf.NeuronSelection = mtf.find_neurons(
        model, (x, y), method="mask", keep=0.5, seed=1
    )
    half: mtf.NeuronSelection = needed.at(keep=0.5)
    half.shrink(model).model.summary()
    clusters = mtf.find_units(model, (x, y))
    members: mtf.NeuronSelection = clusters["a"].members(0)
    mtf.WeightMask.of_neurons(sure, model).plot()
    return members.overlap(sure).share


def verdicts(model: keras.Model, x: np.ndarray, y: np.ndarray) -> str:
    mask = mtf.find_weights(model, (x, y))
    same: mtf.Comparison = mtf.compare({"a": mask, "b": ~mask}, model)
    value: float | None = same.of("a", "b")["x"].value
    found = mtf.soundness.check(mask, model, (x, y), others={"b": [mask]})
    alone: float = found.faithfulness.alone.value
    return f"{value} {alone} {found.sharing['b'].verdict}"


def known_truth(scores: dict[str, np.ndarray]) -> float | None:
    planted: mtf.planted.Planted = mtf.planted.make_parities(2, bits=3, pairs=1)
    x, y = planted.data[0]
    _, accuracy = planted.objective(0)
    accuracy(y, planted.logits(x, planted.needed[0].weights.values))
    ranked: mtf.planted.Score = mtf.planted.score(scores, planted, task=0)
    return ranked.average_precision


def training(model: keras.Model) -> keras.optimizers.Optimizer:
    mtf.MaskedModel(model).reset(seed=None)
    mtf.layers.SparseDense(3, 0.5, seed=1)
    return mtf.DeepR("adam")
