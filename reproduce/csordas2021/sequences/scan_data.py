r"""SCAN: commands and the actions they mean, by grammar, and its splits.

A command such as "jump left twice" means "I_TURN_LEFT I_JUMP I_TURN_LEFT
I_JUMP". There are 20,910. The command line writes both parts of a split in
the format that the data were published in, and compares files with them:

python -m reproduce.csordas2021.sequences.scan_data --split=length \
    --output_dir=DIR --compare=tasks_train_length.txt

References:
    - [Lake and Baroni, 2018](https://arxiv.org/abs/1711.00350), section 2 and
      the grammar in the supplement
    - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 4
"""

import collections
import functools
import pathlib
import sys
from typing import NamedTuple

import numpy as np
from absl import app, flags

ACTIONS = {
    "walk": "I_WALK",
    "look": "I_LOOK",
    "run": "I_RUN",
    "jump": "I_JUMP",
}
TURNS = {"left": "I_TURN_LEFT", "right": "I_TURN_RIGHT"}
TIMES = {"twice": 2, "thrice": 3}
_OTHERS = ("turn", "opposite", "around", "and", "after")
INPUT_WORDS = tuple(sorted((*ACTIONS, *TURNS, *TIMES, *_OTHERS)))
OUTPUT_TOKENS = (*ACTIONS.values(), *TURNS.values())

SIMPLE = "simple"  # the full problem, independent draws
SPLITS = (SIMPLE, "length", "addprim_jump", "addprim_turn_left")
_TRAIN_SHARE = 0.8
_LONGEST = 22  # actions in the training part of the length split
_PRIMITIVE_SHARE = 9  # other commands for each copy of the new primitive


class Example(NamedTuple):
    """A command and what it means, both as words with one blank between.

    Attributes:
        command: Str.
        actions: Str.
    """

    command: str
    actions: str


class Split(NamedTuple):
    """The two parts of the data.

    Attributes:
        train: List of `Example`s; some stand there many times.
        test: List of `Example`s.
    """

    train: list
    test: list


@functools.cache
def every_example():
    """Returns all 20,910 examples, a tuple.

    >>> [e.actions for e in every_example() if e.command == "run after walk"]
    ['I_WALK I_RUN']
    """
    single = _phrases()
    for command, actions in [*single.items()]:
        for word, count in TIMES.items():
            single[f"{command} {word}"] = actions * count
    found = dict(single)
    for first, one in single.items():
        for second, two in single.items():
            found[f"{first} and {second}"] = one + two
            found[f"{first} after {second}"] = two + one
    return tuple(Example(c, " ".join(a)) for c, a in found.items())


def split(name, seed=0):
    """Returns one of the splits.

    "length", "addprim_jump" and "addprim_turn_left" are the published ones,
    repeated lines included. "simple" is random there, too, and its seed is not
    known: this one is *not the official draw*, but has its sizes and law.

    Args:
        name: One of `SPLITS`.
        seed: Int >= 0. Which four fifths "simple" trains on; the others are
            the same for every seed.

    Returns:
        `Split`.

    Raises:
        ValueError: If there is no such split, or `seed` is negative.

    >>> train, test = split("length")
    >>> len(train), len(test)
    (16990, 3920)
    """
    if name not in SPLITS:
        raise ValueError(
            f"`split` must be one of {', '.join(SPLITS)}, got {name!r}."
        )
    if seed < 0:
        raise ValueError(f"`seed` must be at least 0, got {seed!r}.")
    examples = every_example()
    if name == SIMPLE:
        order = np.random.default_rng(seed).permutation(len(examples))
        size = round(_TRAIN_SHARE * len(examples))
        parts = np.sort(order[:size]), np.sort(order[size:])
        return Split(*([examples[i] for i in part] for part in parts))
    if name == "length":
        is_short = {e: len(e.actions.split()) <= _LONGEST for e in examples}
        return Split(
            [e for e in examples if is_short[e]],
            [e for e in examples if not is_short[e]],
        )
    # The words stand side by side: "turn around left" is another command.
    primitive = name.removeprefix("addprim_").replace("_", " ")
    train = [e for e in examples if primitive not in e.command]
    (alone,) = (e for e in examples if e.command == primitive)
    test = [e for e in examples if primitive in e.command and e != alone]
    copies = len(train) // _PRIMITIVE_SHARE
    return Split(train + [alone] * copies, test)


def file_name(part, name):
    """Returns what a file is called: `part` is "train" or "test"."""
    return f"tasks_{part}_{name}.txt"


def line(example):
    """Returns an example as a line of the published files, without its end.

    >>> line(Example("jump left", "I_TURN_LEFT I_JUMP"))
    'IN: jump left OUT: I_TURN_LEFT I_JUMP'
    """
    return f"IN: {example.command} OUT: {example.actions}"


def write(name, folder, seed=0):
    """Writes both parts of a split to `tasks_train_NAME.txt` and so on.

    Args:
        name: As in `split`.
        folder: Path; it is made if it is not there.
        seed: As in `split`.

    Returns:
        List of the two paths.
    """
    parts = split(name, seed)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for part, examples in parts._asdict().items():
        path = folder / file_name(part, name)
        path.write_text("".join(f"{line(e)}\n" for e in examples), "utf-8")
        paths.append(path)
    return paths


def read(path):
    """Returns the examples in a file of the published format, a list.

    Raises:
        ValueError: If a line is no example, with its number; or if there is
            none.
    """
    try:
        lines = pathlib.Path(path).read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text: {error}.") from error
    if not lines:
        raise ValueError(f"{path} has no line.")
    return [_parse(path, i + 1, text) for i, text in enumerate(lines)]


def difference(examples, others):
    """Returns what two lists lack of each other, each line as often as it is.

    Args:
        examples: List of `Example`s.
        others: List of `Example`s.

    Returns:
        Two `collections.Counter`s: what only `examples` have, and only
        `others`. Both are empty where the lists differ in order alone.
    """
    examples = collections.Counter(examples)
    others = collections.Counter(others)
    return examples - others, others - examples


def compare(path, name, seed=0):
    """Returns how a file compares with the split of that name, in words.

    Args:
        path: Path of a file in the published format. It is compared with the
            part it has more lines of.
        name: As in `split`.
        seed: As in `split`.

    Returns:
        Whether they are equal as multisets, and a sentence.

    Raises:
        ValueError: As `read` and `split` do.
    """
    parts, found = split(name, seed)._asdict(), read(path)
    both = {
        part: difference(examples, found) for part, examples in parts.items()
    }
    part = min(both, key=lambda p: sum(c.total() for c in both[p]))
    missing, extra = both[part]
    says = f"{path}: {len(found)} lines, those of the {part} part of {name}"
    if not missing and not extra:
        return True, f"{says}."
    for words, lines in (("lacking", missing), ("besides", extra)):
        if lines:
            first = line(next(iter(lines)))
            says += f", {words} {lines.total()} ({first!r}, say)"
    return False, f"{says}."


def _phrases():
    """Returns what a verb and a direction mean: command to list of actions."""
    verbs = {verb: [action] for verb, action in ACTIONS.items()}
    found = dict(verbs)
    for direction, turn in TURNS.items():
        for verb, acts in {**verbs, "turn": []}.items():
            found[f"{verb} {direction}"] = [turn, *acts]
            found[f"{verb} opposite {direction}"] = [turn, turn, *acts]
            found[f"{verb} around {direction}"] = [turn, *acts] * 4
    return found


def _parse(path, number, text):
    command, found, actions = text.removeprefix("IN: ").partition(" OUT: ")
    if not text.startswith("IN: ") or not found:
        raise ValueError(
            f"{path}, line {number}: must be 'IN: words OUT: ACTIONS', got "
            f"{text!r}."
        )
    example = Example(*(" ".join(p.split()) for p in (command, actions)))
    for words, known in zip(example, (INPUT_WORDS, OUTPUT_TOKENS)):
        strange = [word for word in words.split() if word not in known]
        if strange or not words:
            raise ValueError(
                f"{path}, line {number}: must hold words of "
                f"{', '.join(known)}, got {(strange or [''])[0]!r}."
            )
    return example


def main(argv):
    """Writes and compares what the flags ask for; status 1 if files differ."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
    chosen = flags.FLAGS
    try:
        if not chosen.output_dir and not chosen.compare:
            raise ValueError("Give --output_dir, --compare or both.")
        results = [
            compare(path, chosen.split, chosen.seed) for path in chosen.compare
        ]
        if chosen.output_dir:
            for path in write(chosen.split, chosen.output_dir, chosen.seed):
                sys.stdout.write(f"{path}\n")
        if chosen.split == SIMPLE:
            sys.stdout.write(
                f"{SIMPLE} is drawn with --seed={chosen.seed}; it is not the "
                "official draw.\n"
            )
    except (ValueError, OSError) as error:
        sys.exit("Error: " + " ".join(str(error).split()))
    for _, says in results:
        sys.stdout.write(f"{says}\n")
    if not all(is_equal for is_equal, _ in results):
        sys.exit(1)


def define_flags(values=flags.FLAGS):
    """Defines the flags. Call it under the `__main__` guard."""
    shared = {"flag_values": values}
    flags.DEFINE_string(
        "split", SIMPLE, f"One of {', '.join(SPLITS)}.", **shared
    )
    flags.DEFINE_string("output_dir", "", "Folder for the files.", **shared)
    flags.DEFINE_integer("seed", 0, f"Of the split `{SIMPLE}`.", **shared)
    flags.DEFINE_list("compare", [], "Files to compare with it.", **shared)


if __name__ == "__main__":
    define_flags()
    app.run(main)
