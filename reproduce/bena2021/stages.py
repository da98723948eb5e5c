"""Trains two-module networks and measures them: stages of the binary."""

from typing import Any

import keras
import tensorflow as tf

from reproduce.bena2021 import arms, measures, parity_mnist
from reproduce.bena2021.subject import (
    BOTTLENECK,
    PLAIN,
    Config,
    Kind,
    Mask,
    Subject,
    subjects,
)
from reproduce.running import training
from reproduce.running.run import Run
from reproduce.running.stage import Stage

Trained = dict[str, Any]  # a network, and what has become of its links


def plan(run: Run) -> list[dict]:
    """Plans all networks, masks and measurements; returns the records."""
    return [plan_subject(run, subject) for subject in subjects(run.config)]


def plan_subject(run: Run, subject: Subject) -> dict[str, Any]:
    """Plans the stages of one repeat; returns the record to be."""
    config, data = subject.config, subject.data
    plan = _Plan(run, subject)
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
        "p": subject.fraction,
        "demand": subject.demand,
        "links": subject.links,
        "seed": subject.seed,
        "plain": plan.stage("plain", measure_plain, plain, masks),
        "bottleneck": plan.stage("bottleneck", measure_bottleneck, bottleneck),
    }
    if subject.has_controls:
        changed = {
            name: plan.network(f"controls/{name}", Kind(control=name))
            for name in arms.CONTROLS
        }
        record["controls"] = plan.stage("controls", measure_controls, changed)
    if config.controls and subject.is_sparsest:
        record["untrained"] = plan.untrained()
        record["shares"] = plan.shares(plain)
    return record


class _Plan:
    """Plans stages of one repeat, in its folder."""

    def __init__(self, run, subject):
        self._run, self._subject = run, subject

    def stage(self, name, function, *needs, **kwargs):
        return self._run.stage(
            f"{self._subject.folder}/{name}",
            function,
            self._subject,
            *needs,
            seed=self._subject.seed,
            **kwargs,
        )

    def network(self, name, kind):
        steps = self._subject.steps(kind)
        return self.stage(
            name, train_network, kind, steps=steps, phase="networks"
        )

    def masks(self, folder, network, share=None, links=True):
        """Returns the masks' stages: for each repeat, for either digit."""
        config = self._subject.config
        repeats = config.mask_repeats if share is None else 1
        return [
            [
                self.stage(
                    f"{folder}/mask{k}" + (f"_{repeat}" if repeat else ""),
                    train_mask,
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
            name: self.stage(f"untrained/{name}", untrained_network, kind)
            for name, kind in (("plain", PLAIN), ("bottleneck", BOTTLENECK))
        }
        masks = self.masks("untrained", blank["plain"])
        return self.stage("untrained", measure_untrained, blank, masks)

    def shares(self, network):
        """Returns the stage that measures masks of several sizes."""
        masks = [
            self.masks(f"shares/{share:g}", network, share)
            for share in self._subject.config.mask_shares
        ]
        return self.stage("shares", measure_shares, network, masks)


def untrained_network(stage: Stage, subject: Subject, kind: Kind) -> Trained:
    """Returns a network as it is before training, as `train_network` does."""
    return {"network": subject.network(kind)}


def train_network(stage: Stage, subject: Subject, kind: Kind) -> Trained:
    """Returns a trained network, and what has become of its links."""
    task = subject.task
    callbacks = [LinkSummary(stage.log_dir / "links")]
    if task.stop is not None:
        callbacks.append(StopAt(subject.arm().stop_at, task.stop))
    network = stage.fit(
        subject.compiled(kind),
        subject.batches(task.train),
        subject.steps(kind),
        subject.config.log_steps,
        callbacks=callbacks,
    )
    trained = subject.network(kind)  # without what training adds
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


def train_mask(
    stage: Stage, subject: Subject, trained: Trained, which: Mask
) -> dict[str, Any]:
    """Returns the mask of the weights that tell one digit, and how well.

    Args:
        stage: `Stage`.
        subject: `Subject`.
        trained: What `train_network` returned.
        which: `Mask`.
    """
    config, task = subject.config, subject.task
    purpose = [which.digit] + [which.repeat] * bool(which.repeat)
    model = subject.scored(
        trained["network"], which, stage.derive_seed("scores", *purpose)
    )
    stage.fit(
        model,
        subject.batches(task.masks, which.digit),
        config.mask_steps,
        config.log_steps,
    )
    logits = measures.predict(model, task.test)
    return {
        "mask": model.weight_mask(f"digit {which.digit}"),
        "accuracy": measures.accuracy(logits, task.test.labels(which.digit)),
    }


def measure_plain(
    stage: Stage, subject: Subject, trained: Trained, masks: dict[str, list]
) -> dict[str, Any]:
    """Returns the record of architecture (a): masks and correlations.

    Args:
        stage: `Stage`.
        subject: `Subject`.
        trained: What `train_network` returned.
        masks: Dict: "masks" and, with links always on, "open", each a list of
            repeats of what `train_mask` returned for either digit.
    """
    task, network = subject.task, trained["network"]
    fit, test = _responses(network, task)
    record = {
        **_whole(stage, network, fit, test, subject),
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


def measure_bottleneck(
    stage: Stage, subject: Subject, trained: Trained
) -> dict[str, Any]:
    """Returns the record of architecture (b): retrained readouts."""
    task, network = subject.task, trained["network"]
    fit, test = _responses(network, task)
    return {
        **_whole(stage, network, fit, test, subject),
        **measures.bottleneck_measures(fit, test, task),
    }


def measure_untrained(
    stage: Stage, subject: Subject, blank: dict[str, Trained], masks: list
) -> dict[str, Any]:
    """Returns the record of networks that have not been trained.

    Args:
        stage: `Stage`.
        subject: `Subject`.
        blank: Dict, "plain" and "bottleneck", what `untrained_network`
            returned.
        masks: List of repeats of what `train_mask` returned for the first.
    """
    task = subject.task
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


def measure_controls(
    stage: Stage, subject: Subject, changed: dict[str, Trained]
) -> dict[str, Any]:
    """Returns the record of networks whose links train in other ways.

    Args:
        stage: `Stage`.
        subject: `Subject`.
        changed: Dict from a name in `arms.CONTROLS` to what `train_network`
            returned.
    """
    task, record = subject.task, {}
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


def measure_shares(
    stage: Stage, subject: Subject, trained: Trained, masks: list
) -> list[dict]:
    """Returns what masks of several sizes come to, a list of records.

    Args:
        stage: `Stage`.
        subject: `Subject`.
        trained: What `train_network` returned.
        masks: List, for each of `--mask_shares` what `_Plan.masks` planned.
    """
    return [
        {"share": share, **measures.mask_measures(trained["network"], found)}
        for share, found in zip(subject.config.mask_shares, masks, strict=True)
    ]


def _responses(network, task):
    """Returns what a network makes of the pairs to fit and to test on."""
    return [measures.responses(network, part) for part in (task.fit, task.test)]


def _whole(stage, network, fit, test, subject):
    """Returns how good a network is, who answers and who is told."""
    task = subject.task
    seed = stage.derive_seed("others")
    return {
        "accuracy": measures.accuracy(test["decision"], task.test.targets),
        "answered": measures.answered(
            [test[f"readout{n}"] for n in measures.MODULES]
        ),
        "misled": measures.accuracy_if_misled(network, task.test, seed),
        "message": measures.message_accuracy(fit, test, task, subject.demand),
    }


def phases(config: Config) -> dict[str, training.Phase]:
    """Returns what the estimate times: training networks, training masks."""
    subject = subjects(config)[0]

    def batches(start, stop):
        count = stop * config.batch_size
        pairs = parity_mnist.draw(subject.data.train, count, 0, subject.demand)
        return subject.batches(pairs)(start, stop)

    network = subject.compiled()
    mask = Mask(config.mask_share, links=True, digit=0, repeat=0)
    return {
        "networks": training.phase(network, batches),
        "masks": training.phase(subject.scored(network, mask, seed=0), batches),
    }
