"""Which neurons does a class use? Two rules that decide it from statistics.

References:
    - Elbastawisy and Afrin, 2025, "Exploring Modularity of Neural Networks
      through Neuron Subselection", section 4
"""

import math
from collections.abc import Mapping

import numpy as np

from modularity_tf import checks
from modularity_tf.findings import neuron_selection
from modularity_tf.neurons.statistics import ClassStatistics


def _of_layer(setting, path):
    return setting[path] if isinstance(setting, Mapping) else setting


def _check_setting(name, setting, layers):
    if isinstance(setting, Mapping) and setting.keys() != layers.keys():
        raise ValueError(
            f"`{name}` must have the layers {[*layers]}, got {[*setting]}."
        )
    for value in (
        setting.values() if isinstance(setting, Mapping) else [setting]
    ):
        checks.number(name, value, least=-math.inf)


def threshold_neurons(
    statistics: ClassStatistics, label: int, *, percentile: float = 70.0
) -> neuron_selection.NeuronSelection:
    """Returns the neurons above a percentile of their layer (Algorithm 1).

    Args:
        statistics: `ClassStatistics`.
        label: Int, the class.
        percentile: Float in [0, 100]. A neuron is active where its mean
            |activation| is strictly above this percentile of its layer's.

    Returns:
        `NeuronSelection`.

    Raises:
        ValueError: If the class has no example, or `percentile` is out of
            range.

    References:
        - Elbastawisy and Afrin, 2025, section 4.1, Algorithm 1
    """
    percentile = checks.number("percentile", percentile, most=100)
    means, _ = statistics.of(label)
    label = int(label)
    return neuron_selection.NeuronSelection(
        {
            path: values > np.percentile(values, percentile)
            for path, values in means.items()
        },
        {"method": "threshold", "label": label, "percentile": percentile},
        means,
    )


def contrast_neurons(
    statistics: ClassStatistics,
    label: int,
    rest: int,
    *,
    percentile: float = 70.0,
) -> neuron_selection.NeuronSelection:
    """Returns the neurons more active for a class than for other examples.

    Neurons that are active for every class tell none from another. The
    contrast of a neuron is the difference of its mean activities m, in units
    of their standard deviation s over examples,

        (m_class - m_rest) / sqrt((s_class^2 + s_rest^2) / 2),

    and 0 where the activity is always the same. Not in the paper, whose rule
    is `threshold_neurons`.

    Args:
        statistics: `ClassStatistics`.
        label: Int, the class.
        rest: Int, the class of the other examples.
        percentile: Float in [0, 100]. A neuron belongs to the class where its
            contrast is above 0, and strictly above this percentile of those of
            its layer.

    Returns:
        `NeuronSelection`; its scores are the contrasts.

    Raises:
        ValueError: If one of the two has fewer than two examples, or
            `percentile` is out of range.
    """
    percentile = checks.number("percentile", percentile, most=100)
    both = [statistics.of(each) for each in (label, rest)]
    counts = [int(statistics.counts[int(each)]) for each in (label, rest)]
    if min(counts) < 2:
        raise ValueError(
            "A contrast needs two examples or more of the class and of the "
            f"rest, got {counts[0]} and {counts[1]}."
        )
    contrasts, chosen = {}, {}
    for path, (mean, other) in _pairs(both, 0).items():
        variances = [
            count * error**2
            for count, error in zip(counts, _pairs(both, 1)[path], strict=True)
        ]
        spread = np.sqrt(np.mean(variances, axis=0))
        least = np.finfo("float32").tiny ** 0.5
        contrast = (mean - other) / np.maximum(spread, least)
        contrasts[path] = contrast
        chosen[path] = (contrast > np.percentile(contrast, percentile)) & (
            contrast > 0
        )
    provenance = {"method": "threshold", "label": int(label)}
    provenance |= {"against": "rest", "percentile": percentile}
    return neuron_selection.NeuronSelection(chosen, provenance, contrasts)


def _pairs(both, i):
    """Returns means (0) or errors (1) of two classes, by layer path."""
    one, other = (each[i] for each in both)
    return {path: (one[path], other[path]) for path in one}


def bayesian_neurons(
    statistics: ClassStatistics,
    label: int,
    *,
    t_high: float | Mapping[str, float] = 0.55,
    t_low: float | Mapping[str, float] = 1e-5,
    tau: float | Mapping[str, float] = 0.8,
) -> neuron_selection.NeuronSelection:
    """Returns which neurons to force on or off for a class (Algorithm 2).

    The mean |activation| of a neuron is taken to be normal around the sample
    mean mu, with its standard error SE:

        P_high = 1 - Phi((t_high - mu) / SE),  on where P_high > tau
        P_low = Phi((t_low - mu) / SE),        off where P_low > tau

    A standard error of 0 gives probabilities of 0, 1/2 (a tie) or 1. With many
    examples SE is tiny, and the decision is a threshold on the mean. A neuron
    that is strongly negative is on, then, not off.

    Args:
        statistics: `ClassStatistics`.
        label: Int, the class.
        t_high: Float, or a dict of such by layer path. The text gives none; by
            default that of the authors' released settings.
        t_low: Float, or a dict of such, likewise; below `t_high`.
        tau: Float in [0.5, 1), or a dict of such. The text's is 0.8.

    Returns:
        `NeuronSelection` of the neurons that are on, with those that are `off`.

    Raises:
        ValueError: If the class has fewer than two examples, or an argument
            is out of its range.

    References:
        - Elbastawisy and Afrin, 2025, section 4.2, Algorithm 2
    """
    from tensorflow_probability import distributions as tfd

    means, errors = statistics.of(label)
    label = int(label)
    for name, setting in (("t_high", t_high), ("t_low", t_low), ("tau", tau)):
        _check_setting(name, setting, means)
    if statistics.counts[label] < 2:
        raise ValueError(f"Class {label} needs two examples or more.")
    limits = []  # t_high, t_low and tau, each once a neuron
    for path, mean in means.items():
        high, low, sure = (
            _of_layer(value, path) for value in (t_high, t_low, tau)
        )
        if not low < high or not 0.5 <= sure < 1:
            raise ValueError(
                "`t_low` must be below `t_high`, and `tau` in [0.5, 1); for "
                f"{path!r} they are {low!r}, {high!r} and {sure!r}."
            )
        limits.append(np.tile([[high], [low], [sure]], mean.size))
    high, low, sure = np.concatenate(limits, axis=1)
    mean, error = (
        np.concatenate([*values.values()]) for values in (means, errors)
    )
    tiny = np.finfo("float64").tiny ** 0.5  # SE = 0: no division by it
    normal = tfd.Normal(mean, np.maximum(error, tiny))
    ends = np.cumsum([values.size for values in means.values()])[:-1]
    on, off = (
        dict(zip(means, np.split(p.numpy() > sure, ends), strict=True))
        for p in (normal.survival_function(high), normal.cdf(low))
    )
    provenance = {"method": "bayesian", "label": label, "t_high": t_high}
    provenance |= {"t_low": t_low, "tau": tau}
    return neuron_selection.NeuronSelection(on, provenance, means, off)
