"""The code of sparse_training.md: python -m docs.sparse_training.

Takes about a minute on 2 cores. Prints the table, and writes the picture to
docs/images.
"""

import time

import keras
import numpy as np
from sklearn import datasets

from modularity_tf import DeepR, layers, plots, stats

# --- Data, and the number of weights that each layer may have.

pixels, labels = datasets.load_digits(return_X_y=True)
pixels = (pixels / 8 - 1).astype("float32")
order = np.random.default_rng(0).permutation(len(labels))
train, validation, test = np.split(order, [1000, 1200])

UNITS = (300, 100, 10)
WEIGHTS = (384, 600, 200)  # 2, 2 and 20 % of all
EPOCHS, BATCH = 40, 50
SEEDS = (0, 1, 2)
EVALUATED = test  # `validation` while learning rates and L1 were chosen


def mlp(make_layer):
    """Returns a network of three layers; `make_layer(i, units, activation)`."""
    activations = ("relu", "relu", None)
    made = [
        make_layer(i, *each) for i, each in enumerate(zip(UNITS, activations))
    ]
    return keras.Sequential([keras.Input((64,)), *made])


def fit(model, optimizer, seed):
    keras.utils.set_random_seed(seed)
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=len(train) // BATCH,
        jit_compile=False,
    )
    model.fit(pixels[train], labels[train], BATCH, EPOCHS, verbose=0)
    return model


def accuracy(model, rows):
    logits = model.predict(pixels[rows], verbose=0)
    return np.mean(np.argmax(logits, axis=-1) == labels[rows])


# --- The ways to train.


def dense(seed):
    keras.utils.set_random_seed(seed)
    model = mlp(lambda i, *each: keras.layers.Dense(*each))
    return fit(model, keras.optimizers.Adam(1e-3), seed)


def sparse(seed, optimizer, **kwargs):
    keras.utils.set_random_seed(seed)
    sizes = (64, *UNITS)

    def make_layer(i, units, activation):
        share = WEIGHTS[i] / (sizes[i] * units)
        return layers.SparseDense(
            units,
            WEIGHTS[i],
            activation=activation,
            # Few weights a unit start larger, for outputs as large.
            kernel_initializer=keras.initializers.VarianceScaling(
                1 / share, "fan_avg", "uniform", seed=10 * seed + i
            ),
            seed=10 * seed + i,
            **kwargs,
        )

    return fit(mlp(make_layer), optimizer, seed)


def fixed(seed):
    return sparse(seed, keras.optimizers.Adam(1e-2))


def deep_r(seed, grow="random", **kwargs):
    steps = EPOCHS * len(train) // BATCH
    optimizer = DeepR(
        keras.optimizers.Adam(1e-2),  # of the biases
        keras.optimizers.schedules.CosineDecay(1e-2, steps, 0.01),
        l1=0.1,
        grow=grow,
        seed=seed,
    )
    return sparse(seed, optimizer, **kwargs)


def by_gradient(seed):
    return deep_r(seed, "gradient", dormant_gradients=True)


class Keep(keras.constraints.Constraint):
    """Keeps the weights of a kernel that a mask has, the others at 0."""

    def __init__(self, mask):
        self.mask = mask

    def __call__(self, w):
        return w * self.mask


def pruned(seed):
    """Trains a dense network, keeps its largest weights, trains these."""
    model = dense(seed)
    for layer, count in zip(model.layers, WEIGHTS, strict=True):
        size = np.abs(layer.kernel.numpy())
        mask = size >= np.sort(size, axis=None)[-count]
        layer.kernel.constraint = Keep(mask.astype("float32"))
        layer.kernel.assign(layer.kernel * mask)
    return fit(model, keras.optimizers.Adam(1e-3), seed)


METHODS = {
    "dense": dense,
    "magnitude pruning, trained again": pruned,
    "sparse, fixed": fixed,
    'sparse, `DeepR(grow="random")`': deep_r,
    'sparse, `DeepR(grow="gradient")`': by_gradient,
}


def interval(values):
    """Returns the mean and half its 95 % interval over seeds."""
    return np.mean(values), stats.mean_half_width(values)


def main():
    print("| network | weights | accuracy, % | processor time, s | moved |")
    print("|---|---|---|---|---|")
    points = []
    for name, method in METHODS.items():
        found, seconds, moved = [], [], []
        for seed in SEEDS:
            start = time.process_time()
            model = method(seed)
            seconds.append(time.process_time() - start)
            count = sum(np.count_nonzero(x.kernel) for x in model.layers)
            found.append(100 * accuracy(model, EVALUATED))
            moved.append(int(getattr(model.optimizer, "rewired", 0)))
        mean, half = interval(found)
        print(
            f"| {name} | {count:,} | {mean:.1f} ± {half:.1f} "
            f"| {np.mean(seconds):.1f} | {np.mean(moved):,.0f} |"
        )
        label = f"{name.replace('`', '')}: {count:,} weights"
        ends = (mean + half * sign for sign in (0, -1, 1))
        points.append((label, *(each / 100 for each in ends)))
    fig = plots.points_with_ranges(
        points,
        "accuracy [%]",
        "Sparse networks from the start, beside dense and pruned ones",
        f"Points: means over n = {len(SEEDS)} seeds; lines: 95 % intervals.",
    )
    plots.save(fig, "docs/images/sparse_training.png", dpi=130, pdf=False)


if __name__ == "__main__":
    main()
