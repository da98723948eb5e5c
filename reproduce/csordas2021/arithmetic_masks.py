"""What the arithmetic experiments share: networks, masks, and their scores."""

import dataclasses
import functools

import keras
import numpy as np
from keras import ops

from modularity_tf import plots
from modularity_tf.parts import overlap
from reproduce.csordas2021 import (
    arithmetic_data,
    arithmetic_networks,
    mask_stages,
)
from reproduce.harness import claim, experiment

FULL = "full"  # the mask of all tasks: the control


@dataclasses.dataclass(frozen=True)
class Config(mask_stages.Config):
    """Every field is a flag; the defaults are the paper's values."""

    network: str = experiment.field("fnn", "fnn or lstm.")
    digits: int = experiment.field(2, "Decimal digits of a number.")
    sizes: tuple[int, ...] = experiment.field(
        arithmetic_networks.SIZES["big"], "Units of the FNN's hidden layers."
    )
    hidden_size: int = experiment.field(256, "Units of each LSTM layer.")
    lstm_layers: int = experiment.field(2, "LSTM layers.")
    mask_lr: float = experiment.field(1e-2, "Adam step of the logits.")
    held_out_fraction: float = experiment.field(
        0.0, "Share of the operand pairs that are only tested."
    )

    def __post_init__(self):
        super().__post_init__()
        if self.network not in ("fnn", "lstm"):
            raise ValueError(
                f"--network must be fnn or lstm, got {self.network!r}."
            )
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"--sizes must be positive, got {self.sizes}.")
        arithmetic_data.operand_pairs(self.digits, self.held_out_fraction)


def operands(config, seed):
    """Returns the pairs to train on and those held out."""
    seed = experiment.derive_seed(seed, "held out")
    return arithmetic_data.operand_pairs(
        config.digits, config.held_out_fraction, seed
    )


def build(config, problem, seed):
    """Returns the compiled, untrained network for a problem."""
    inputs, labels = problem.every(problem.tasks[0])
    seed = experiment.derive_seed(seed, "network")
    num_digits = labels.shape[1]
    if config.network == "fnn":
        network = arithmetic_networks.fnn(
            inputs.shape[-1], num_digits, config.sizes, seed
        )
    else:
        network = arithmetic_networks.lstm(
            inputs.shape[-1],
            num_digits,
            inputs.shape[1] if len(inputs.shape) == 3 else None,
            config.hidden_size,
            config.lstm_layers,
            seed=seed,
        )
    return mask_stages.compile_network(config, network, **loss())


def masked(config, network):
    """Returns the compiled masked network; biases are not masked."""
    return mask_stages.compile_masked(config, network, "kernels", **loss())


def loss():
    """Returns what both `compile` calls have in common."""
    return {
        "loss": keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, ignore_class=arithmetic_data.NOT_ASKED
        ),
        "metrics": [all_digits_right],
    }


@keras.saving.register_keras_serializable(package="reproduce")
def all_digits_right(labels, logits):
    """Returns whether every digit that was asked for is right, 0 or 1."""
    labels = ops.cast(labels, "int32")
    right = ops.equal(ops.cast(ops.argmax(logits, -1), "int32"), labels)
    right = ops.logical_or(right, labels == arithmetic_data.NOT_ASKED)
    return ops.cast(ops.all(right, axis=-1), "float32")


def accuracy(model, problem, task, pairs=None):
    """Returns the share of the pairs that a model answers right."""
    inputs, labels = problem.every(task, pairs)
    asked = labels != arithmetic_data.NOT_ASKED
    right = mask_stages.predict(model, inputs) == labels
    return float(np.mean(np.all(right | ~asked, axis=-1)))


class Subject:
    """One network on one problem, and the masks over it: stages of a run.

    Args:
        run: `experiment.Run`.
        problem: `arithmetic.AddMul` or `DoubleAdd`.
        seed: Int, the repeat.
        folder: Str, where its stages lie.
        config: `Config`; by default the run's.
    """

    def __init__(self, run, problem, seed, folder, config=None):
        self.problem = problem
        self._run, self._seed, self._folder = run, seed, folder
        self.config = config or run.config
        self._masks = {}
        self.network = self._stage("network", self._train_network)
        self._masked = functools.cache(
            lambda: masked(self.config, self.network)
        )

    def mask(self, task, alpha=None, name=None):
        """Returns the trained mask of a task, or of all (`FULL`)."""
        name = name or f"mask_{task}"
        if name not in self._masks:
            self._masks[name] = self._stage(
                name,
                lambda: self._train_mask(task, f"{self._folder}/{name}", alpha),
            )
        return self._masks[name]

    def scores(self, name, model_of, tasks=None):
        """Returns the accuracy on each task, a dict; a stage."""

        def measure():
            model = model_of()
            return {
                task: accuracy(model, self.problem, task)
                for task in tasks or self.problem.tasks
            }

        return self._stage(f"scores_{name}", measure, 0)

    def find_alpha(self, dense):
        """Returns an `AlphaSearch` as a dict: the mask of all tasks.

        Args:
            dense: Dict from task to the network's own accuracy.
        """

        def performance(mask):
            model = mask.apply(self.network)
            tasks = self.problem.tasks
            return np.mean([accuracy(model, self.problem, t) for t in tasks])

        return self._stage(
            "alpha_search",
            lambda: mask_stages.find_alpha(
                self._run,
                lambda stage, alpha: self._train_mask(FULL, stage, alpha),
                performance,
                np.mean([*dense.values()]),
                self._folder,
            ),
            0,
        )

    def record(self, held_out=()):
        """Returns every number that the figures of both experiments show."""
        dense = self.scores("dense", lambda: self.network)
        search = self.find_alpha(dense) if self.config.find_beta else None
        alpha = search["alpha"] if search else None
        masks = {t: self.mask(t, alpha) for t in (FULL, *self.problem.tasks)}
        applied = {
            **masks,
            **{f"not {t}": ~masks[t] for t in self.problem.tasks},
        }
        accuracies = {
            name: self.scores(
                name.replace(" ", "_"), lambda m=mask: m.apply(self.network)
            )
            for name, mask in applied.items()
        }
        tasks = {task: masks[task].values for task in self.problem.tasks}
        record = {
            "seed": self._seed,
            "beta": (alpha * self.config.mask_batch_size)
            if search
            else self.config.beta,
            "alpha_search": search,
            "dense": dense,
            "accuracy": accuracies,
            "layers": [layer_name(path) for path in masks[FULL].values],
            "kept": {
                task: [int(value.sum()) for value in mask.values.values()]
                for task, mask in masks.items()
            },
            "keep_fraction": {t: m.keep_fraction for t, m in masks.items()},
            "sharing": {
                task: [
                    {
                        "share": both.share,
                        "expected": both.expected_share,
                        "jaccard": both.jaccard,
                    }
                    for both in found.values()
                ]
                for task, found in overlap.sharing_with_others(tasks).items()
            },
            "excess": dataclasses.asdict(
                overlap.overlap_of_repeats([tuple(tasks.values())])
                if self.problem.same_function
                else overlap.overlap_of_functions(tasks)
            ),
        }
        if len(held_out):
            record["held_out"] = self._stage(
                "scores_held_out",
                lambda: {
                    task: accuracy(self.network, self.problem, task, held_out)
                    for task in self.problem.tasks
                },
                0,
            )
        return record

    def _stage(self, name, function, steps=None):
        if steps is None:
            network = name == "network"
            steps = (
                self.config.network_steps if network else self.config.mask_steps
            )
        return self._run.stage(f"{self._folder}/{name}", function, steps)

    def _train_network(self):
        return mask_stages.train_network(
            self._run,
            build(self.config, self.problem, self._seed),
            functools.partial(arithmetic_data.batches, self.problem),
            self._seed,
            f"{self._folder}/network",
            validation_data=self._curve(None),
        )

    def _train_mask(self, task, stage, alpha):
        asked = None if task == FULL else task
        return mask_stages.train_mask(
            self._run,
            self._masked(),
            functools.partial(
                arithmetic_data.batches, self.problem, task=asked
            ),
            self._seed,
            stage,
            self.config.beta / self.config.mask_batch_size
            if alpha is None
            else alpha,
            validation_data=self._curve(asked),
        )

    def _curve(self, task):
        return arithmetic_data.batches(self.problem, 500, 0, 0, 2, task=task)


def layer_name(path):
    """Returns a weight's name for a figure: its layer, and if recurrent."""
    layer = path.split("/")[0]
    return f"{layer} recurrent" if "recurrent" in path else layer


def total_steps(config):
    """Returns the training steps of one repeat."""
    return config.network_steps + 3 * config.mask_steps


def phases(config, problem, repeats, masks=3):
    """Returns what `Run.estimate` times; so many masks a repeat."""
    network = build(config, problem, 0)
    batches = functools.partial(arithmetic_data.batches, problem)
    return [
        (
            "network",
            network,
            functools.partial(batches, config.batch_size, 0),
            repeats * config.network_steps,
        ),
        (
            "masks",
            masked(config, network),
            functools.partial(batches, config.mask_batch_size, 0),
            masks * repeats * config.mask_steps,
        ),
    ]


def sharing(records, task, key="share"):
    """Returns sharing of a task's mask, array `(repeats, layers + total)`."""
    return np.array(
        [[entry[key] for entry in r["sharing"][task]] for r in records]
    )


def edges_less_middle(records, tasks):
    """Returns how much more the outer layers share, one value a repeat."""
    layers = records[0]["layers"]
    edge = [
        i
        for i, name in enumerate(layers)
        if name in (layers[0], "output") and "recurrent" not in name
    ]
    middle = [i for i in range(len(layers)) if i not in edge]
    values = np.mean([sharing(records, t)[:, :-1] for t in tasks], axis=0)
    return values[:, edge].mean(axis=1) - values[:, middle].mean(axis=1)


def common_claims(records, tasks):
    """Returns the claims that both experiments rest on."""
    held_out = [r for r in records if "held_out" in r]
    return [
        *(
            [
                claim.Claim(
                    "accuracy on the pairs trained on, less on those held out",
                    "",
                    tuple(
                        np.mean(
                            [r["dense"][t] - r["held_out"][t] for t in tasks]
                        )
                        for r in held_out
                    ),
                    0.05,
                    at_least=False,
                )
            ]
            if held_out
            else []
        ),
        claim.Claim(
            "the mask of all tasks keeps the network's accuracy",
            "> 95 %",
            tuple(
                np.mean([r["accuracy"][FULL][t] for t in tasks])
                / np.mean([r["dense"][t] for t in tasks])
                for r in records
            ),
            0.95,
        ),
        claim.Claim(
            "a task's mask performs it, relative to the network (worst task)",
            "",
            tuple(
                min(
                    r["accuracy"][t][t] / max(r["dense"][t], 1e-9)
                    for t in tasks
                )
                for r in records
            ),
            0.9,
        ),
    ]


def sharing_figure(records, tasks, title, name):
    """Returns the figure of the weights shared, beside random masks."""
    figures = {}
    searches = [r["alpha_search"] for r in records if r["alpha_search"]]
    if searches:
        figures[f"alpha_search_{name}"] = plots.alpha_search(searches, title)
    fig = plots.grouped_bars(
        {task: 100 * sharing(records, task) for task in tasks},
        [*records[0]["layers"], "total"],
        "weights shared [%]",
        title,
        {task: 100 * sharing(records, task, "expected") for task in tasks},
    )
    return {**figures, f"{name}_sharing": fig}


def accuracy_figure(records, tasks, title, name):
    """Returns the figure of each task's accuracy under every mask."""
    shown = records[0]["accuracy"]
    groups = {
        task: 100
        * np.array(
            [
                [r["dense"][task], *(r["accuracy"][m][task] for m in shown)]
                for r in records
            ]
        )
        for task in tasks
    }
    labels = ["no mask", *(m.replace("not ", "\u00ac ") for m in shown)]
    fig = plots.grouped_bars(groups, labels, "accuracy [%]", title)
    return {f"{name}_accuracy": fig}


def run_repeats(config, name, problems, analyses, claims, draw):
    """Carries out an experiment: a repeat a seed, then figures and claims.

    Args:
        config: `Config`.
        name: Str, the experiment.
        problems: What `phases` times, one an analysis.
        analyses: Functions `(run, seed)` to a record of a repeat.
        claims: Function from the records to a list of `claim.Claim`.
        draw: Function from the records to a dict of figures.
    """
    repeats = len(config.seeds) * len(analyses)
    steps = repeats * total_steps(config)
    with experiment.Run(config, name, steps) as run:
        if config.stage == "figures":
            run.draw(draw)
            return
        if config.dry_run or steps > experiment.LONG_RUN_STEPS:
            run.estimate(
                [
                    phase
                    for problem in problems
                    for phase in phases(config, problem, len(config.seeds))
                ]
            )
        if config.dry_run:
            return
        records = [
            analyse(run, seed) for seed in config.seeds for analyse in analyses
        ]
        run.finish(records, claims, draw)
