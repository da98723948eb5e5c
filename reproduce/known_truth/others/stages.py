"""Known truth of others: stages of others_ground."""

import dataclasses
import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from modularity_tf.masking import find_weights
from reproduce.known_truth.others import (
    circuits,
    columns,
    decoys,
    methods,
    programs,
    stacked_masks,
    superposition,
    transformer,
)
from reproduce.publishing import records
from reproduce.running import configuration, training
from reproduce.running.configuration import field
from reproduce.running.run import Run
from reproduce.running.stage import Stage

PROGRAMS, SUPERPOSITION = "programs", "superposition"
PLAIN, DECOYS = "plain", "decoys"
_TRACING_STEPS = 500  # a mask's model takes as long to make ready
_HUNDRED = 100  # steps of toy models are counted in hundreds


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag."""

    seeds: tuple[int, ...] = field(
        tuple(range(10)),
        "Seeds: of decoys, of examples and of masks.",
        part=True,
        at_least=0,
        less_than=2**31,
        distinct=True,
    )
    grounds: tuple[str, ...] = field(
        (PROGRAMS, SUPERPOSITION),
        "Where methods are tried: compiled programs, which need the extra "
        "`tracr`, and toy models of superposition.",
        part=True,
        one_of=(PROGRAMS, SUPERPOSITION),
        distinct=True,
    )
    programs: tuple[str, ...] = field(
        tuple(programs.VOCABULARIES),
        "Compiled programs. Without decoys, only those are looked at that "
        "others published numbers of.",
        part=True,
        one_of=tuple(programs.VOCABULARIES),
        distinct=True,
    )
    forms: tuple[str, ...] = field(
        (PLAIN, DECOYS),
        "Programs as they are compiled, of which others published numbers, or "
        "with decoys.",
        part=True,
        one_of=(PLAIN, DECOYS),
        distinct=True,
    )
    ablations: tuple[str, ...] = field(
        transformer.ABLATIONS,
        "What a weight that is removed is: zero, or what it would weigh on "
        "another list.",
        part=True,
        one_of=transformer.ABLATIONS,
        distinct=True,
    )
    methods: tuple[str, ...] = field(
        methods.METHODS,
        "Who looks for nodes and edges: `mask` is `find_weights`, `edges` the "
        "same where each edge has a weight, `gates` is `find_neurons` with "
        "learned gates, `gates_mask` is `find_weights` in what these keep, the "
        "others are `weight_scores`.",
        part=True,
        one_of=methods.METHODS,
        distinct=True,
    )
    kinds: tuple[str, ...] = field(
        tuple(superposition.KINDS),
        "Kinds of toy models: features, neurons, with the identity or not.",
        part=True,
        one_of=tuple(superposition.KINDS),
        distinct=True,
    )
    networks: int = field(
        0,
        "Networks of each kind of toy model; 0 for as many as others "
        "published.",
        at_least=0,
    )
    mask_steps: int = field(
        0,
        "Training steps of a mask at each penalty; 0 for the default of "
        "find_weights.",
        at_least=0,
    )
    training_steps: int = field(
        10_000, "Training steps of toy models.", at_least=1
    )
    toy_batch_size: int = field(
        1024, "Batch size of their training.", at_least=1
    )


def plan(run: Run) -> list[dict[str, Any]]:
    """Plans everything; returns the records to be."""
    config, found = run.config, []
    if PROGRAMS in config.grounds:
        for name in config.programs:
            found += _plan_program(run, name)
    if SUPERPOSITION in config.grounds:
        found += [_plan_kind(run, kind) for kind in config.kinds]
    return found


def _plan_program(run, name):
    """Plans all methods on a program, with decoys and without."""
    config = run.config
    compiled = run.stage(f"programs/{name}/compiled", compile_program, name)
    found = []
    for form in config.forms:
        if form == PLAIN and name not in programs.PUBLISHED:
            continue
        for ablation in config.ablations:
            if form == DECOYS and ablation != "zero":
                continue
            for seed in config.seeds:
                entry = {
                    method: run.stage(
                        f"programs/{name}/{form}/{ablation}/{method}/seed{seed}",
                        look,
                        compiled,
                        form,
                        ablation,
                        method,
                        seed=seed,
                        steps=_steps(config, method),
                        phase="masks"
                        if _steps(config, method) > 1
                        else "scores",
                    )
                    for method in config.methods
                }
                found.append(
                    {
                        "ground": PROGRAMS,
                        "program": name,
                        "form": form,
                        "ablation": ablation,
                        "seed": seed,
                        "truth": run.combine(
                            told_of_truth, compiled, form, seed
                        ),
                        "found": entry,
                    }
                )
    return found


def _steps(config, method):
    if method not in methods.SCORES:
        searches = 2 if method == methods.GATES_MASK else 1
        typical = find_weights.typical_steps(config.mask_steps)
        return searches * (_TRACING_STEPS + typical)
    return 1


def _plan_kind(run, name):
    """Plans the masks of the networks of a kind of toy model."""
    config, seed = run.config, run.config.seeds[0]
    networks = run.stage(
        f"superposition/{name}/networks",
        train_networks,
        name,
        seed=seed,
        steps=-(-config.training_steps // _HUNDRED),
        phase="toys",
    )
    masks = run.stage(
        f"superposition/{name}/masks",
        find_columns,
        name,
        networks,
        seed=seed,
        steps=find_weights.typical_steps(config.mask_steps),
        phase="masks",
    )
    return {"ground": SUPERPOSITION, "kind": name, "networks": masks}


def compile_program(stage: Stage, name: str) -> dict[str, Any]:
    """Returns a compiled program and what it needs.

    Returns:
        Dict of `program`, as `Program.as_json` has it, and of `nodes`,
        `edges`, `alone` and `weights`, as `Truth` has them.
    """
    program, _ = programs.compiled(name)
    truth = circuits.truth(program)
    return {
        "program": program.as_json(),
        "nodes": dict(truth.nodes),
        "edges": [[*edge, needed] for edge, needed in truth.edges.items()],
        "alone": truth.alone,
        "weights": {
            path: np.flatnonzero(flags).tolist()
            for path, flags in truth.weights.items()
        },
    }


def program_of(
    compiled: dict[str, Any],
) -> tuple[programs.Program, circuits.Truth]:
    """Returns the program that `compile_program` wrote, and its truth."""
    program = programs.Program.from_json(compiled["program"])
    weights = {}
    for path, where in compiled["weights"].items():
        weights[path] = np.zeros(program.kernels[path].shape, bool)
        weights[path].ravel()[where] = True
    return program, circuits.Truth(
        compiled["nodes"],
        {(a, b): needed for a, b, needed in compiled["edges"]},
        compiled["alone"],
        weights,
    )


def told_of_truth(
    compiled: dict[str, Any], form: str = PLAIN, seed: int = 0
) -> dict[str, Any]:
    """Returns how large a program is, and how much of it is needed.

    Args:
        compiled: What `compile_program` wrote.
        form: `PLAIN` or `DECOYS`.
        seed: Int, of decoys.

    Returns:
        Dict of counts, of `alone`, and of `is_not_zero`: whether the needed
        edges are just those at both of whose ends a weight is not zero.
    """
    program, truth = program_of(compiled)
    if form == DECOYS:
        program, truth, _ = decoys.with_decoys(program, truth, seed)
    ones = {path: np.ones(k.shape) for path, k in program.kernels.items()}
    _, there = circuits.scores_of_parts(program, ones)
    return {
        "nodes": sum(truth.nodes.values()),
        "of_nodes": len(truth.nodes),
        "edges": sum(truth.edges.values()),
        "of_edges": len(truth.edges),
        "alone": truth.alone,
        "is_not_zero": all(
            (there[edge] > 0) == needed for edge, needed in truth.edges.items()
        ),
        "weights": sum(int(v.sum()) for v in truth.weights.values()),
        "not_zero": sum(int((v != 0).sum()) for v in program.kernels.values()),
        "width": program.width,
    }


def look(
    stage: Stage,
    compiled: dict[str, Any],
    form: str,
    ablation: str,
    method: str,
) -> dict[str, Any]:
    """Returns what a method finds, as `methods.look` does."""
    program, truth = program_of(compiled)
    own = {path: kernel != 0 for path, kernel in program.kernels.items()}
    if form == DECOYS:
        program, truth, own = decoys.with_decoys(
            program, truth, stage.derive_seed("decoys")
        )
    found = methods.look(
        program,
        truth,
        own,
        method,
        ablation,
        steps=stage.config.mask_steps or None,
        seed=stage.derive_seed(method),
    )
    return records.without_nan(found)


def train_networks(stage: Stage, name: str) -> dict[str, Any]:
    """Returns the weights of all networks of a kind, as lists."""
    config, kind = stage.config, superposition.KINDS[name]
    weights = superposition.trained(
        kind,
        networks=config.networks or kind.networks,
        steps=config.training_steps,
        batch_size=config.toy_batch_size,
        seed=stage.derive_seed("networks"),
    )
    return {key: values.tolist() for key, values in weights.items()}


def find_columns(
    stage: Stage, name: str, networks: dict[str, Any]
) -> list[dict[str, Any]]:
    """Returns what `columns` says of the masks of each network."""
    kind = superposition.KINDS[name]
    weights = {k: np.array(v, "float32") for k, v in networks.items()}
    find = functools.partial(
        stacked_masks.find, kind, weights, steps=stage.config.mask_steps
    )
    found = find(seed=stage.derive_seed("masks"))
    if kind.form == "residual":
        again = find(seed=stage.derive_seed("masks", "again"))
        return columns.answers(kind, found, again)
    seed = stage.derive_seed("random")
    return records.without_nan(columns.judge(kind, weights, found, seed))


def phases(config: Config) -> dict[str, training.Phase]:
    """Returns what the estimate times: toy models, masks, and scores."""
    kind = superposition.KINDS["5-2"]
    rng = np.random.default_rng(0)
    weights = {  # of a network that performs: two features, two neurons
        "columns": np.eye(kind.features, kind.neurons)[None],
        "bias": np.zeros((1, kind.features)),
    }
    features = rng.random((512, kind.features), "float32")

    def train(count):
        superposition.trained(
            kind,
            networks=kind.networks,
            steps=_HUNDRED * count,
            batch_size=config.toy_batch_size,
            seed=0,
        )

    def find(count):
        inputs = keras.Input((kind.features,))
        stack = stacked_masks.Stack(kind, weights, np.array([0]))
        find_weights.find_weights(
            keras.Model(inputs, stack(inputs)),
            (features, features[:, :1]),
            loss="mean_squared_error",
            metrics=[],
            alpha=1e-5,
            steps=_HUNDRED * count,
            verbose=0,
        )

    def score(count):
        for _ in range(count):
            superposition.drawn(kind, 512, tf.random.Generator.from_seed(0))

    return {
        "toys": training.Phase(train),
        "masks": training.Phase(find, unit=_HUNDRED),
        "scores": training.Phase(score),
    }
