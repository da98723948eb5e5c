"""What one repeat studies: its task, its networks, and how they train."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from modularity_tf.masking import scored_model
from modularity_tf.structure import deep_r
from reproduce.bena2021 import (
    arms,
    measures,
    modular_rnn,
    parity_mnist,
    schedules,
)
from reproduce.data import images
from reproduce.running import configuration
from reproduce.running.configuration import field

_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
_HELD_OUT = 12  # of so many training images one is, to stop on
_STOP_PAIRS = 5000
_ADADELTA = {"learning_rate": 0.5, "rho": 0.9, "epsilon": 1e-6}
_RELATIVE = 1e-4  # the earliest code's walk and L1, as parts of the links' rate


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag; the defaults are the paper's values.

    Steps, batches and the modules' optimizer are not: the paper's do not
    train good networks at every sparsity.
    """

    dataset: str = field(
        "mnist", "Data set of images.", one_of=("mnist", "digits")
    )
    arm: str = field(
        "ours",
        "Choice of the settings that the paper leaves open, or those of its"
        " Table 1.",
        one_of=(*arms.ARMS,),
    )
    links: tuple[int, ...] = field(
        (1, 3, 8, 22, 60, 167, 464, 1292, 3594, 10_000),
        "Numbers of links from each module to the other; all possible ones "
        "are units**2, and p is the share of them.",
        part=True,
        at_least=1,
        distinct=True,
    )
    demands: tuple[int, ...] = field(
        (2,),
        "Modulus m of the task, for which the modules must exchange log2(m)"
        " bits.",
        part=True,
        one_of=parity_mnist.MODULI,
        distinct=True,
    )
    controls: bool = field(
        True,
        "Whether to run the controls with the fewest links: untrained "
        "networks, masks of several sizes, and networks whose links train "
        "in other ways.",
        part=True,
    )
    control_links: tuple[int, ...] = field(
        (1,),
        "Numbers of links at which networks are also trained whose links "
        "train in other ways.",
        part=True,
        at_least=1,
        distinct=True,
    )
    units: int = field(100, "Hidden units of each module.", at_least=2)
    bottleneck: int = field(
        5,
        "Units of the bottleneck between a module and its readout.",
        at_least=1,
    )
    batch_size: int = field(
        256, "Pairs of images in a training step.", at_least=1
    )
    network_steps: int = field(
        2340,
        "Training steps of a network.",
        at_least=1,
        multiple_of="log_steps",
    )
    bottleneck_steps: int = field(
        3276,
        "Training steps of a network with a bottleneck, which learns later.",
        at_least=1,
        multiple_of="log_steps",
    )
    network_lr: float = field(
        3e-3, "Learning rate of Adam for the modules.", above=0
    )
    lr_end: float = field(
        0.1,
        "Share of --network_lr that is left at the end; the rate falls as a"
        " cosine.",
        above=0,
        at_most=1,
    )
    link_lrs: tuple[float, ...] = field(
        (0.1, 0.01),
        "Learning rates of Adam for the links at p = 0 and at p = 1.",
        above=0,
    )
    link_noise: float = field(
        1e-3,
        "Standard deviation of the random walk of the links at p = 0.",
        at_least=0,
    )
    link_l1: float = field(
        0.0,
        "L1 penalty of Bellec et al. on the links; the paper gives none.",
        at_least=0,
    )
    mask_share: float = field(
        0.05, "Share q of the weights that a mask keeps.", above=0, at_most=1
    )
    mask_shares: tuple[float, ...] = field(
        (0.02, 0.05, 0.1, 0.2, 0.4),
        "Values of q that are tried on the network with the fewest links, "
        "as a control.",
        part=True,
        above=0,
        at_most=1,
        distinct=True,
    )
    mask_repeats: int = field(
        1,
        "Number of masks for each digit, each from other initial scores.",
        part=True,
        at_least=1,
    )
    mask_open_links: bool = field(
        False,
        "Whether to train also masks in which links do not compete and are "
        "always on.",
        part=True,
    )
    mask_steps: int = field(
        234,
        "Training steps of the scores of a mask.",
        at_least=1,
        multiple_of="log_steps",
    )
    mask_lr: float = field(0.1, "Learning rate of SGD for the scores.", above=0)
    mask_momentum: float = field(
        0.9,
        "Momentum of SGD for the scores, as in Ramanujan et al.; the paper "
        "gives none.",
        at_least=0,
        less_than=1,
    )
    fit_pairs: int = field(
        10_000, "Pairs of images to fit readouts on.", at_least=100
    )
    test_pairs: int = field(
        10_000, "Pairs of images to measure on.", at_least=100
    )
    log_steps: int = field(
        234,
        "Steps of an epoch, between two points in TensorBoard; must divide "
        "the numbers of steps.",
        at_least=1,
    )

    def __post_init__(self):
        super().__post_init__()
        limit = self.units**2
        if max(self.links) > limit:
            raise ValueError(
                f"--links must be at most --units**2 = {limit}, got "
                f"{max(self.links)}."
            )
        if len(self.link_lrs) != 2:
            raise ValueError(
                f"--link_lrs must be two values, got {self.link_lrs}."
            )


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


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """One repeat of an experiment: a demand, a number of links and a seed.

    Attributes:
        config: `Config`.
        data: The images.
        demand: The task's modulus.
        links: Number of links each way.
        seed: Of the task and of the networks.
    """

    config: Config
    data: images.ImageData
    demand: int
    links: int
    seed: int

    @property
    def folder(self) -> str:
        """Where its stages lie in the run folder."""
        return f"demand{self.demand}/links{self.links}/seed{self.seed}"

    @property
    def fraction(self) -> float:
        """The paper's p, the share of the possible links."""
        return self.links / self.config.units**2

    @property
    def has_controls(self) -> bool:
        """Whether networks whose links train in other ways go with it."""
        config = self.config
        if not config.controls or self.demand != min(config.demands):
            return False
        return self.links in {min(config.links), *config.control_links}

    @property
    def is_sparsest(self) -> bool:
        """Whether it has the fewest links, and the least demand."""
        sparsest = min(self.config.demands), min(self.config.links)
        return sparsest == (self.demand, self.links)

    def arm(self, kind: Kind = PLAIN) -> arms.Arm:
        """Returns how a network is built and trained."""
        return arms.arm_of(self.config.arm, kind.control)

    def steps(self, kind: Kind) -> int:
        """Returns the steps that a network trains for."""
        config = self.config
        return (
            config.bottleneck_steps if kind.bottleneck else config.network_steps
        )

    @property
    def task(self) -> Task:
        """The pairs of its demand and seed."""
        return _drawn(self)

    def batches(
        self, pairs: parity_mnist.Pairs, digit: int | None = None
    ) -> Callable[[int, int], tf.data.Dataset]:
        """Returns the function to batches `start` to `stop` of pairs.

        Args:
            pairs: `Pairs`.
            digit: As in `Pairs.labels`.
        """
        return functools.partial(
            parity_mnist.batches, pairs, self.config.batch_size, digit
        )

    def network(self, kind: Kind = PLAIN) -> keras.Model:
        """Returns a network before training, not compiled."""
        arm = self.arm()
        return modular_rnn.build(
            self.data.train.images.shape[1:],
            self.links,
            len(self.data.class_names),
            self.config.units,
            bottleneck=self.config.bottleneck if kind.bottleneck else None,
            standardize=arm.standardize,
            links_into=arm.links_into,
            train_readouts=arm.train_readouts,
            seed=configuration.derive_seed(self.seed, "network"),
        )

    def compiled(self, kind: Kind = PLAIN) -> keras.Model:
        """Returns a network before training, compiled."""
        return self._compile(self.network(kind), self.optimizer(kind))

    def scored(
        self, network: keras.Model, which: Mask, seed: int
    ) -> scored_model.ScoredModel:
        """Returns the compiled model whose scores choose a network's weights.

        Args:
            network: A network that is trained, or not.
            which: `Mask`.
            seed: Of the initial scores.
        """
        config = self.config
        candidates, _ = measures.candidates(network, which.links)
        model = scored_model.ScoredModel(
            network, share=which.share, candidates=candidates, seed=seed
        )
        return self._compile(
            model, keras.optimizers.SGD(config.mask_lr, config.mask_momentum)
        )

    def optimizer(self, kind: Kind = PLAIN) -> deep_r.DeepR:
        """Returns the optimizer of a network."""
        config, arm = self.config, self.arm(kind)
        link_rate = schedules.learning_rate(
            self.fraction, 1 / config.units**2, *config.link_lrs
        )
        walk, l1 = config.link_noise, config.link_l1
        if arm.relative_walk:
            walk, l1 = _RELATIVE * link_rate, _RELATIVE
        rate = keras.optimizers.schedules.CosineDecay(
            config.network_lr, self.steps(kind), config.lr_end
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
            noise=schedules.walk_noise(
                self.fraction, walk if arm.walk else 0.0
            ),
            l1=l1,
            gentle_wake=arm.gentle_wake,
            rewire=arm.rewire,
            seed=configuration.derive_seed(self.seed, "links"),
        )

    def _compile(self, model, optimizer):
        # Between two calls Keras takes a fifth of a step's time. An epoch must
        # be a whole number of calls, and few steps do not pay for the longer
        # tracing.
        log_steps = self.config.log_steps
        steps = max(n for n in range(1, 33) if log_steps % n == 0)
        model.compile(
            optimizer,
            _LOSS,
            metrics=["accuracy"],
            steps_per_execution=steps if steps >= 16 else 1,
            jit_compile=self.config.jit_compile,
        )
        return model


def subjects(config: Config) -> list[Subject]:
    """Returns the repeats of a run, the sparsest of each demand first."""
    data = images.load_once(config.dataset)
    return [
        Subject(config, data, *which)
        for which in itertools.product(
            config.demands, sorted(config.links), config.seeds
        )
    ]


@functools.lru_cache(maxsize=1)  # several stages in turn have the same
def _drawn(subject):
    """Returns the `Task` of a subject."""
    config, arm = subject.config, subject.arm()
    steps = max(config.network_steps, config.bottleneck_steps)
    counts = {
        "train": steps * config.batch_size,
        "masks": config.mask_steps * config.batch_size,
        "fit": config.fit_pairs,
        "test": config.test_pairs,
    }
    splits = dict.fromkeys(counts, subject.data.train)
    splits["test"] = subject.data.test
    if arm.stop_at is not None:
        counts["stop"] = _STOP_PAIRS
        splits["train"], splits["stop"] = _held_out(subject.data.train)
    found = {
        part: parity_mnist.draw(
            splits[part],
            count,
            configuration.derive_seed(subject.seed, "pairs", part),
            subject.demand,
            arm.text_target,
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
