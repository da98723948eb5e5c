"""A Transformer compiled by hand: every head and dimension is known.

Two layers of attention over a short sequence, without normalization. The
tokens and their places are written into the residual stream, side by side:

    tokens | places | token before | follower | first token | junk | nothing

and answers are read at the last place. In the first layer a head attends to
the place before and copies its token (q: places, k: places one further on).
In the second, one head attends to where the token *before* is the last token
of all and copies the token there (an induction head), and one attends to the
first place. So the tasks are:

    0  what came after the last token, when it was there before (induction)
    1  which token came before the last one
    2  which token was the first

Task 1 uses the first layer's head for a single place, task 0 for the others.
Beside these heads are decoys: heads that attend and write what nothing reads,
heads that read what nothing writes, and pairs of heads that write the same
with opposite signs where the answers are read. All is then hidden: dimensions
and heads are permuted, and scaled in front where it is taken back behind.

References:
    - Olsson et al., 2022, "In-context Learning and Induction Heads"
"""

import itertools

import keras
import numpy as np

from modularity_tf import checks
from modularity_tf.planted.planted_network import KINDS, Planted

TOKENS, LENGTH = 4, 6
TASKS = ("follower", "before", "first")
SURE = 12.0  # logit of attention to the right place, over the others
LOGIT = 8.0  # of an answer
_WIDTHS = {
    "token": TOKENS,
    "place": LENGTH,
    "before": TOKENS,
    "follower": TOKENS,
    "first": TOKENS,
    "junk": 3,  # written and not read
    "nothing": 3,  # read and not written
}
_ENDS = np.cumsum([0, *_WIDTHS.values()]).tolist()
_BLOCKS = {
    name: slice(start, stop)
    for name, (start, stop) in zip(
        _WIDTHS, itertools.pairwise(_ENDS), strict=True
    )
}
_WIDTH = _ENDS[-1]
_SIZE = LENGTH  # of queries, keys and values in a head
_STRONG = np.sqrt(SURE * np.sqrt(_SIZE))  # the product is divided by a root


def make_induction(*, pairs: int = 0, seed: int | None = 0) -> Planted:
    """Returns a Transformer with known heads.

    The tasks are what came after the last token when it was there before
    (induction), which token came before the last one, and which token was the
    first. The inputs `(examples, 6)` are all sequences that have the last of
    four tokens once before, not right before: the number of the token plus 4
    times its place.

    >>> planted = mtf.planted.make_induction(pairs=1, seed=1)
    >>> planted.needed[0].heads.keep_fraction  # 2 of 9 heads
    0.2222222222222222
    >>> len(planted.needed[0].edges)
    7

    Args:
        pairs: Number of pairs of heads in the second layer that cancel.
        seed: Int, not negative, of orders, scales and decoys; `None` is random.

    Raises:
        ValueError: If an argument is out of its range.

    References:
        - Olsson et al., 2022, "In-context Learning and Induction Heads"
    """
    pairs = checks.integer("pairs", pairs)
    rng = np.random.default_rng(checks.seed(seed))
    layers = [
        [_before_head(), *_decoys(rng, 0)],
        [_follower_head(), _first_head(), *_decoys(rng, pairs)],
    ]
    embedding = np.zeros((LENGTH, TOKENS, _WIDTH))
    embedding[:, :, _BLOCKS["token"]] = np.eye(TOKENS)
    embedding[:, :, _BLOCKS["place"]] = np.eye(LENGTH)[:, None]
    # Hidden: dimensions of the residual stream.
    order, scale = rng.permutation(_WIDTH), _scales(rng, _WIDTH)
    model = _network(*map(len, layers))
    weights = {w.path: w for w in model.weights}
    weights["embed/embeddings"].assign(
        (embedding.reshape(-1, _WIDTH) * scale)[:, order]
    )
    kinds: list[dict[str, np.ndarray]] = [{} for _ in TASKS]

    def put(path, values, kinds_of_tasks, axis):
        """Sets a weight, whose axis is the residual stream's, and its kinds."""
        weights[path].assign(np.take(values, order, axis))
        for task, names in zip(kinds, kinds_of_tasks, strict=True):
            found = np.where(values == 0, KINDS.index("absent"), names)
            task[path] = np.take(found, order, axis)

    for i, heads in enumerate(layers):
        heads = [_disguised(heads[h], rng) for h in rng.permutation(len(heads))]
        for name in ("query", "key", "value", "attention_output"):
            # (residual, head, size), and the output the other way round.
            values, names = (
                np.stack([head[part][name] for head in heads], axis=-2)
                for part in ("values", "kinds")
            )
            axis = 0
            if name == "attention_output":
                values = np.moveaxis(values * scale[:, None, None], 0, -1)
                names, axis = np.moveaxis(names, 1, -1), -1
            else:
                values = values / scale[:, None, None]
            put(f"attend{i}/{name}/kernel", values, names, axis)
    readout, names = _readout()
    put("readout/kernel", readout / scale[:, None], names, 0)
    tokens = sequences()
    return Planted(
        model,
        (tokens + TOKENS * np.arange(LENGTH)).astype("int32"),
        answers(tokens).astype("float32"),
        kinds,
        columns=[slice(TOKENS * i, TOKENS * (i + 1)) for i in range(3)],
        units=[_heads_of(task) for task in kinds],
        edges=[_edges_of(task, embedding, order) for task in kinds],
    )


def _heads_of(kinds):
    """Returns which heads a task needs, by layer."""
    name, needed = "attention_output/kernel", KINDS.index("needed")
    return {
        path.split("/")[0]: (values == needed).any(axis=(1, 2))
        for path, values in kinds.items()
        if path.endswith(name)
    }


def _edges_of(kinds, embedding, order):
    """Returns which part writes what another one reads, for a task.

    Parts are "embed", "attend0/HEAD", "attend1/HEAD" and "readout"; a head
    reads in "query", "key" and "value".
    """
    needed, writers, found = KINDS.index("needed"), {}, set()
    writers["embed"] = embedding.any(axis=(0, 1))[order]

    def read(name, dimensions):
        for writer, written in writers.items():
            if (written & dimensions).any():
                found.add((writer, name))

    for layer in ("attend0", "attend1"):
        here = {
            part: kinds[f"{layer}/{part}/kernel"] == needed
            for part in ("query", "key", "value", "attention_output")
        }
        for head in range(here["query"].shape[1]):
            for part in ("query", "key", "value"):
                dimensions = here[part][:, head].any(axis=1)
                read(f"{layer}/{head}/{part}", dimensions)
        for head, written in enumerate(here["attention_output"].any(axis=1)):
            writers[f"{layer}/{head}"] = written
    read("readout", (kinds["readout/kernel"] == needed).any(axis=1))
    return frozenset(found)


def sequences() -> np.ndarray:
    """Returns all sequences with one answer, an int array `(n, LENGTH)`."""
    tokens = np.array([*itertools.product(range(TOKENS), repeat=LENGTH)])
    before = tokens[:, :-1] == tokens[:, -1:]
    return tokens[(before.sum(axis=1) == 1) & ~before[:, -1]]


def answers(tokens: np.ndarray) -> np.ndarray:
    """Returns what is right, an int array `(n, len(TASKS))`.

    Args:
        tokens: What `sequences` returns.
    """
    place = np.argmax(tokens[:, :-1] == tokens[:, -1:], axis=1)
    follower = tokens[np.arange(len(tokens)), place + 1]
    return np.stack([follower, tokens[:, -2], tokens[:, 0]], axis=1)


def _network(*heads):
    """Returns the model, with so many heads in each layer."""
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = keras.layers.Embedding(LENGTH * TOKENS, _WIDTH, name="embed")(inputs)
    for i, count in enumerate(heads):
        attend = keras.layers.MultiHeadAttention(
            count, _SIZE, use_bias=False, name=f"attend{i}"
        )
        x = keras.layers.Add(name=f"residual{i}")([x, attend(x, x)])
    outputs = keras.layers.Dense(
        TOKENS * len(TASKS), use_bias=False, name="readout"
    )(x[:, -1])
    return keras.Model(inputs, outputs, name="planted_attention")


def _before_head():
    """Copies the token of the place before."""
    head = _copies_tokens("before", tasks=(0, 1))
    first = _BLOCKS["place"].start
    for place in range(LENGTH - 1):
        # The last place asks for the one before, for task 1 alone.
        task = 1 if place == LENGTH - 2 else 0
        _set(head, "query", (first + place + 1, place), _STRONG, (task,))
        _set(head, "key", (first + place, place), _STRONG, (task,))
    return head


def _follower_head():
    """Copies the token that has the last one before it."""
    head = _copies_tokens("follower", tasks=(0,))
    for token in range(TOKENS):
        for name, block in (("query", "token"), ("key", "before")):
            place = _BLOCKS[block].start + token, token
            _set(head, name, place, _STRONG, (0,))
    return head


def _first_head():
    """Copies the token of the first place, to the last."""
    head = _copies_tokens("first", tasks=(2,))
    first = _BLOCKS["place"].start
    _set(head, "query", (first + LENGTH - 1, 0), _STRONG, (2,))
    _set(head, "key", (first, 0), _STRONG, (2,))
    return head


def _copies_tokens(block, tasks):
    """Returns a head that copies tokens, and attends to nothing yet."""
    head = _no_head("other")
    for token in range(TOKENS):
        place = _BLOCKS["token"].start + token, token
        _set(head, "value", place, 1.0, tasks)
        place = _BLOCKS[block].start + token, token
        _set(head, "attention_output", place, 1.0, tasks)
    return head


def _decoys(rng, pairs):
    """Returns the heads of a layer that do nothing."""

    def weights(*blocks):
        """Returns random weights to or from blocks."""
        rows = np.zeros((_WIDTH, 1))
        for block in blocks:
            rows[_BLOCKS[block]] = 1.0
        return rows * rng.normal(size=(_WIDTH, _SIZE))

    def head(kind, reads, writes):
        found = _no_head(kind)
        for name in ("query", "key"):
            found["values"][name] = weights("token", "place")
        found["values"]["value"] = weights(*reads)
        found["values"]["attention_output"] = weights(*writes)
        return found

    seen = "token", "place"
    read = "before", "follower", "first"
    heads = [head("unread", seen, ["junk"]), head("silent", ["nothing"], read)]
    for _ in range(pairs):
        one = head("pair", seen, read)
        values = one["values"]
        other = {
            **values,
            "attention_output": -values["attention_output"],
        }
        heads += [one, {**one, "values": other}]
    return heads


def _no_head(kind):
    """Returns a head without a weight: its values, and kinds by task.

    All arrays are `(_WIDTH, _SIZE)`, of the output, too.
    """
    names = ("query", "key", "value", "attention_output")
    shape = _WIDTH, _SIZE
    return {
        "values": {name: np.zeros(shape) for name in names},
        "kinds": {
            name: np.full((len(TASKS), *shape), KINDS.index(kind))
            for name in names
        },
    }


def _set(head, name, place, value, tasks):
    """Sets a weight that some tasks need."""
    head["values"][name][place] = value
    for task in tasks:
        head["kinds"][name][task][place] = KINDS.index("needed")


def _disguised(head, rng):
    """Returns a head that does the same in another order, at other scales."""
    found = {"values": {}, "kinds": {}}
    for front, behind in (("query", "key"), ("value", "attention_output")):
        order, scale = rng.permutation(_SIZE), _scales(rng, _SIZE)
        for name, factor in ((front, scale), (behind, 1 / scale)):
            values = head["values"][name] * factor
            found["values"][name] = values[:, order]
            found["kinds"][name] = head["kinds"][name][:, :, order]
    return found


def _readout():
    """Returns the last kernel, and its kinds by task."""
    kernel = np.zeros((_WIDTH, TOKENS * len(TASKS)))
    kinds = np.full((len(TASKS), *kernel.shape), KINDS.index("other"))
    for task, name in enumerate(TASKS):
        columns = slice(TOKENS * task, TOKENS * (task + 1))
        kernel[_BLOCKS[name], columns] = LOGIT * np.eye(TOKENS)
        kinds[task][:, columns] = KINDS.index("needed")
    return kernel, kinds


def _scales(rng, count):
    return np.exp(rng.normal(0.0, 0.5, count))
