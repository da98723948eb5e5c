"""Trains two-module networks and measures them: stages of the binary.

The functions take the `Config` of `reproduce.structural_modularity`.
"""

import functools
import itertools
from typing import NamedTuple

import keras
import tensorflow as tf

from modularity_tf.masking import frozen_model, scored_model
from modularity_tf.structure import deep_r
from reproduce.bena2021 import (
    arms,
    measures,
    modular_rnn,
    parity_mnist,
    schedules,
)
from reproduce.data import images
from reproduce.running import configuration, training

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
    """Which network of a repeat: its architecture, and what is changed.

    Attributes:
        bottleneck: Bool, architecture (b) of the paper rather than (a).
        control: Str, one of `arms.CONTROLS`, or "".
    """

    bottleneck: bool = False
    control: str = ""


PLAIN = Kind()
BOTTLENECK = Kind(bottleneck=True)
_HELD_OUT = 12  # of so many training images one is, to stop on
_STOP_PAIRS = 5000
_ADADELTA = {"learning_rate": 0.5, "rho": 0.9, "epsilon": 1e-6}
_RELATIVE = 1e-4  # the earliest code's walk and L1, as parts of the links' rate


def settings(config):
    """Returns the repeats of a run, the sparsest of each demand first."""
    return [
        Setting(*which)
        for which in itertools.product(
            config.demands, sorted(config.links), config.seeds
        )
    ]


def is_sparsest(config, setting):
    """Returns whether a repeat has the fewest links, and the least demand."""
    sparsest = min(config.demands), min(config.links)
    return sparsest == (setting.demand, setting.links)


def has_controls(config, setting):
    """Returns whether networks whose links train in other ways go with it."""
    if not config.controls or setting.demand != min(config.demands):
        return False
    return setting.links in {min(config.links), *config.control_links}


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
    masks = {"masks": plan.masks("plain", plain)}
    if config.mask_open_links:
        masks["open"] = plan.masks("plain/open", plain, links=False)
    record = {
        "data": data.title,
        "data_sha256": data.sha256,
        "chance": 1 / len(data.class_names),
        "arm": config.arm,
        "p": setting.links / config.units**2,
        **setting._asdict(),
        "plain": plan.stage("plain", measure_plain, setting, plain, masks),
        "bottleneck": plan.stage(
            "bottleneck", measure_bottleneck, setting, bottleneck
        ),
    }
    if has_controls(config, setting):
        changed = {
            name: plan.network(f"controls/{name}", Kind(control=name))
            for name in arms.CONTROLS
        }
        record["controls"] = plan.stage(
            "controls", measure_controls, setting, changed
        )
    if config.controls and is_sparsest(config, setting):
        record["untrained"] = plan.untrained()
        record["shares"] = plan.shares(plain)
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

    def masks(self, folder, network, share=None, links=True):
        """Returns the masks' stages: for each repeat, for either digit."""
        config = self._run.config
        repeats = config.mask_repeats if share is None else 1
        return [
            [
                self.stage(
                    f"{folder}/mask{k}" + (f"_{repeat}" if repeat else ""),
                    train_mask,
                    self._setting,
                    network,
                    Mask(share or config.mask_share, links, k, repeat),
                    steps=config.mask_steps,
                    phase="masks",
                )
                for k in measures.MODULES
            ]
            for repeat in range(repeats)
        ]

    def untrained(self):
        """Returns the stage that measures the networks before training."""
        blank = {
            name: self.stage(
                f"untrained/{name}", untrained_network, self._setting, kind
            )
            for name, kind in (("plain", PLAIN), ("bottleneck", BOTTLENECK))
        }
        masks = self.masks("untrained", blank["plain"])
        return self.stage(
            "untrained", measure_untrained, self._setting, blank, masks
        )

    def shares(self, network):
        """Returns the stage that measures masks of several sizes."""
        masks = [
            self.masks(f"shares/{share:g}", network, share)
            for share in self._run.config.mask_shares
        ]
        return self.stage("shares", measure_shares, network, masks)


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
        stop: `Pairs` of training images that networks do not train on, to
            stop on; `None` where they do not stop.
    """

    train: parity_mnist.Pairs
    masks: parity_mnist.Pairs
    fit: parity_mnist.Pairs
    test: parity_mnist.Pairs
    stop: parity_mnist.Pairs | None


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
    splits = dict.fromkeys(counts, data.train) | {"test": data.test}
    if arms.arm_of(config).stop_at is not None:
        counts["stop"] = _STOP_PAIRS
        splits["train"], splits["stop"] = _held_out(data.train)
    found = {
        part: parity_mnist.draw(
            splits[part],
            count,
            configuration.derive_seed(seed, "pairs", part),
            demand,
            arms.arm_of(config).text_target,
        )
        for part, count in counts.items()
    }
    return Task(**{"stop": None, **found})


def _held_out(split):
    """Returns the images of a split to train on, and those to stop on."""
    count = len(split.labels) // _HELD_OUT
    return [
        images.Split(split.images[part], split.labels[part])
        for part in (slice(count, None), slice(count))
    ]


def task_of(stage, setting):
    """Returns the `Task` of a stage."""
    return draw_task(stage.config, setting.demand, setting.seed)


def untrained(config, setting, kind=PLAIN):
    """Returns a network before training, not compiled."""
    data, arm = images.load_once(config.dataset), arms.arm_of(config)
    return modular_rnn.build(
        data.train.images.shape[1:],
        setting.links,
        len(data.class_names),
        config.units,
        bottleneck=config.bottleneck if kind.bottleneck else None,
        standardize=arm.standardize,
        links_into=arm.links_into,
        train_readouts=arm.train_readouts,
        seed=configuration.derive_seed(setting.seed, "network"),
    )


@functools.lru_cache(maxsize=8)
def _compiled(config, links, kind):
    # Tracing takes as long as a seventh of the training, with XLA a third: once
    # for all repeats with as many links.
    network = untrained(config, Setting(2, links, 0), kind)
    network.compile(
        optimizer_of(config, links, kind),
        _LOSS,
        metrics=["accuracy"],
        steps_per_execution=_steps_a_call(config),
        jit_compile=config.jit_compile,
    )
    network.optimizer.build(network.trainable_variables)
    return network


def optimizer_of(config, links, kind=PLAIN):
    """Returns the optimizer of a network."""
    arm, fraction = arms.arm_of(config, kind.control), links / config.units**2
    link_rate = schedules.learning_rate(
        fraction, 1 / config.units**2, *config.link_lrs
    )
    walk, l1 = config.link_noise, config.link_l1
    if arm.relative_walk:
        walk, l1 = _RELATIVE * link_rate, _RELATIVE
    rate = keras.optimizers.schedules.CosineDecay(
        config.network_lr, steps_of(config, kind), config.lr_end
    )
    if arm.decays:
        rate, link_rate = (
            keras.optimizers.schedules.ExponentialDecay(
                start, config.log_steps, decay, staircase=True
            )
            for start, decay in zip(
                (config.network_lr, link_rate), arm.decays, strict=True
            )
        )
    modules = keras.optimizers.Adam(rate)
    if arm.adadelta:
        modules = keras.optimizers.Adadelta(**_ADADELTA)
    return deep_r.DeepR(
        modules,
        link_rate,
        schedules.walk_noise(fraction, walk if arm.walk else 0.0),
        l1=l1,
        gentle_wake=arm.gentle_wake,
        rewire=arm.rewire,
        seed=0,
    )


def compiled(config, setting, kind=PLAIN):
    """Returns a compiled network before training.

    The next repeat gets the same one, with other weights.
    """
    network = _compiled(config, setting.links, kind)
    network.set_weights(untrained(config, setting, kind).get_weights())
    optimizer = network.optimizer
    frozen_model.reset_optimizer(optimizer, network.trainable_variables)
    optimizer.seed_value.assign(
        configuration.derive_seed(setting.seed, "links")
    )
    return network


def untrained_network(stage, setting, kind):
    """Returns a network as it is before training, as `train_network` does."""
    return {"network": untrained(stage.config, setting, kind)}


def train_network(stage, setting, kind):
    """Returns a trained network, and what has become of its links."""
    config, task = stage.config, task_of(stage, setting)
    callbacks = [LinkSummary(stage.log_dir / "links")]
    if task.stop is not None:
        callbacks.append(StopAt(arms.arm_of(config).stop_at, task.stop))
    network = stage.fit(
        compiled(config, setting, kind),
        functools.partial(
            parity_mnist.batches, task.train, config.batch_size, None
        ),
        steps_of(config, kind),
        config.log_steps,
        callbacks=callbacks,
    )
    trained = untrained(config, setting, kind)
    trained.set_weights(network.get_weights())
    return {"network": trained, "links": measures.links_kept(network)}


class StopAt(keras.callbacks.Callback):
    """Stops training after the epoch in which an accuracy is reached.

    Args:
        accuracy: Float.
        pairs: `Pairs` of images that the network does not train on.
    """

    def __init__(self, accuracy, pairs):
        super().__init__()
        self._accuracy, self._pairs = accuracy, pairs

    def on_epoch_end(self, epoch, logs=None):
        logits = measures.predict(self.model, self._pairs)
        reached = measures.accuracy(logits, self._pairs.targets)
        self.model.stop_training = reached >= self._accuracy


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


class Mask(NamedTuple):
    """Which mask of a network.

    Attributes:
        share: Float, the share of the weights that it keeps, q.
        links: Bool. `False` leaves links out of the competition, always on.
        digit: 0 or 1, the task.
        repeat: Int, another start of the scores.
    """

    share: float
    links: bool
    digit: int
    repeat: int


@training.keep_last
def scored(config, network, share, links):
    """Returns the compiled model whose scores choose weights of a network."""
    model = scored_model.ScoredModel(
        network, share, measures.candidates(network, links)[0]
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


def train_mask(stage, setting, trained, which):
    """Returns the mask of the weights that tell one digit, and how well.

    Args:
        stage: `Stage`.
        setting: `Setting`.
        trained: What `train_network` returned.
        which: `Mask`.
    """
    config, task = stage.config, task_of(stage, setting)
    # One model for both digits: its training step is traced once.
    model = scored(config, trained["network"], which.share, which.links)
    purpose = [which.digit] + [which.repeat] * bool(which.repeat)
    model.reset(stage.derive_seed("scores", *purpose))
    stage.fit(
        model,
        functools.partial(
            parity_mnist.batches, task.masks, config.batch_size, which.digit
        ),
        config.mask_steps,
        config.log_steps,
    )
    logits = measures.predict(model, task.test)
    return {
        "mask": model.weight_mask(f"digit {which.digit}"),
        "accuracy": measures.accuracy(logits, task.test.labels(which.digit)),
    }


def measure_plain(stage, setting, trained, masks):
    """Returns the record of architecture (a): masks and correlations.

    Args:
        stage: `Stage`.
        setting: `Setting`.
        trained: What `train_network` returned.
        masks: Dict: "masks" and, with links always on, "open", each a list of
            repeats of what `train_mask` returned for either digit.
    """
    task, network = task_of(stage, setting), trained["network"]
    fit, test = _responses(network, task)
    record = {
        **_whole(stage, network, fit, test, task, setting),
        **trained["links"],
        **measures.structure(network),
        **measures.state_measures(test, task, stage.derive_seed("partners")),
        **measures.mask_measures(network, masks["masks"]),
        "permuted": {
            "mask": measures.permuted_masks(
                masks["masks"][0], stage.derive_seed("halves")
            ),
            "correlation": measures.permuted_states(
                test, task, stage.derive_seed("halves")
            ),
        },
    }
    if "open" in masks:
        record["open"] = measures.mask_measures(network, masks["open"])
    return record


def measure_bottleneck(stage, setting, trained):
    """Returns the record of architecture (b): retrained readouts."""
    task, network = task_of(stage, setting), trained["network"]
    fit, test = _responses(network, task)
    return {
        **_whole(stage, network, fit, test, task, setting),
        **measures.bottleneck_measures(fit, test, task),
    }


def measure_untrained(stage, setting, blank, masks):
    """Returns the record of networks that have not been trained.

    Args:
        stage: `Stage`.
        setting: `Setting`.
        blank: Dict, "plain" and "bottleneck", what `untrained_network`
            returned.
        masks: List of repeats of what `train_mask` returned for the first.
    """
    task = task_of(stage, setting)
    (fit, test), narrow = (
        _responses(blank[name]["network"], task)
        for name in ("plain", "bottleneck")
    )
    return {
        "readout": [
            measures.readout_accuracy(fit, test, task, "states", n, n)
            for n in measures.MODULES
        ],
        **measures.bottleneck_measures(*narrow, task),
        **measures.state_measures(test, task, stage.derive_seed("partners")),
        **measures.mask_measures(blank["plain"]["network"], masks),
    }


def measure_controls(stage, setting, changed):
    """Returns the record of networks whose links train in other ways.

    Args:
        stage: `Stage`.
        setting: `Setting`.
        changed: Dict from a name in `arms.CONTROLS` to what `train_network`
            returned.
    """
    task, record = task_of(stage, setting), {}
    for name, trained in changed.items():
        found = measures.responses(trained["network"], task.test)
        record[name] = {
            "accuracy": measures.accuracy(found["decision"], task.test.targets),
            **trained["links"],
            **measures.state_measures(
                found, task, stage.derive_seed("partners")
            ),
        }
    return record


def measure_shares(stage, trained, masks):
    """Returns what masks of several sizes come to, a list of records.

    Args:
        stage: `Stage`.
        trained: What `train_network` returned.
        masks: List, for each of `--mask_shares` what `_Plan.masks` planned.
    """
    return [
        {"share": share, **measures.mask_measures(trained["network"], found)}
        for share, found in zip(stage.config.mask_shares, masks, strict=True)
    ]


def _responses(network, task):
    """Returns what a network makes of the pairs to fit and to test on."""
    return [measures.responses(network, part) for part in (task.fit, task.test)]


def _whole(stage, network, fit, test, task, setting):
    """Returns how good a network is, who answers and who is told."""
    seed = stage.derive_seed("others")
    return {
        "accuracy": measures.accuracy(test["decision"], task.test.targets),
        "answered": measures.answered(
            [test[f"readout{n}"] for n in measures.MODULES]
        ),
        "misled": measures.accuracy_if_misled(network, task.test, seed),
        "message": measures.message_accuracy(fit, test, task, setting.demand),
    }


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
        "masks": training.phase(
            scored(config, network, config.mask_share, True), batches
        ),
    }
