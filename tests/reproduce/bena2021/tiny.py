"""The smallest run of structural_modularity, for tests of its parts."""

from reproduce import structural_modularity
from reproduce.bena2021 import stages

CONFIG = structural_modularity.Config(
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
SETTING = stages.Setting(2, 3, 0)
