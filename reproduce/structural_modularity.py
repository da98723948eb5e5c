r"""Does structure force function? Two modules, few links between them.

Trains two recurrent modules that see a digit each on a task that makes them
exchange a bit, with one link each way up to all of them, and measures how far
each module does its own digit alone: Bena and Goodman (2021); figures 2 to 4.

python -m reproduce.structural_modularity \
    --flagfile=reproduce/flags/structural_modularity_demo.flags
"""

import dataclasses
import functools
import itertools

from reproduce.bena2021 import findings, parity_mnist, stages
from reproduce.data import images
from reproduce.harness import experiment

FIGURES = ("2", "3", "4")
DATASETS = ("mnist", "digits")


@dataclasses.dataclass(frozen=True)
class Config(experiment.Config):
    """Every field is a flag; the defaults are the paper's values.

    Steps, batches and the modules' optimizer are not: the paper's do not
    train good networks at every sparsity.
    """

    dataset: str = experiment.field("mnist", "mnist or digits.")
    links: tuple[int, ...] = experiment.field(
        (1, 3, 10, 32, 100, 316, 1000, 3162, 10_000),
        "Links from each module to the other, p * units**2.",
        False,
    )
    demands: tuple[int, ...] = experiment.field(
        (2,),
        "The task's modulus m, of 2, 4, 8, 10: log2(m) bits to exchange.",
        False,
    )
    controls: bool = experiment.field(
        True, "Also the paper's controls, on the sparsest network.", False
    )
    units: int = experiment.field(100, "Hidden units of a module.")
    bottleneck: int = experiment.field(5, "Units of the bottleneck.")
    batch_size: int = experiment.field(256, "Pairs a step.")
    network_steps: int = experiment.field(2340, "Steps of a network.")
    bottleneck_steps: int = experiment.field(
        3276, "Steps of a network with a bottleneck, which learns later."
    )
    network_lr: float = experiment.field(3e-3, "Adam step of the modules.")
    lr_end: float = experiment.field(
        0.1, "What is left of it in the end; it falls as a cosine."
    )
    link_lrs: tuple[float, ...] = experiment.field(
        (0.1, 0.01), "Adam step of the links at p = 0 and at p = 1."
    )
    link_noise: float = experiment.field(
        1e-3, "Random walk of the links at p = 0, standard deviation."
    )
    mask_share: float = experiment.field(0.05, "Weights a mask keeps, q.")
    mask_steps: int = experiment.field(234, "Steps of a mask's scores.")
    mask_lr: float = experiment.field(0.1, "SGD step of the scores.")
    mask_momentum: float = experiment.field(
        0.9, "Momentum of that, as Ramanujan et al.; the paper gives none."
    )
    fit_pairs: int = experiment.field(10_000, "Pairs to fit readouts on.")
    test_pairs: int = experiment.field(10_000, "Pairs to measure on.")
    log_steps: int = experiment.field(
        234, "Steps between points in TensorBoard, an epoch; divides the steps."
    )

    def __post_init__(self):
        super().__post_init__()
        if self.dataset not in DATASETS:
            raise ValueError(
                f"--dataset must be mnist or digits, got {self.dataset!r}."
            )
        for name in ("links", "demands"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"--{name} must differ, got {values}.")
        limit = self.units**2
        if not self.links or not all(1 <= n <= limit for n in self.links):
            raise ValueError(
                f"--links must be in [1, {limit}], got {self.links}."
            )
        if not self.demands or not set(self.demands) <= {*parity_mnist.MODULI}:
            raise ValueError(
                f"--demands must be of {parity_mnist.MODULI}, got "
                f"{self.demands}."
            )
        if len(self.link_lrs) != 2 or not min(self.link_lrs) > 0:
            raise ValueError(
                f"--link_lrs must be two positive floats, got {self.link_lrs}."
            )
        if self.bottleneck < 1 or not 0 < self.lr_end <= 1:
            raise ValueError(
                "--bottleneck must be at least 1 and --lr_end in (0, 1], got "
                f"{self.bottleneck} and {self.lr_end}."
            )
        if not self.link_noise >= 0 or not 0 <= self.mask_momentum < 1:
            raise ValueError(
                "--link_noise must be at least 0 and --mask_momentum in "
                f"[0, 1), got {self.link_noise} and {self.mask_momentum}."
            )
        if not 0 < self.mask_share <= 1:
            raise ValueError(
                f"--mask_share must be in (0, 1], got {self.mask_share}."
            )
        if min(self.fit_pairs, self.test_pairs) < 100:
            raise ValueError(
                "--fit_pairs and --test_pairs must be at least 100, got "
                f"{self.fit_pairs} and {self.test_pairs}."
            )
        for name in ("network_steps", "bottleneck_steps", "mask_steps"):
            steps = getattr(self, name)
            if steps % min(self.log_steps, steps):
                raise ValueError(
                    f"--{name}={steps} must be a multiple of "
                    f"--log_steps={self.log_steps}."
                )


def settings(config):
    """Returns the networks of a run, one setting each."""
    return [
        stages.Setting(*which)
        for which in itertools.product(
            config.demands, sorted(config.links), config.seeds
        )
    ]


def control_settings(config):
    """Returns the settings of the controls: sparsest, first demand."""
    if not config.controls:
        return []
    return [
        stages.Setting(min(config.demands), min(config.links), seed)
        for seed in config.seeds
    ]


def steps_of(config):
    """Returns the training steps of each part of a record."""
    masks = 2 * config.mask_steps
    return {
        "plain": config.network_steps + masks,
        "bottleneck": config.bottleneck_steps,
        "controls": 2 * config.network_steps + masks,
    }


def analyse(run, data, setting):
    """Carries out the stages of one setting, and returns the record."""
    config = run.config
    steps = steps_of(config)
    task = functools.cache(
        lambda: stages.draw_task(config, data, setting.demand, setting.seed)
    )
    parts = {
        "plain": stages.plain_network,
        "bottleneck": stages.bottleneck_network,
        "controls": stages.controls,
    }
    if setting not in control_settings(config):
        del parts["controls"]
    found = {
        name: run.stage(
            f"{setting.folder}/{name}",
            lambda measure=measure: measure(run, data, task(), setting),
            steps[name],
        )
        for name, measure in parts.items()
    }
    return {
        "data": data.title,
        "chance": 1 / len(data.class_names),
        "p": setting.links / config.units**2,
        **setting._asdict(),
        **found,
    }


def estimate(run, data, steps):
    """Prints how long the run will take; a mask's steps count as others."""
    config = run.config
    first = settings(config)[0]
    task = stages.draw_task(config, data, first.demand, first.seed)
    batches = functools.partial(
        parity_mnist.batches, task.train, config.batch_size, None
    )
    network = stages.untrained(config, data, first)
    run.estimate([("networks and masks", network, batches, steps)])


def main(config):
    steps = steps_of(config)
    total = len(settings(config)) * (steps["plain"] + steps["bottleneck"])
    total += len(control_settings(config)) * steps["controls"]
    with experiment.Run(config, "structural_modularity", total) as run:
        if config.stage == "figures":
            run.draw(findings.draw)
            return
        data = images.load(config.dataset)
        if config.dry_run or total > experiment.LONG_RUN_STEPS:
            estimate(run, data, total)
        if config.dry_run:
            return
        records = [analyse(run, data, setting) for setting in settings(config)]
        run.finish(records, findings.claims, findings.draw)


if __name__ == "__main__":
    experiment.run_main(Config, main)
