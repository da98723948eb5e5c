"""What is asked of a model: weights, neurons, units, and are they sound?"""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

import modularity_tf as mtf
from modularity_tf.masking import find_weights
from modularity_tf.network import copying
from modularity_tf.units import similarity
from reproduce.own_model.subject import Subject, file_digest, in_one_line
from reproduce.publishing import records, report
from reproduce.running import configuration, training
from reproduce.running.configuration import field

QUESTIONS = ("weights", "neurons", "units")
ALL = "all"  # the mask of the whole task
REFUSED = "refused"  # key of an artifact: why there is no answer
# Of `find_weights`, by their names in records.
_SETTINGS = {"alpha": "alpha", "initial_keep_probability": "keep_probability"}
_TOLD = {**_SETTINGS, "warnings": "warnings", "against": "against"}
_MOST_UNITS = 256  # of a similarity matrix that is drawn
_CHECK_STEPS, _NEURON_STEPS, _UNIT_STEPS = 500, 20, 200  # as long, about


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag.

    A run is named by what the files of model and data hold, not by their
    paths: another model of the same name has a run folder of its own.
    """

    model: str = field(
        "", "File of your compiled model, written by `model.save(FILE)`."
    )
    data: str = field(
        "",
        "File of arrays x and y (x0, x1, ... for several inputs), "
        "`np.savez(FILE, x=x, y=y)`; best data that it was not trained on.",
    )
    import_: tuple[str, ...] = field(
        (),
        "Modules to import before the model is read: those of its own layers "
        "and losses, registered with keras.saving.",
        names_run=False,
    )
    loss: tuple[str, ...] = field(
        (),
        "Loss of the task, by its name in Keras, in place of the model's own; "
        "the file is read without how it was trained then. With "
        "cross-entropies, performance is the accuracy.",
    )
    output: str = field(
        "", "Name of the output that y is for, of a model with several."
    )
    layers: tuple[str, ...] = field(
        (),
        "Names of the layers whose neurons and units to look at, recurrent "
        "ones, say; all hidden Conv and Dense layers if empty.",
    )
    questions: tuple[str, ...] = field(
        QUESTIONS,
        "Which questions to ask.",
        part=True,
        one_of=QUESTIONS,
        distinct=True,
    )
    task_label: tuple[int, ...] = field(
        (),
        "Numbers of the classes to ask about; all classes if empty.",
        part=True,
        at_least=0,
        distinct=True,
    )
    checked: float = field(
        0.3,
        "Share of the examples that is held out, to check findings on.",
        above=0,
        less_than=1,
    )
    mask_steps: int = field(
        0,
        "Training steps of a mask at each penalty; 0 for the default of "
        "find_weights.",
        at_least=0,
    )
    alpha: float = field(
        0.0,
        "Penalty on each logit of a mask; 0 to choose it by performance.",
        at_least=0,
    )
    percentile: float = field(
        70.0,
        "A class uses the neurons above this percentile of their layer.",
        at_least=0,
        at_most=100,
    )
    against_rest: bool = field(
        False,
        "Take only the neurons that are more active for a class than for the "
        "other classes. By the paper's rule, all classes may use the same.",
    )
    measure: str = field(
        "covariance",
        "Measure of how alike two units are.",
        one_of=similarity.MEASURES,
    )
    incoming: bool = field(
        False,
        "Remove the incoming weights of neurons, where it can't be followed "
        "which layers weigh them.",
    )
    random_parts: int = field(
        20,
        "Number of random parts that each finding is compared with.",
        at_least=2,
    )
    removals: int = field(
        100, "Largest number of removals of each size in a check.", at_least=1
    )

    def digest(self):
        """Returns eight hexadecimal digits of a hash of what names a run.

        Raises:
            ValueError: If there is no such file.
        """
        held = {
            name: file_digest(name, getattr(self, name))
            for name in ("model", "data")
        }
        return configuration.Config.digest(dataclasses.replace(self, **held))


def load(config):
    """Returns the `Subject` that a configuration names."""
    return Subject.load(
        config.model,
        config.data,
        imports=config.import_,
        loss=config.loss,
        output=config.output,
    )


def plan(run):
    """Plans the questions, and returns the records, one a seed."""
    report.import_packages()  # the page comes last
    config = run.config
    subject = load(config)
    labels = subject.check_labels(config.task_label, config.questions)
    subject.check_layers(config.layers)
    return [_plan_seed(run, seed, subject, labels) for seed in config.seeds]


def phases(config):
    """Returns what the estimate times: steps of a mask."""
    subject = load(config)
    masked = mtf.MaskedModel(subject.model, num_samples=None, alpha=1e-5)
    masked.compile("adam", **subject.task.objective)
    rows, _ = subject.parts(config.checked, 0)
    x, y, *_ = subject.task.data(
        "data", subject.data(rows[:128]), subject.model
    )
    batch = tf.data.Dataset.from_tensors((_as_tuple(x), _as_tuple(y)))
    batches = batch.repeat()

    def work(count):
        masked.fit(batches, steps_per_epoch=count, verbose=0)

    return {"mask": training.Phase(work)}


def _as_tuple(x):
    """Returns several arrays as a tuple: `tf.data` would stack a list."""
    return tuple(x) if isinstance(x, list) else x


def _plan_seed(run, seed, subject, labels):
    config = run.config
    found, checked = subject.parts(config.checked, seed)
    record = {
        "seed": seed,
        "model": subject.model.name,
        "examples": {"found": len(found), "checked": len(checked)},
        "not_asked": subject.not_asked(config.questions),
    }
    stage = functools.partial(run.stage, seed=seed)

    def add(question, name, finding, label=None):
        soundness = stage(
            f"seed{seed}/soundness/{question}_{name}",
            _check,
            subject,
            finding,
            label,
            steps=_CHECK_STEPS,
        )
        record.setdefault(question, {})[name] = run.combine(
            _record_of_set, finding, soundness
        )

    if "weights" in config.questions:
        steps = find_weights.typical_steps(config.mask_steps)
        everything = stage(
            f"seed{seed}/weights/{ALL}",
            _mask,
            subject,
            None,
            None,
            steps=steps,
            phase="mask",
        )
        add("weights", ALL, everything)
        for label in () if subject.has_few_classes else labels:
            rest = stage(
                f"seed{seed}/weights/without_{label}",
                _mask,
                subject,
                everything,
                label,
                steps=steps,
                phase="mask",
            )
            own = stage(
                f"seed{seed}/weights/only_{label}",
                _only,
                everything,
                rest,
                label,
            )
            add("weights", str(label), own, label)
    if "neurons" in config.questions:
        for label in labels:
            chosen = stage(
                f"seed{seed}/neurons/{label}",
                _neurons,
                subject,
                label,
                steps=_NEURON_STEPS,
            )
            add("neurons", str(label), chosen, label)
    if "units" in config.questions:
        for name, is_trained in (("units", True), ("untrained_units", False)):
            clusters = stage(
                f"seed{seed}/{name}",
                _units,
                subject,
                is_trained,
                steps=_UNIT_STEPS,
            )
            record[name] = run.combine(_record_of_units, clusters)
    return record


def is_refused(artifact):
    """Returns whether a question had no answer."""
    return isinstance(artifact, dict) and REFUSED in artifact


def _answered_or_refused(function):
    """Lets a stage return why there is no answer, and the others go on."""

    @functools.wraps(function)
    def answer(stage, *needed):
        for artifact in needed:
            if is_refused(artifact):
                return artifact
        try:
            return function(stage, *needed)
        except ValueError as error:
            return {REFUSED: in_one_line(error)}

    return answer


@_answered_or_refused
def _mask(stage, subject, everything, label):
    """Returns the mask of the task, or of the task without a class."""
    config = stage.config
    settings = {"alpha": config.alpha or "auto"}
    if everything is not None:
        told = everything.provenance
        settings = {key: told[key] for key in _SETTINGS}
    task = "all classes" if label is None else f"without class {label}"
    rows, _ = subject.parts(config.checked, stage.seed)
    return training.search(
        stage,
        mtf.find_weights,
        subject.model,
        subject.data(rows, without=label),
        task=task,
        outputs=config.output or None,
        steps=config.mask_steps or None,
        seed=stage.derive_seed("mask"),
        **settings,
    )


@_answered_or_refused
def _only(stage, everything, rest, label):
    """Returns the weights that a class alone needs."""
    own = everything - rest
    provenance = {**own.provenance, "task": f"class {label} alone"}
    return dataclasses.replace(own, provenance=provenance)


@_answered_or_refused
def _neurons(stage, subject, label):
    """Returns the hidden neurons of a class."""
    config = stage.config
    rows, _ = subject.parts(config.checked, stage.seed)
    return mtf.find_neurons(
        subject.model,
        subject.with_classes(rows),
        label,
        layers=config.layers or None,
        outputs=config.output or None,
        percentile=config.percentile,
        against="rest" if config.against_rest else None,
        verbose=0,
    )


@_answered_or_refused
def _units(stage, subject, is_trained):
    """Returns the clusters of each hidden layer's units, by name."""
    config = stage.config
    rows, _ = subject.parts(config.checked, stage.seed)
    model = subject.model if is_trained else _untrained(stage, subject)
    if model is None:
        return {}
    return mtf.find_units(
        model,
        subject.data(rows)[:2],
        layers=config.layers or None,
        measure=config.measure,
        loss=subject.model.loss,
        outputs=config.output or None,
        seed=stage.derive_seed("units"),
        verbose=0,
    )


@_answered_or_refused
def _check(stage, subject, finding, label):
    """Returns what `soundness.check` says; `None` of an empty finding.

    Of a class also what its part says about the other classes; where that
    can't be checked, `not_elsewhere` is the reason.
    """
    if not finding.keep_fraction > 0:
        return None
    config = stage.config
    _, rows = subject.parts(config.checked, stage.seed)
    check = functools.partial(
        mtf.soundness.check,
        finding,
        subject.model,
        subject.data(rows, label),
        outputs=config.output or None,
        untrained=_untrained(stage, subject),
        incoming=config.incoming,
        random_parts=config.random_parts,
        removals=config.removals,
        seed=stage.derive_seed("check"),
    )
    if label is None:
        return check().as_dict()
    others = subject.data(rows, without=label)
    try:
        return check(elsewhere=others).as_dict()
    except ValueError as error:  # it explains nothing of the others, say
        return check().as_dict() | {"not_elsewhere": in_one_line(error)}


def _untrained(stage, subject):
    """Returns a copy of the model with fresh weights, or `None`."""
    try:
        return copying.untrained(
            subject.model, seed=stage.derive_seed("untrained")
        )
    except ValueError:
        return None


def _record_of_set(finding, soundness):
    if is_refused(finding):
        return dict(finding)
    told = finding.provenance
    is_checked = not is_refused(soundness)
    return {
        "layers": {
            path: [int(value.sum()), value.size]
            for path, value in finding.values.items()
        },
        **{name: told[key] for key, name in _TOLD.items() if key in told},
        "soundness": soundness if is_checked else None,
        **({} if is_checked else {"not_checked": soundness[REFUSED]}),
    }


def _record_of_units(clusters):
    if is_refused(clusters):
        return dict(clusters)
    found = {}
    # Runs that began before `UnitClusters` had layers hold one for each layer.
    layers = [
        layer
        for each in clusters.values()
        for layer in (each.values() if hasattr(each, "values") else [each])
    ]
    for each in layers:
        matrix = None
        if len(each.clusters) <= _MOST_UNITS:
            matrix = np.round(each.similarity, 4).tolist()
        found[each.layer] = {
            "measure": each.measure,
            "q": each.modularity,
            "clusters": each.clusters.tolist(),
            "similarity": matrix,
        }
    return records.without_nan(found)
