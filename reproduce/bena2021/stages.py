"""Trains two-module networks and measures them: stages of the binary.

The functions take the `Config` of `reproduce.structural_modularity`.
"""

import functools
import itertools
from typing import NamedTuple

import keras
import tensorflow as tf

from modularity_tf.masking import scored_model
from modularity_tf.structure import deep_r
from reproduce.bena2021 import measures, modular_rnn, parity_mnist, schedules
from reproduce.data import images
from reproduce.harness import config as harness_config
from reproduce.harness import training

_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Setting(NamedTuple):
    """Which repeat: the task's modulus, links each way, the seed."""

    demand: int
    links: int
    seed: int

    @property
    def folder(self):
        return f"demand{self.demand}/links{self.links}/seed{self.seed}"


class Kind(NamedTuple):
    """Which network of a repeat: its architecture, and how links train.

    Attributes:
        bottleneck: Bool, architecture (b) of the paper rather than (a).
        rewire: Bool. `False` keeps the links where they are.
        walk: Bool. `False` leaves the links' random walk out.
    """

    bottleneck: bool = False
    rewire: bool = True
    walk: bool = True


PLAIN = Kind()
BOTTLENECK = Kind(bottleneck=True)
CONTROLS = {"no_rewiring": Kind(rewire=False), "no_walk": Kind(walk=False)}


def settings(config):
    """Returns the repeats of a run, the sparsest of each demand first."""
    return [
        Setting(*which)
        for which in itertools.product(
            config.demands, sorted(config.links), config.seeds
        )
    ]


def has_controls(config, setting):
    """Returns whether a repeat has the controls: sparsest, least demand."""
    sparsest = min(config.demands), min(config.links)
    return config.controls and sparsest == (setting.demand, setting.links)


def plan(run):
    """Plans all networks, masks and measurements; returns the records."""
    return [plan_setting(run, setting) for setting in settings(run.config)]


def plan_setting(run, setting):
    """Plans the stages of one repeat; returns the record to be."""
    config = run.config
    data = images.load_once(config.dataset)
    plan = _Plan(run, setting)
    plain = plan.network("plain/network", PLAIN)
    bottleneck = plan.network("bottleneck/network", BOTTLENECK)
    record = {
        "data": data.title,
        "data_sha256": data.sha256,
        "chance": 1 / len(data.class_names),
        "p": setting.links / config.units**2,
        **setting._asdict(),
        "plain": plan.stage(
            "plain", measure_plain, setting, plain, plan.masks("plain", plain)
        ),
        "bottleneck": plan.stage(
            "bottleneck", measure_bottleneck, setting, bottleneck
        ),
    }
    if has_controls(config, setting):
        blank = {
            name: plan.stage(
                f"controls/untrained/{name}", untrained_network, setting, kind
            )
            for name, kind in (("plain", PLAIN), ("bottleneck", BOTTLENECK))
        }
        masks = plan.masks("controls/untrained", blank["plain"])
        changed = {
            name: plan.network(f"controls/{name}", kind)
            for name, kind in CONTROLS.items()
        }
        record["controls"] = plan.stage(
            "controls", measure_controls, setting, blank, masks, changed
        )
    return record


class _Plan:
    """Plans stages of one repeat, in its folder."""

    def __init__(self, run, setting):
        self._run, self._setting = run, setting

    def stage(self, name, function, *needs, **kwargs):
        return self._run.stage(
            f"{self._setting.folder}/{name}",
            function,
            *needs,
            seed=self._setting.seed,
            **kwargs,
        )

    def network(self, name, kind):
        steps = steps_of(self._run.config, kind)
        return self.stage(
            name,
            train_network,
            self._setting,
            kind,
            steps=steps,
            phase="networks",
        )

    def masks(self, folder, network):
        """Returns the stages of the masks for either digit."""
        steps = self._run.config.mask_steps
        return [
            self.stage(
                f"{folder}/mask{k}",
                train_mask,
                self._setting,
                network,
                k,
                steps=steps,
                phase="masks",
            )
            for k in measures.MODULES
        ]


def steps_of(config, kind):
    """Returns the steps that a network trains for."""
    return config.bottleneck_steps if kind.bottleneck else config.network_steps


class Task(NamedTuple):
    """The pairs of one demand and repeat.

    Attributes:
        train: `Pairs` to train networks on.
        masks: `Pairs` of training images to train masks on.
        fit: `Pairs` of training images to fit readouts on.
        test: `Pairs` of test images, to score and to measure on.
    """

    train: parity_mnist.Pairs
    masks: parity_mnist.Pairs
    fit: parity_mnist.Pairs
    test: parity_mnist.Pairs


@functools.lru_cache(maxsize=1)  # several stages in turn have the same
def draw_task(config, demand, seed):
    """Returns the `Task` of a demand and repeat."""
    data = images.load_once(config.dataset)
    steps = max(config.network_steps, config.bottleneck_steps)
    counts = {
        "train": steps * config.batch_size,
        "masks": config.mask_steps * config.batch_size,
        "fit": config.fit_pairs,
        "test": config.test_pairs,
    }
    return Task(
        **{
            part: parity_mnist.draw(
                data.test if part == "test" else data.train,
                count,
                harness_config.derive_seed(seed, "pairs", part),
                demand,
            )
            for part, count in counts.items()
        }
    )


def task_of(stage, setting):
    """Returns the `Task` of a stage."""
    return draw_task(stage.config, setting.demand, setting.seed)


def untrained(config, setting, kind=PLAIN):
    """Returns a network before training, not compiled."""
    data = images.load_once(config.dataset)
    return modular_rnn.build(
        data.train.images.shape[1:],
        setting.links,
        len(data.class_names),
        config.units,
        bottleneck=config.bottleneck if kind.bottleneck else None,
        seed=harness_config.derive_seed(setting.seed, "network"),
    )


def compiled(config, setting, kind=PLAIN):
    """Returns a compiled network before training."""
    network = untrained(config, setting, kind)
    fraction = setting.links / config.units**2
    rate = keras.optimizers.schedules.CosineDecay(
        config.network_lr, steps_of(config, kind), config.lr_end
    )
    network.compile(
        deep_r.DeepR(
            keras.optimizers.Adam(rate),
            schedules.learning_rate(
                fraction, 1 / config.units**2, *config.link_lrs
            ),
            schedules.walk_noise(
                fraction, config.link_noise if kind.walk else 0.0
            ),
            l1=config.link_l1,
            gentle_wake=config.link_gentle_wake,
            rewire=kind.rewire,
            seed=harness_config.derive_seed(setting.seed, "links"),
        ),
        _LOSS,
        metrics=["accuracy"],
        steps_per_execution=_steps_a_call(config),
        jit_compile=config.jit_compile,
    )
    return network


def untrained_network(stage, setting, kind):
    """Returns a network as it is before training."""
    return untrained(stage.config, setting, kind)


def train_network(stage, setting, kind):
    """Returns a trained network."""
    config = stage.config
    return stage.fit(
        compiled(config, setting, kind),
        functools.partial(
            parity_mnist.batches,
            task_of(stage, setting).train,
            config.batch_size,
            None,
        ),
        steps_of(config, kind),
        config.log_steps,
        callbacks=[LinkSummary(stage.log_dir / "links")],
    )


class LinkSummary(keras.callbacks.Callback):
    """Writes to TensorBoard after every epoch what has become of the links.

    Scalars `links_alive` and `links_rewired`, those that moved to another
    place in that epoch.
    """

    def __init__(self, log_dir):
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(log_dir))

    def on_epoch_begin(self, epoch, logs=None):
        self._before = int(self.model.optimizer.rewired)

    def on_epoch_end(self, epoch, logs=None):
        optimizer = self.model.optimizer
        with self._writer.as_default(step=int(optimizer.iterations)):
            tf.summary.scalar("links_alive", measures.alive(self.model))
            rewired = int(optimizer.rewired) - self._before
            tf.summary.scalar("links_rewired", rewired)

    def on_train_end(self, logs=None):
        self._writer.close()


@training.keep_last
def scored(config, network):
    """Returns the compiled model whose scores choose weights of a network."""
    model = scored_model.ScoredModel(
        network, config.mask_share, measures.candidates(network)[0]
    )
    model.compile(
        keras.optimizers.SGD(config.mask_lr, config.mask_momentum),
        _LOSS,
        metrics=["accuracy"],
        steps_per_execution=_steps_a_call(config),
        jit_compile=config.jit_compile,
    )
    return model


def _steps_a_call(config):
    # Between two calls Keras takes a fifth of a step's time. An epoch must be a
    # whole number of calls, and few steps do not pay for the longer tracing.
    steps = max(n for n in range(1, 33) if config.log_steps % n == 0)
    return steps if steps >= 16 else 1


def train_mask(stage, setting, network, digit):
    """Returns the mask of the weights that tell one digit, and how well."""
    config, task = stage.config, task_of(stage, setting)
    # One model for both digits: its training step is traced once.
    model = scored(config, network)
    model.reset(stage.derive_seed("scores", digit))
    stage.fit(
        model,
        functools.partial(
            parity_mnist.batches, task.masks, config.batch_size, digit
        ),
        config.mask_steps,
        config.log_steps,
    )
    logits = measures.predict(model, task.test)
    return {
        "mask": model.weight_mask(f"digit {digit}"),
        "accuracy": measures.accuracy(logits, task.test.labels(digit)),
    }


def measure_plain(stage, setting, network, masks):
    """Returns the record of architecture (a): masks and correlations."""
    config, task = stage.config, task_of(stage, setting)
    found = measures.responses(network, task.test)
    epochs = config.network_steps / min(config.log_steps, config.network_steps)
    return {
        "accuracy": measures.accuracy(found["decision"], task.test.targets),
        "rewired_per_epoch": int(network.optimizer.rewired) / epochs,
        **measures.structure(network),
        **measures.state_measures(found, task, stage.derive_seed("partners")),
        **measures.mask_measures(network, masks),
    }


def measure_bottleneck(stage, setting, network):
    """Returns the record of architecture (b): retrained readouts."""
    task = task_of(stage, setting)
    fit, test = (
        measures.responses(network, part) for part in (task.fit, task.test)
    )
    return {
        "accuracy": measures.accuracy(test["decision"], task.test.targets),
        "bottleneck": measures.bottleneck_measure(fit, test, task),
    }


def measure_controls(stage, setting, blank, masks, changed):
    """Returns the record of the controls.

    Args:
        stage: `Stage`.
        setting: `Setting`.
        blank: Dict, untrained networks "plain" and "bottleneck".
        masks: What `train_mask` returned for the first of these.
        changed: Dict, networks that trained as in `CONTROLS`.
    """
    task = task_of(stage, setting)
    seed = stage.derive_seed("partners")
    (fit, test), narrow = (
        [measures.responses(network, part) for part in (task.fit, task.test)]
        for network in (blank["plain"], blank["bottleneck"])
    )
    record = {
        "untrained": {
            "readout": [
                measures.readout_accuracy(fit, test, task, "states", n, n)
                for n in measures.MODULES
            ],
            "bottleneck": measures.bottleneck_measure(*narrow, task),
            **measures.state_measures(test, task, seed),
            **measures.mask_measures(blank["plain"], masks),
        }
    }
    for name, network in changed.items():
        found = measures.responses(network, task.test)
        record[name] = {
            "accuracy": measures.accuracy(found["decision"], task.test.targets),
            **measures.state_measures(found, task, seed),
        }
    return record


def phases(config):
    """Returns what the estimate times: training networks, training masks."""
    data, setting = images.load_once(config.dataset), settings(config)[0]

    def batches(start, stop):
        count = stop * config.batch_size
        pairs = parity_mnist.draw(data.train, count, 0, setting.demand)
        return parity_mnist.batches(pairs, config.batch_size, None, start, stop)

    network = compiled(config, setting)
    return {
        "networks": training.phase(network, batches),
        "masks": training.phase(scored(config, network), batches),
    }
