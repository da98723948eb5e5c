"""The smallest run of structural_modularity, for tests of its parts."""

import dataclasses

from reproduce.bena2021.subject import Config, Subject
from reproduce.data import images

CONFIG = Config(
    dataset="digits",
    links=(3,),
    units=6,
    bottleneck=2,
    batch_size=16,
    network_steps=4,
    bottleneck_steps=8,
    mask_steps=2,
    fit_pairs=100,
    test_pairs=150,
    log_steps=2,
    mask_shares=(0.1, 0.5),
)


def subject(demand=2, links=3, seed=0, **changes):
    """Returns a `Subject` of the configuration with some changes."""
    config = dataclasses.replace(CONFIG, **changes)
    data = images.load_once(config.dataset)
    return Subject(config, data, demand, links, seed)
