"""Two GRU layers compiled by hand: one counts, the other remembers.

For each task the first layer has two units. One is turned over by a token, so
its sign is the parity of how often that token came: its gate opens for this
token alone, and it takes the opposite of its state. The other fires where a
second token stands. The second layer has a unit whose gate this opens, and it
then takes the parity. So the answer is the parity at the time of the last
second token, which the network must remember.
"""

import keras
import numpy as np

from modularity_tf import checks
from modularity_tf.planted.kernels import Kernel, kinds_of
from modularity_tf.planted.planted_network import KINDS, Planted

LOGIT = 8.0
STEPS = 8
_TASKS = 2
_SHUT = 10.0  # logit of a gate that holds its state
_SURE = 4.0  # what makes a state 1 or -1
_START, _TURNS, _ASKS, _PLAIN, _NEVER = 0, (1, 3), (2, 4), 5, (6, 7)
_TOKENS = 8
_TURN, _ASK = (0, 2), (1, 3)  # units of the first layer


def make_two_grus(
    *,
    unread: int = 2,
    silent: int = 2,
    pairs: int = 2,
    examples: int = 2048,
    seed: int | None = 0,
) -> Planted:
    """Returns two stacked GRU layers with known units, two tasks.

    The inputs `(examples, 8, 8)` are sequences of tokens, one hot. The first
    token starts a sequence, and two of the eight never come.

    >>> planted = mtf.planted.make_two_grus(examples=64)
    >>> {k: int(v.sum()) for k, v in planted.needed[0].units.values.items()}
    {'count': 2, 'remember': 1}

    Args:
        unread: Number of units in each layer that nothing reads.
        silent: Number of units in each layer that are read and never fire.
        pairs: Number of pairs of like units in each layer that are read with
            opposite weights.
        examples: Number of sequences.
        seed: Int, not negative, of sequences, orders, signs and decoys; `None`
            is random.

    Raises:
        ValueError: If an argument is out of its range.
    """
    decoys = [
        (kind, checks.integer(name, number))
        for kind, name, number in (
            ("unread", "unread", unread),
            ("silent", "silent", silent),
            ("pair", "pairs", pairs),
        )
    ]
    examples = checks.integer("examples", examples, least=1)
    rng = np.random.default_rng(checks.seed(seed))
    names = [
        kind
        for kind, number in decoys
        for _ in range(2 * number if kind == "pair" else number)
    ]
    first = _Layer(_TOKENS, 2 * _TASKS, names)
    second = _Layer(first.size, _TASKS, names)
    output = Kernel((second.size, _TASKS), _TASKS)
    for task in range(_TASKS):
        turn, ask, own = _TURN[task], _ASK[task], [task]
        first.gate[turn], first.start[turn] = _SHUT, -_SURE / 4
        for token in (_START, _TURNS[task]):
            first.set("gate", token, turn, -2 * _SHUT, own)
        first.set("state", _START, turn, _SURE, own)
        first.set("again", turn, turn, -_SURE, own)
        first.gate[ask], first.start[ask] = -_SHUT, -_SURE / 2
        first.set("state", _ASKS[task], ask, _SURE, own)
        second.set("gate", ask, task, -_SHUT, own)
        second.set("state", turn, task, _SURE, own)
        output.put((task, task), LOGIT, "needed", own)

    seen = np.isin(np.arange(_TOKENS), _NEVER, invert=True)
    first.fill(rng, seen, ~seen)
    kinds = np.array([*["own"] * (2 * _TASKS), *names])
    second.fill(rng, kinds != "silent", kinds == "silent")
    # What the second layer's own units and the answers read of decoys.
    _read(rng, names, 2 * _TASKS, _TASKS, second.put_state)
    _read(
        rng,
        names,
        _TASKS,
        _TASKS,
        lambda unit, task, value, kind: output.put(
            (unit, task), LOGIT * value, kind, [task]
        ),
    )

    orders = [rng.permutation(layer.size) for layer in (first, second)]
    signs = [rng.choice((-1.0, 1.0), layer.size) for layer in (first, second)]
    model = _network(first.size, second.size)
    weights = {w.path: w for w in model.weights}
    kernels = {}
    same = np.arange(_TOKENS), np.ones(_TOKENS)
    for name, layer, before, here in (
        ("count", first, same, (orders[0], signs[0])),
        ("remember", second, (orders[0], signs[0]), (orders[1], signs[1])),
    ):
        kernel, again, bias = layer.joined(before, here)
        kernels[f"{name}/gru_cell/kernel"] = kernel
        kernels[f"{name}/gru_cell/recurrent_kernel"] = again
        weights[f"{name}/gru_cell/bias"].assign(bias)
    output.change(-2, orders[1], signs[1])
    kernels["output/kernel"] = output
    for path, each in kernels.items():
        weights[path].assign(each.values)
    tokens = _sequences(rng, examples)
    found = kinds_of(kernels)
    return Planted(
        model,
        np.eye(_TOKENS, dtype="float32")[tokens],
        _answers(tokens),
        found,
        units=[_units(own) for own in found],
    )


class _Layer:
    """A GRU in the making: kernels to its gate and to its new state.

    The reset gate is left open. Units come in the order: own ones, decoys.
    """

    def __init__(self, inputs, own, decoys):
        self.own, self.decoys = own, decoys
        self.size = own + len(decoys)
        shapes = {
            "gate": inputs,
            "state": inputs,
            "again_gate": self.size,
            "again": self.size,
        }
        self.kernels = {
            name: Kernel((rows, self.size), _TASKS)
            for name, rows in shapes.items()
        }
        self.gate, self.start = np.zeros(self.size), np.zeros(self.size)

    def set(self, name, row, unit, value, tasks):
        self.kernels[name].put((row, unit), value, "needed", tasks)

    def put_state(self, row, unit, value, kind):
        self.kernels["state"].put((row, unit), value, kind, [unit])

    def fill(self, rng, seen, unseen):
        """Draws the weights of decoys, from what they see."""
        before = None
        for unit, kind in enumerate(self.decoys, self.own):
            rows = np.flatnonzero(unseen if kind == "silent" else seen)
            drawn = {n: rng.normal(size=len(rows)) for n in ("gate", "state")}
            again = rng.normal(size=2)
            if kind == "pair" and before is not None:
                drawn, again = before
            for name, values in drawn.items():
                self.kernels[name].put((rows, unit), values, kind)
            for name, value in zip(("again_gate", "again"), again):
                self.kernels[name].put((unit, unit), value, kind)
            is_first = kind == "pair" and before is None
            before = (drawn, again) if is_first else None

    def joined(self, before, here):
        """Returns kernel, recurrent kernel and bias as Keras has them.

        Args:
            before: Permutation of the inputs, and 1 or -1 for each: which of
                them are turned over.
            here: The same of the units.
        """
        own_order, own_signs = here
        plain = np.ones(self.size)
        for name, kernel in self.kernels.items():
            of_gate = name in ("gate", "again_gate")
            is_again = name in ("again_gate", "again")
            kernel.change(-2, *(here if is_again else before))
            kernel.change(-1, own_order, plain if of_gate else own_signs)
        found = []
        for gate, state in (("gate", "state"), ("again_gate", "again")):
            parts = [self.kernels[gate], self.kernels[state]]
            reset = Kernel(parts[0].values.shape, _TASKS)
            joined = Kernel((*reset.values.shape[:1], 3 * self.size), _TASKS)
            three = (parts[0], reset, parts[1])
            joined.values = np.concatenate([k.values for k in three], axis=-1)
            joined.kinds = np.concatenate([k.kinds for k in three], axis=-1)
            found.append(joined)
        bias = np.zeros((2, 3 * self.size))
        bias[0] = np.concatenate(
            [
                self.gate[own_order],
                np.full(self.size, _SHUT),
                (self.start * own_signs)[own_order],
            ]
        )
        return *found, bias


def _read(rng, names, first, readers, put):
    """Lets some units read decoys: pairs with opposite weights."""
    before = None
    for unit, kind in enumerate(names, first):
        if kind == "unread":
            continue
        values = rng.normal(size=readers)
        if kind == "pair" and before is not None:
            values, before = -before, None
        elif kind == "pair":
            before = values
        for reader, value in enumerate(values):
            put(unit, reader, value, kind)


def _network(*sizes):
    """Returns the model, with so many units in each layer."""
    inputs = keras.Input((STEPS, _TOKENS))
    x = keras.layers.GRU(sizes[0], return_sequences=True, name="count")(inputs)
    x = keras.layers.GRU(sizes[1], name="remember")(x)
    outputs = keras.layers.Dense(_TASKS, name="output")(x)
    return keras.Model(inputs, outputs, name="planted_grus")


def _sequences(rng, examples):
    """Returns tokens, an int array `(examples, STEPS)`.

    Each sequence asks for either parity at least once.
    """
    tokens = rng.integers(1, _PLAIN + 1, (examples, STEPS))
    tokens[:, 0] = _START
    for row in tokens:
        row[rng.permutation(np.arange(1, STEPS))[:_TASKS]] = _ASKS
    return tokens


def _answers(tokens):
    """Returns the parities, a float array `(examples, tasks)`, 1 for even."""
    found = []
    for turn, ask in zip(_TURNS, _ASKS):
        even = np.cumsum(tokens == turn, axis=1) % 2 == 0
        last = STEPS - 1 - np.argmax((tokens == ask)[:, ::-1], axis=1)
        found.append(even[np.arange(len(tokens)), last])
    return np.stack(found, axis=1).astype("float32")


def _units(kinds):
    """Returns the units that a task needs, by layer."""
    needed, found = KINDS.index("needed"), {}
    for name in ("count", "remember"):
        columns = (kinds[f"{name}/gru_cell/kernel"] == needed).any(axis=0)
        found[name] = columns.reshape(3, -1).any(axis=0)
    return found
