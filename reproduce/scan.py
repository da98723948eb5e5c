r"""Do networks use one rule for all commands? SCAN (Csordas et al., 2021).

Trains networks on all kinds of commands, then masks on the training part of
splits that test generalization, and shows what the masks keep of the rest:
section 4, appendix C.6.1; figures 4a, 4b and 16.

python -m reproduce.scan --flagfile=reproduce/flags/scan_demo.flags
"""

import dataclasses

from reproduce.csordas2021 import mask_stages, scan_findings, scan_stages
from reproduce.harness import experiment
from reproduce.harness.config import field

PAPER = "Csordas et al., 2021"
FIGURES = {
    "4a": "accuracy on splits by mask",
    "4b": "output weights removed by token",
    "16": "networks trained on a split alone",
}


@dataclasses.dataclass(frozen=True)
class Config(mask_stages.Config):
    """Every field is a flag; the defaults are the paper's values."""

    networks: tuple[str, ...] = field(
        scan_stages.NETWORKS,
        "Networks.",
        part=True,
        one_of=scan_stages.NETWORKS,
        distinct=True,
    )
    splits: tuple[str, ...] = field(
        scan_stages.SPLITS,
        "Splits that test generalization.",
        part=True,
        one_of=scan_stages.SPLITS,
        distinct=True,
    )
    split_seed: int = field(
        0,
        "Of the random split `simple`; it is not the official draw.",
        at_least=0,
    )
    test_size: int = field(
        0, "Commands that score a network; 0 for all.", at_least=0
    )
    batch_size: int = field(256, "Examples a network step.", at_least=1)
    network_steps: int = field(
        25_000, "Steps of the weights.", at_least=1, multiple_of="log_steps"
    )
    mask_batch_size: int = field(256, "Examples a mask step.", at_least=1)
    mask_steps: int = field(
        25_000, "Steps of each mask.", at_least=1, multiple_of="log_steps"
    )
    mask_lr: float = field(1e-2, "Adam step of the logits.", above=0)
    beta: float = field(
        3e-5,
        "The LSTM's penalty: each logit costs beta / mask_batch_size.",
        at_least=0,
    )
    transformer_beta: float = field(
        1e-3, "The Transformer's penalty.", at_least=0
    )
    clip_norm: float = field(5.0, "Limit of the gradient's norm.", above=0)
    embedding_size: int = field(16, "The LSTM's embeddings.", at_least=1)
    hidden_size: int = field(200, "Units of an LSTM layer.", at_least=1)
    lstm_layers: int = field(2, "Layers of either LSTM.", at_least=1)
    lstm_dropout: float = field(
        0.5, "The LSTM's dropout.", at_least=0, less_than=1
    )
    teacher_forcing: float = field(
        0.5,
        "Share of the LSTM's batches with teacher forcing.",
        at_least=0,
        at_most=1,
    )
    model_size: int = field(100, "The Transformer's width.", at_least=1)
    inner_size: int = field(200, "Its inner layers' units.", at_least=1)
    heads: int = field(4, "Its attention heads.", at_least=1)
    transformer_layers: int = field(3, "Layers of either half.", at_least=1)
    transformer_dropout: float = field(
        0.1, "The Transformer's dropout.", at_least=0, less_than=1
    )

    def __post_init__(self):
        super().__post_init__()
        if self.find_beta and not self.transformer_beta:
            raise ValueError(
                "--find_beta starts at --transformer_beta, got "
                "--transformer_beta=0."
            )
        if self.model_size % self.heads:
            raise ValueError(
                f"--heads={self.heads} must divide --model_size="
                f"{self.model_size}."
            )


EXPERIMENT = experiment.Experiment(
    name="scan",
    config=Config,
    plan=scan_stages.plan,
    phases=scan_stages.phases,
    claims=scan_findings.claims,
    draw=scan_findings.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)
