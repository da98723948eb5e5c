"""Arms: the readings of a text that leaves much open, each a few changes.

None is tuned. What is a number of the experiment (steps, batches) is in the
flag file of the arm.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Arm:
    """How a network is built and trained.

    Attributes:
        title: Str, what figures call it.
        text_target: Bool. Whether the answer is what the text says, which
            contradicts equation 1.
        adadelta: Bool. Whether the modules train with Adadelta 0.5 (rho 0.9,
            epsilon 1e-6), as in Table 1 of the paper, in place of Adam.
        standardize: Bool. Whether pixels are standardized.
        decays: Tuple of two floats, or `None`: by what the rates of modules
            and links are multiplied after every epoch, in place of the cosine
            and of a constant rate.
        links_into: "input" or "state", see `SparseRecurrent`.
        stop_at: Float, or `None`: the accuracy on pairs of held-out images at
            which training stops.
        train_readouts: Bool. `False` leaves the readouts as they were drawn.
        rewire: Bool. `False` keeps the links where they are.
        walk: Bool. `False` leaves the links' random walk out.
        gentle_wake: Bool. Whether woken links start with small steps.
        relative_walk: Bool. Whether the random walk is 1e-4 (1 - p) times the
            links' rate, with an L1 term of 1e-4.
    """

    title: str
    text_target: bool = False
    adadelta: bool = False
    standardize: bool = False
    decays: tuple | None = None
    links_into: str = "input"
    stop_at: float | None = None
    train_readouts: bool = True
    rewire: bool = True
    walk: bool = True
    gentle_wake: bool = False
    relative_walk: bool = False


ARMS = {
    "ours": Arm("ours"),
    "text_target": Arm("target of the text", text_target=True),
    "table1": Arm("Table 1", adadelta=True, standardize=True),
    "adadelta": Arm("Table 1, our pixels", adadelta=True),
    "standardized": Arm("Table 1, but Adam", standardize=True),
    "gammas": Arm("rates times 0.9 and 0.95 an epoch", decays=(0.9, 0.95)),
    "state_input": Arm("links into the state", links_into="state"),
    "early_stop": Arm("stopped at 90 %", stop_at=0.9),
    "frozen": Arm("readouts frozen", train_readouts=False),
    "frozen_adadelta": Arm(
        "readouts frozen, Table 1, our pixels",
        adadelta=True,
        train_readouts=False,
    ),
    "gentle_wake": Arm("woken links start gently", gentle_wake=True),
    "earliest": Arm("walk and L1 of the earliest code", relative_walk=True),
}

# What is changed in an arm to see what it does to the links.
CONTROLS = {
    "no_rewiring": {"rewire": False},
    "no_walk": {"walk": False},
    "gentle_wake": {"gentle_wake": True},
    "earliest": {"relative_walk": True},
}
TITLES = {
    "no_rewiring": "fixed links",
    "no_walk": "without the random walk",
    "gentle_wake": "woken links start gently",
    "earliest": "walk and L1 of the earliest code",
}


def arm_of(name: str, control: str = "") -> Arm:
    """Returns the `Arm` of a name, changed as a control, if any."""
    return dataclasses.replace(ARMS[name], **CONTROLS.get(control, {}))
