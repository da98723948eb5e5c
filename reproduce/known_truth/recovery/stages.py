"""Every method looks for what was planted: stages of planted."""

import dataclasses

import numpy as np

from modularity_tf.findings import overlap, weight_mask
from modularity_tf.masking import find_weights
from modularity_tf.planted import rotated
from modularity_tf.planted.scores import agreement, score, truth
from modularity_tf.units import clustering, similarity
from reproduce.known_truth.recovery import cases, finders
from reproduce.publishing import records
from reproduce.running import configuration, training
from reproduce.running.configuration import field

METHODS = finders.METHODS
ALL_METHODS = (*METHODS, *finders.UNITS)
CONTROLS = ("seeds", "twin")
CLUSTER_MEASURES = ("covariance", "normalized_covariance")
ROTATIONS = 39  # random bases that a layer's modularity is compared with
# What a mask costs, in steps of training: several are tried, one after the
# other, by the search; making the model ready takes as long as some steps.
_TRACING_STEPS = 500  # of a mask


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag."""

    seeds: tuple[int, ...] = field(
        tuple(range(10)),
        "Seeds; each makes one network of each case.",
        part=True,
        at_least=0,
        less_than=2**31,
        distinct=True,
    )
    cases: tuple[str, ...] = field(
        tuple(
            case
            for case in (*cases.CASES, *cases.CONTROLS)
            if case not in cases.LOUDER
        ),
        "Cases: which kinds of networks to build.",
        part=True,
        one_of=cases.ALL,
        distinct=True,
    )
    methods: tuple[str, ...] = field(
        METHODS,
        "Who looks for it; `mask` is `find_weights`, `mask_paper` the same "
        "with masks drawn as in the paper; `gates` is `find_neurons` with "
        "learned gates. Each looks where it can.",
        part=True,
        one_of=ALL_METHODS,
        distinct=True,
    )
    controls: tuple[str, ...] = field(
        CONTROLS,
        "What masks are compared with: `seeds`, the mask found once more; "
        "`twin`, that of the network with its weights dealt out anew.",
        part=True,
        one_of=CONTROLS,
        distinct=True,
    )
    examples: int = field(
        4000,
        "Largest number of inputs to train on; never more than half of all.",
        at_least=8,
    )
    mask_steps: int = field(
        0,
        "Training steps of a mask at each penalty; 0 for the default of "
        "find_weights.",
        at_least=0,
    )
    popup_epochs: int = field(10, "Training epochs of edge-popup.", at_least=1)


def plan(run):
    """Plans every method on every case and seed; returns the records."""
    return [
        plan_control(run, case, seed)
        if case in cases.CONTROLS
        else plan_network(run, case, seed)
        for seed in run.config.seeds
        for case in run.config.cases
    ]


def plan_network(run, case, seed):
    """Plans all methods on one network; returns the record to be."""
    config = run.config

    def stage(what, *args, steps=1, phase="methods"):
        name = f"{case}/seed{seed}/{what}"
        return run.stage(name, *args, seed=seed, steps=steps, phase=phase)

    def masks(what, function, *args):
        steps = _TRACING_STEPS + find_weights.typical_steps(config.mask_steps)
        return stage(what, function, *args, steps=steps, phase="masks")

    # A stage a method: which are asked for must not change what one finds.
    parts, first = [], None
    record = {"case": case, "seed": seed}
    if "mask" in config.methods:
        first = masks("mask", look_for_mask, case)
        is_shown = seed == config.seeds[0]
        parts.append(run.combine(told_of_mask, first, is_shown))
        # The others have its settings, found without another search.
        if config.controls and case not in cases.MORE:
            record["controls"] = {
                name: run.combine(
                    without_curve,
                    masks(name, _CHECKS[name], case, first),
                )
                for name in config.controls
            }
        if cases.measures_sharing(case):
            record["sharing"] = masks("sharing", measure_sharing, case, first)
    for method in config.methods:
        if method in ("mask_paper", "gates"):
            parts.append(masks(method, look, case, method))
        elif method != "mask":
            parts.append(stage(method, look, case, method))
    return {**record, "found": run.combine(merged, config.methods, *parts)}


def plan_control(run, case, seed):
    """Plans what methods say of a layer that may have no parts."""
    name = f"{case}/seed{seed}/answers"
    answers = run.stage(
        name, ask_for_sharing, case, seed=seed, steps=1, phase="methods"
    )
    return {"case": case, "seed": seed, "answers": answers}


def without_curve(found):
    """Returns scores without their curve, which no figure shows."""
    return {key: value for key, value in found.items() if key != "curve"}


def merged(methods, *parts):
    """Returns the scores of all methods, in order, neurons and clusters."""
    found = {}
    for part in parts:
        for key, values in part.items():
            found.setdefault(key, {}).update(values)
    for of_method in (found.get("scores", {}), found.get("neurons", {})):
        for method, entry in of_method.items():
            curve = [round(value, 2) for value in entry["curve"]]
            of_method[method] = {**entry, "curve": curve}
    scores = found.get("scores", {})
    found["scores"] = {m: scores[m] for m in methods if m in scores}
    return found


def phases(config):
    """Returns what the estimate times: other methods, and steps of masks."""
    case = config.cases[0]
    planted = cases.network(case, 0)
    trained = (*finders.MASKS, "gates")
    methods = [m for m in config.methods if m not in trained]

    def work(count):
        for i in range(count):
            method = methods[i % len(methods)]
            find_and_score(config, planted, method, seed=0)

    def train(count):
        data, validation = planted.split(0, config.examples, 0)
        loss, accuracy = planted.objective(0)
        find_weights.find_weights(
            planted.model,
            data,
            validation,
            loss=loss,
            metrics=[accuracy],
            layers=planted.layers,
            alpha=1e-5,
            steps=100 * count,
            verbose=0,
        )

    return {
        "methods": training.Phase(work),
        "masks": training.Phase(train, unit=100),
    }


def look(stage, case, method):
    """Returns what a method finds of the first task of a network.

    Returns:
        Dict of `scores` or `neurons`, each a dict by method, or `clusters`,
        the agreement with the modules by measure. Empty where the method can't
        look.
    """
    planted = cases.network(case, stage.seed)
    seed = stage.derive_seed(method)
    whole = case in cases.MORE
    return find_and_score(stage.config, planted, method, seed, whole)


def find_and_score(config, planted, method, seed, whole=False):
    """Does the work of `look`."""
    if not finders.applies(planted, method):
        return {}
    if method == "neurons":
        found = {
            name: scored(planted, chosen)
            for name, chosen in finders.find_neurons(
                config, planted, 0, seed
            ).items()
        }
        return records.without_nan({method: found})
    if method in finders.UNITS:
        finding, told = finders.find_units(
            config, planted, 0, method, seed, whole
        )
        found = {**scored(planted, finding), **told}
        return records.without_nan({"neurons": {method: found}})
    if method == "clusters":
        found = {
            measure: agreement(clusters, planted, layer)
            for layer, of_layer in finders.find_clusters(
                config, planted, seed
            ).items()
            for measure, clusters in of_layer.items()
        }
        return records.without_nan({method: found})
    finding, told = finders.find(config, planted, 0, method, seed, whole=whole)
    found = {**scored(planted, finding), **told}
    return records.without_nan({"scores": {method: found}})


def scored(planted, finding):
    """Returns how well a finding tells the first task's truth, a dict.

    Of what can't be told of a ranking there are no keys.
    """
    found = score(finding, planted)
    keys = ["auroc", "average_precision", "chance"]
    keys += [] if found.recall is None else ["precision", "recall"]
    record = {key: getattr(found, key) for key in keys}
    if found.curve is not None:
        record["curve"] = [*found.curve]
    if found.false_positives is not None:
        record["false_positives"] = dict(found.false_positives)
    return record


def look_for_mask(stage, case):
    """Returns the mask of the first task, and its scores.

    Returns:
        Dict of `mask`, a `WeightMask`, and of `told`: the scores, and of some
        cases a drawing of what was found and missed.
    """
    config, planted = stage.config, cases.network(case, stage.seed)
    seed, whole = stage.derive_seed("mask"), case in cases.MORE
    mask, told = finders.find(config, planted, 0, "mask", seed, whole=whole)
    found = {"scores": {"mask": {**scored(planted, mask), **told}}}
    if case in cases.CASES:
        found["drawing"] = drawing(planted, mask.scores, mask.values)
    alone = weight_mask.WeightMask(dict(mask.values))
    return {"mask": alone, "told": records.without_nan(found)}


def told_of_mask(found, is_shown):
    """Returns what `look_for_mask` told, the drawing of shown ones alone."""
    told = found["told"]
    return {k: told[k] for k in told if is_shown or k != "drawing"}


def drawing(planted, scores, kept):
    """Returns, by weight path, what became of each weight, lists of ints.

    0 for no connection or one that does not count, 1 found, 2 missed, 3 a
    false alarm, 4 rightly left out.
    """
    needed, counts = truth(planted, scores)
    return {
        path: np.select(
            [~counts[path], flags & kept[path], flags, kept[path]],
            [0, 1, 2, 3],
            4,
        ).tolist()
        for path, flags in needed.items()
    }


def settings_of(first):
    """Returns the settings of a mask that was found, to find others with."""
    told = first["told"]["scores"]["mask"] if first else {}
    settings = finders.SETTINGS.items()
    return {key: told[name] for key, name in settings if name in told}


def find_again(stage, case, first):
    """Returns the overlap with a mask from other seeds and examples.

    Returns:
        Dict of `jaccard`, and `chance`, that of random masks.
    """
    planted = cases.network(case, stage.seed)
    seed = stage.derive_seed("mask", "again")
    mask, _ = finders.find(
        stage.config, planted, 0, "mask", seed, settings_of(first)
    )
    absent = planted.weights(0, "absent")
    shared = overlap.between(
        *(_among(each, absent) for each in (first["mask"], mask))
    )
    return records.without_nan(
        {"jaccard": shared.jaccard, "chance": shared.expected_jaccard}
    )


def find_in_twin(stage, case, first):
    """Returns the scores of a mask of the network with weights dealt anew."""
    seed = stage.derive_seed("mask", "twin")
    twin = cases.network(case, stage.seed).shuffled(seed)
    mask, told = finders.find(
        stage.config, twin, 0, "mask", seed, settings_of(first)
    )
    found = {**scored(twin, mask), **told}
    return records.without_nan({**found, "keep_fraction": mask.keep_fraction})


_CHECKS = dict(zip(CONTROLS, (find_again, find_in_twin), strict=True))


def _among(mask, absent):
    """Returns which of the weights that are there a mask keeps."""
    return {path: mask.values[path][~flags] for path, flags in absent.items()}


def measure_sharing(stage, case, first):
    """Returns the share of the first task's units that both need.

    Returns:
        Dict of `true` and `found`: of the units into which weights of a mask
        lead, how many have weights of the other mask.
    """
    planted = cases.network(case, stage.seed)
    second, _ = finders.find(
        stage.config,
        planted,
        1,
        "mask",
        stage.derive_seed("mask", 1),
        settings_of(first),
    )
    found = [_units_of(mask, planted) for mask in (first["mask"], second)]
    true, found = (
        overlap.between(*sets[:2]).share for sets in (planted.units, found)
    )
    return records.without_nan({"true": true, "found": found})


def _units_of(mask, planted):
    """Returns the units into which weights of a mask lead, by layer."""
    return {
        layer: mask.values[f"{layer}/kernel"].any(axis=0)
        for layer in planted.units[0]
    }


def ask_for_sharing(stage, case):
    """Returns what methods for units say of a layer, and if they may.

    Methods for neurons are asked which units two tasks share, and those for
    clusters how modular the layer is.

    Returns:
        Dict by method of `value`, `chance` and a `p`: how often chance has a
        value as far from what it has on average, or as high for clusters. For
        neurons chance is that of random sets, for clusters the same layer in
        random bases.
    """
    config, planted = stage.config, cases.network(case, stage.seed)
    sets = [
        finders.find_neurons(
            config, planted, task, stage.derive_seed("neurons", task)
        )
        for task in (0, 1)
    ]
    found = {}
    for name in finders.NEURONS:
        both = [each[name] for each in sets]
        shared = both[0].overlap(both[1])
        apart = both[0].overlap(~both[1])
        p = min(shared.p_value(), apart.p_value())
        found[name] = {
            "value": shared.share,
            "chance": shared.expected_share,
            "p": min(1.0, 2 * p) if shared.first and shared.second else None,
        }
    found |= {
        measure: ask_for_modularity(planted, measure, stage.derive_seed("q"))
        for measure in CLUSTER_MEASURES
    }
    return records.without_nan(found)


def ask_for_modularity(planted, measure, seed):
    """Returns a layer's modularity beside that in random bases."""
    units = rotated.activations(planted, planted.inputs)
    covariance = np.cov(units, rowvar=False)
    rng, values, labels = np.random.default_rng(seed), [], None
    for i in range(1 + ROTATIONS):
        basis = np.eye(len(covariance))
        if i:
            basis = rotated.random_rotation(rng, len(covariance))
        matrix = np.abs(basis.T @ covariance @ basis)
        matrix = (matrix + matrix.T) / 2
        if measure.startswith("normalized"):
            matrix = similarity.normalize(matrix)
        clusters = clustering.find_clusters(matrix, restarts=0, seed=seed)
        labels = clusters if labels is None else labels
        values.append(clustering.modularity(matrix, clusters))
    value, others = values[0], np.array(values[1:])
    return {
        "value": value,
        "chance": float(others.mean()),
        "p": float((1 + np.sum(others >= value)) / (1 + ROTATIONS)),
        "agreement": agreement(labels, planted, "mix"),
    }
