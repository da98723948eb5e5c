"""What part of a network that others trained does one kind of text need?

Stages of real_networks. In deepcut: the weights, and the units, that English
words need; the same procedure on the randomly initialized network. In
chars2vec: the weights that words need, and those that numbers need.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import modularity_tf as mtf
from modularity_tf.masking import find_weights, penalty_path
from modularity_tf.network import copying, evaluation, scoring
from modularity_tf.soundness import kept_parts
from reproduce.pretrained import chars2vec, deepcut, texts
from reproduce.running import configuration, training
from reproduce.running.configuration import field
from reproduce.running.run import Run
from reproduce.running.stage import Stage

DEEPCUT, CHARS2VEC = "deepcut", "chars2vec"
WORDS, NUMBERS = "words", "numbers"  # the tasks of chars2vec
SEEN_BEFORE = 242  # weights, of the first mask that was seen in deepcut
_HELD_OUT = 0.3  # of the words
_STRINGS = 600  # random ones and numbers, of each seed
_SOUND_EXAMPLES, _SOUND_REMOVALS = 300, 20
_BATCH = 128  # windows of a timed step
_CHECK_STEPS = 200  # as long as so many steps of training, about


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag."""

    seeds: tuple[int, ...] = field(
        tuple(range(5)),
        "Seeds; each draws other words, and trains other masks.",
        part=True,
        at_least=0,
        less_than=2**31,
        distinct=True,
    )
    networks: tuple[str, ...] = field(
        (DEEPCUT, CHARS2VEC),
        "Networks that are taken apart.",
        part=True,
        one_of=(DEEPCUT, CHARS2VEC),
        distinct=True,
    )
    examples: int = field(
        2000, "Examples that each mask is found on.", at_least=50
    )
    checked: int = field(
        1000,
        "Examples of each kind of text that a mask is checked on.",
        at_least=50,
    )
    mask_steps: int = field(
        0,
        "Training steps of a mask at each penalty; 0 for the default of "
        "find_weights.",
        at_least=0,
    )
    controls: int = field(
        2,
        "In how many seeds, the first ones, to find the units of deepcut that "
        "are needed, too, and to do the same with the randomly initialized "
        "network, at the penalty and at the size of the part.",
        part=True,
        at_least=0,
    )
    random_parts: int = field(
        10, "Random parts that each finding is compared with.", at_least=1
    )


def plan(run: Run) -> list[dict[str, Any]]:
    """Plans all; returns the records to be, one for each seed.

    Raises:
        ValueError: If a package can't be had.
    """
    loaders = {DEEPCUT: deepcut.load, CHARS2VEC: chars2vec.load}
    for name in run.config.networks:
        loaders[name]()  # refused before any work
    records = []
    for seed in run.config.seeds:
        record: dict[str, Any] = {"seed": seed}
        if DEEPCUT in run.config.networks:
            record[DEEPCUT] = _plan_deepcut(run, seed)
        if CHARS2VEC in run.config.networks:
            record[CHARS2VEC] = _plan_chars2vec(run, seed)
        records.append(record)
    return records


def _plan_deepcut(run, seed):
    steps = find_weights.typical_steps(run.config.mask_steps)

    def stage(name, function, *needs, steps=_CHECK_STEPS, phase=None):
        place = f"seed{seed}/{DEEPCUT}/{name}"
        return run.stage(
            place, function, *needs, seed=seed, steps=steps, phase=phase
        )

    learned = functools.partial(stage, steps=steps, phase=DEEPCUT)
    weights = learned("weights", weights_of_english)
    record = {
        "weights": run.combine(record_of, weights),
        "accuracy": stage("accuracy", accuracy_of, weights),
        "soundness": stage("soundness", soundness_of, weights),
    }
    if seed in run.config.seeds[: run.config.controls]:
        units = learned("units", units_of_english)
        record |= {
            "units": run.combine(record_of, units),
            "units_accuracy": stage("units_accuracy", accuracy_of, units),
            "smaller": stage("smaller", smaller_of, units),
        }
        for name, function in (
            ("control", weights_of_untrained),
            ("control_of_size", as_many_of_untrained),
        ):
            control = learned(name, function, weights)
            record |= {
                name: run.combine(record_of, control),
                f"{name}_accuracy": stage(
                    f"{name}_accuracy", accuracy_of_untrained, control
                ),
            }
    return record


def _plan_chars2vec(run, seed):
    steps = find_weights.typical_steps(run.config.mask_steps)
    masks = {
        task: run.stage(
            f"seed{seed}/{CHARS2VEC}/{task}",
            weights_of_strings,
            task,
            seed=seed,
            steps=steps,
            phase=CHARS2VEC,
        )
        for task in (WORDS, NUMBERS)
    }
    return {
        task: run.stage(
            f"seed{seed}/{CHARS2VEC}/{task}_checked",
            checked_strings,
            mask,
            task,
            seed=seed,
            steps=_CHECK_STEPS,
        )
        for task, mask in masks.items()
    }


def phases(config: Config) -> dict[str, training.Phase]:
    """Returns what the estimate times: steps of a mask of each network."""
    found = {}
    if DEEPCUT in config.networks:
        windows = texts.windows(
            texts.LATIN, texts.english_words(), _BATCH, seed=0
        )
        found[DEEPCUT] = _phase(deepcut.load(), *windows)
    if CHARS2VEC in config.networks:
        model = chars2vec.load()
        vectors = _vectors(model, texts.numbers(_BATCH, 0))
        found[CHARS2VEC] = _phase(model, *vectors)
    return found


def _phase(model, x, y):
    masked = mtf.MaskedModel(model, num_samples=None, alpha=1e-5)
    steps = penalty_path.BLOCK
    masked.compile("adam", loss=model.loss, steps_per_execution=steps)
    batches = tf.data.Dataset.from_tensors((x, y)).repeat()

    def work(count):
        masked.fit(batches, steps_per_epoch=count * steps, verbose=0)

    return training.Phase(work, steps)


@functools.cache
def words_of(kind: str, seed: int) -> tuple[list[str], list[str]]:
    """Returns the words of a kind to find on, and those held out.

    Args:
        kind: One of `texts.KINDS`.
        seed: Int.
    """
    drawn: dict[str, Callable[[], Sequence[str]]] = {
        texts.RANDOM: lambda: texts.random_words(_STRINGS, seed),
        texts.DIGITS: lambda: texts.numbers(_STRINGS, seed),
        texts.NAMES: texts.capitalized_words,
        texts.THAI: deepcut.thai_words,
    }
    words = drawn.get(kind, texts.english_words)()
    return texts.split_words(sorted(set(words)), _HELD_OUT, seed)


def windows_of(stage: Stage, kind: str, *, held_out: bool) -> texts.Windows:
    """Returns windows of texts of a kind, for deepcut.

    Args:
        stage: `Stage`.
        kind: One of `texts.KINDS`.
        held_out: Bool. Whether the words are those held out.
    """
    words = words_of(kind, stage.seed)[held_out]
    count = stage.config.checked if held_out else stage.config.examples
    return texts.windows(
        kind, words, count, stage.derive_seed("windows", kind, held_out)
    )


def weights_of_english(stage: Stage) -> mtf.WeightMask:
    """Returns the weights of deepcut that English words need."""
    return _find(stage, mtf.find_weights, deepcut.load(), "weights")


def units_of_english(stage: Stage) -> mtf.NeuronSelection:
    """Returns the units of deepcut that English words need."""
    find = functools.partial(mtf.find_neurons, method="mask")
    return _find(stage, find, deepcut.load(), "units")


def weights_of_untrained(
    stage: Stage, weights: mtf.WeightMask
) -> mtf.WeightMask:
    """Returns what the same procedure finds where nothing was learned.

    Args:
        stage: `Stage`.
        weights: That of the trained network, whose penalty is taken: no mask
            keeps a performance that is not there.
    """
    model = untrained(stage)
    alpha = weights.provenance["alpha"]
    return _find(stage, mtf.find_weights, model, "control", alpha=alpha)


def as_many_of_untrained(
    stage: Stage, weights: mtf.WeightMask
) -> mtf.WeightMask:
    """Returns what the same procedure finds there at the size of the part.

    At the penalty of the trained network, nothing may be left to compare with.

    Args:
        stage: `Stage`.
        weights: That of the trained network, whose size is taken.
    """
    return _find(
        stage,
        mtf.find_weights,
        untrained(stage),
        "control_of_size",
        keep=weights.keep_fraction,
    )


def untrained(stage: Stage) -> keras.Model:
    """Returns deepcut as it is before training, compiled."""
    model = deepcut.load()
    made = copying.untrained(model, seed=stage.derive_seed("untrained"))
    made.compile("adam", loss=model.loss, metrics=["accuracy"])
    return made


def _find(stage, find, model, purpose, data=None, **settings):
    """Returns a mask of the task, found with the default settings."""
    if data is None:
        data = windows_of(stage, texts.LATIN, held_out=False)
    board = keras.callbacks.TensorBoard(stage.log_dir, write_graph=False)
    return training.search(
        stage,
        find,
        model,
        data,
        steps=stage.config.mask_steps or None,
        seed=stage.derive_seed(purpose),
        callbacks=[board],
        **settings,
    )


def record_of(found: mtf.WeightMask | mtf.NeuronSelection) -> dict[str, Any]:
    """Returns what a record has of a finding.

    Returns:
        Dict of `kept` and `size`; `layers`, from path to how many are kept;
        `alpha`, `steps` and `warnings` of the search; and `members`, the path
        and place of each part that is kept, of the first 2,000.
    """
    told = found.provenance
    flags = {path: np.flatnonzero(v) for path, v in found.values.items()}
    members = [f"{path}:{i}" for path, some in flags.items() for i in some]
    return {
        "kept": len(members),
        "size": sum(v.size for v in found.values.values()),
        "layers": {path: len(some) for path, some in flags.items()},
        "members": members[:2000],
        **{key: told[key] for key in ("alpha", "steps", "warnings")},
    }


def accuracy_of(
    stage: Stage, found: mtf.WeightMask | mtf.NeuronSelection
) -> dict[str, dict[str, float]]:
    """Returns how well deepcut does with a part alone, and without it.

    Args:
        stage: `Stage`.
        found: The part.

    Returns:
        Dict from kind of text to a dict from what is left of the network to
        its balanced accuracy on held-out words: `whole`, `alone`, `without`,
        and the means of random parts with as many members in each layer,
        `random_alone` and `random_without`. Of weights also `alone_242`,
        `without_242` and `random_without_242`, of as many weights with the
        highest scores.
    """
    model = deepcut.load()
    seeds = [stage.derive_seed("random", i) for i in range(_parts(stage))]
    shuffled = [found.shuffled(seed) for seed in seeds]
    parts = kept_parts.KeptParts(found, model, False)
    left = {
        "whole": [_all_of(parts.nothing)],
        "alone": [parts.alone(found.values)],
        "without": [parts.without(found.values)],
        "random_alone": [parts.alone(one.values) for one in shuffled],
        "random_without": [parts.without(one.values) for one in shuffled],
    }
    if isinstance(found, mtf.WeightMask):
        same = found.at(keep=SEEN_BEFORE / found.size)
        others = [same.shuffled(seed).values for seed in seeds]
        left |= {
            f"alone_{SEEN_BEFORE}": [parts.alone(same.values)],
            f"without_{SEEN_BEFORE}": [parts.without(same.values)],
            f"random_without_{SEEN_BEFORE}": [*map(parts.without, others)],
        }
    return _balanced_accuracy(stage, model, left)


def _parts(stage):
    return stage.config.random_parts


def _all_of(flags):
    return {path: np.ones_like(value) for path, value in flags.items()}


def accuracy_of_untrained(
    stage: Stage, control: mtf.WeightMask
) -> dict[str, dict[str, float]]:
    """Returns the same for the randomly initialized network.

    Args:
        stage: `Stage`.
        control: The mask that was found in it.

    Returns:
        As `accuracy_of`, of `whole` and `alone`.
    """
    left = {"whole": [_all_of(control.values)], "alone": [control.values]}
    return _balanced_accuracy(stage, untrained(stage), left)


def _balanced_accuracy(
    stage: Stage,
    model: keras.Model,
    left: Mapping[str, list[Mapping[str, np.ndarray]]],
) -> dict[str, dict[str, float]]:
    """Returns the mean of what is right of both answers, for each kind."""
    objective = scoring.objective(model, None, None)
    asked = evaluation.Evaluation(model, objective)
    found: dict[str, dict[str, float]] = {}
    for kind in texts.KINDS:
        inputs, begins = windows_of(stage, kind, held_out=True)
        batch = [(tuple(map(tf.constant, inputs)), tf.constant(begins))]
        found[kind] = {}
        for name, several in left.items():
            right = [asked.by_example(kept, batch) for kept in several]
            found[kind][name] = float(
                np.mean([_balanced(each, begins) for each in right])
            )
    return found


def _balanced(right, begins):
    """Returns the mean of the shares right where words begin and do not."""
    is_begin = begins.ravel() > 0.5
    return float((right[is_begin].mean() + right[~is_begin].mean()) / 2)


def soundness_of(stage: Stage, weights: mtf.WeightMask) -> dict[str, Any]:
    """Returns what `soundness.check` says on held-out English words."""
    model = deepcut.load()
    found = mtf.soundness.check(
        weights,
        model,
        windows_of(stage, texts.LATIN, held_out=True),
        untrained=untrained(stage),
        seed=stage.derive_seed("check"),
        examples=_SOUND_EXAMPLES,
        removals=_SOUND_REMOVALS,
    )
    return found.as_dict()


def smaller_of(stage: Stage, units: mtf.NeuronSelection) -> dict[str, Any]:
    """Returns how small a network is that computes what the units do.

    A layer can't be without units: one that none is needed of keeps its best.

    Args:
        stage: `Stage`.
        units: The units.

    Returns:
        Dict of `parameters` and `multiply_adds`, each before and after;
        `empty_layers`, how many layers keep a unit that is not needed;
        `difference`, the largest one of its outputs from those of the units in
        the whole network; and `accuracy`, its balanced accuracy, both on
        held-out English words.
    """
    model = deepcut.load()
    inputs, begins = windows_of(stage, texts.LATIN, held_out=True)
    units, count = with_a_unit_each(units)
    small = units.shrink(model, inputs=list(inputs))
    outputs, same = (
        each.predict(list(inputs), verbose=0)
        for each in (small.model, units.apply(model))
    )
    right = (outputs > 0.5) == (begins > 0.5)
    return {
        "parameters": [*small.parameters],
        "multiply_adds": [*small.multiply_adds],
        "empty_layers": count,
        "difference": float(np.abs(outputs - same).max()),
        "accuracy": _balanced(right.ravel(), begins),
    }


def with_a_unit_each(
    units: mtf.NeuronSelection,
) -> tuple[mtf.NeuronSelection, int]:
    """Returns units with the best one of each layer that has none of them.

    Args:
        units: A selection; of one without scores the first unit is taken.

    Returns:
        `NeuronSelection`, and how many layers had none.
    """
    values, count = dict(units.values), 0
    for path, flags in units.values.items():
        if not flags.any():
            scores = (units.scores or units.values)[path]
            values[path] = np.arange(flags.size) == scores.argmax()
            count += 1
    return mtf.NeuronSelection(values, units.provenance), count


def strings_of(task: str, seed: int, *, held_out: bool) -> list[str]:
    """Returns the strings of a task of chars2vec.

    Args:
        task: "words" or "numbers".
        seed: Int.
        held_out: Bool. Whether they are those held out.
    """
    kind = {WORDS: texts.LATIN, NUMBERS: texts.DIGITS}[task]
    return words_of(kind, seed)[held_out]


def _vectors(model, strings):
    """Returns strings as chars2vec reads them, and its vectors of them."""
    inputs = chars2vec.encode(strings)
    return inputs, model.predict(inputs, verbose=0)


def weights_of_strings(stage: Stage, task: str) -> mtf.WeightMask:
    """Returns the weights that chars2vec needs for its vectors of strings.

    Args:
        stage: `Stage`.
        task: "words" or "numbers".
    """
    model = chars2vec.load()
    data = _vectors(model, strings_of(task, stage.seed, held_out=False))
    return _find(stage, mtf.find_weights, model, task, data)


def checked_strings(
    stage: Stage, mask: mtf.WeightMask, task: str
) -> dict[str, Any]:
    """Returns what a mask of chars2vec keeps, and what it does.

    Args:
        stage: `Stage`.
        mask: That of the task.
        task: "words" or "numbers".

    Returns:
        Dict of what `record_of` returns but `members`; `rows`, from "letters",
        "digits" and "others" to how many weights of their rows of the first
        kernel the mask keeps, and how many there are; and `explained`, from a
        task to how much of the vectors' squares the mask `alone`, the network
        `without` it, and random masks alone, `random`, explain.
    """
    model = chars2vec.load()
    (kernel,) = (
        value
        for value in mask.values.values()
        if value.shape[0] == len(chars2vec.CHARACTERS)
    )
    kinds = np.array([_kind_of(c) for c in chars2vec.CHARACTERS])
    record = record_of(mask)
    del record["members"]
    return {
        **record,
        "rows": {
            kind: [int(kernel[kinds == kind].sum()), kernel[kinds == kind].size]
            for kind in ("letters", "digits", "others")
        },
        "explained": {
            other: _explained(stage, model, mask, other)
            for other in (WORDS, NUMBERS)
        },
    }


def _kind_of(character):
    if character.isdigit():
        return "digits"
    return "letters" if character.isalpha() else "others"


def _explained(stage, model, mask, task):
    """Returns how much of a task's vectors is explained by what is left."""
    strings = strings_of(task, stage.seed, held_out=True)
    batch = [tuple(map(tf.constant, _vectors(model, strings)))]
    asked = evaluation.Evaluation(model, scoring.objective(model, None, None))
    none = {path: np.zeros_like(v) for path, v in mask.values.items()}
    seeds = [stage.derive_seed("random", i) for i in range(_parts(stage))]
    left = {
        "alone": [mask.values],
        "without": [(~mask).values],
        "random": [mask.shuffled(seed).values for seed in seeds],
    }
    nothing = asked.by_example(none, batch).mean()
    return {
        name: float(
            1
            - np.mean([asked.by_example(kept, batch).mean() for kept in some])
            / nothing
        )
        for name, some in left.items()
    }
