r"""Do networks use one rule for all commands? SCAN (Csordas et al., 2021).

Trains networks on all kinds of commands, then masks on the training part of
splits that test generalization, and shows how well the masks do on the rest:
section 4, appendix C.6.1; figures 4a, 4b and 16.

python -m reproduce.scan --flagfile=reproduce/flags/scan_demo.flags
"""

import dataclasses

from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.sequences import scan, scan_claims
from reproduce.publishing import experiment
from reproduce.running.configuration import field


@dataclasses.dataclass(frozen=True)
class Config(mask_training.Config):
    """Every field is a flag; the defaults are the paper's values."""

    networks: tuple[str, ...] = field(
        scan.NETWORKS,
        "Networks to train.",
        part=True,
        one_of=scan.NETWORKS,
        distinct=True,
    )
    splits: tuple[str, ...] = field(
        scan.SPLITS,
        "Splits of the data set that test generalization.",
        part=True,
        one_of=scan.SPLITS,
        distinct=True,
    )
    split_seed: int = field(
        0,
        "Seed of the random split `simple`, which is not the official one.",
        at_least=0,
    )
    test_size: int = field(
        0, "Number of commands to score a network on; 0 for all.", at_least=0
    )
    batch_size: int = field(
        256, "Examples in a training step of the network.", at_least=1
    )
    network_steps: int = field(
        25_000,
        "Training steps of each network.",
        at_least=1,
        multiple_of="log_steps",
    )
    mask_batch_size: int = field(
        256, "Examples in a training step of a mask.", at_least=1
    )
    mask_steps: int = field(
        25_000,
        "Training steps of each mask.",
        at_least=1,
        multiple_of="log_steps",
    )
    mask_lr: float = field(
        1e-2, "Learning rate of Adam for the logits of a mask.", above=0
    )
    beta: float = field(
        3e-5,
        "Strength of the LSTM's penalty: each logit of a mask costs beta / "
        "mask_batch_size.",
        at_least=0,
    )
    transformer_beta: float = field(
        1e-3,
        "Strength of the Transformer's penalty, in place of --beta.",
        at_least=0,
    )
    clip_norm: float = field(
        5.0,
        "Largest norm of the gradient; a larger one is scaled down.",
        above=0,
    )
    embedding_size: int = field(
        16, "Size of the LSTM's embeddings.", at_least=1
    )
    hidden_size: int = field(200, "Units of an LSTM layer.", at_least=1)
    lstm_layers: int = field(
        2, "Layers of the encoder's LSTM, and of the decoder's.", at_least=1
    )
    lstm_dropout: float = field(
        0.5, "Dropout rate of the LSTM.", at_least=0, less_than=1
    )
    teacher_forcing: float = field(
        0.5,
        "Share of the LSTM's batches with teacher forcing.",
        at_least=0,
        at_most=1,
    )
    model_size: int = field(
        100, "Width of the Transformer (d_model).", at_least=1
    )
    inner_size: int = field(
        200, "Units of the Transformer's feed-forward layers.", at_least=1
    )
    heads: int = field(4, "Attention heads of the Transformer.", at_least=1)
    transformer_layers: int = field(
        3,
        "Layers of the Transformer's encoder, and of its decoder.",
        at_least=1,
    )
    transformer_dropout: float = field(
        0.1, "Dropout rate of the Transformer.", at_least=0, less_than=1
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
    title="Do networks use one rule for all commands? SCAN.",
    paper="Csordas et al., 2021",
    figures={
        "4a": "accuracy on splits by mask",
        "4b": "output weights removed by token",
        "16": "networks trained on a split alone",
    },
    config=Config,
    plan=scan.plan,
    phases=scan.phases,
    claims=scan_claims.claims,
    draw=scan_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)
