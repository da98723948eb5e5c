"""What networks, tasks and masks are called where a reader sees them."""

import re

# The papers, in the order of a reader, and their figures that show no result.
PAPERS = {
    "Csordas et al., 2021": {},
    "Elbastawisy & Afrin, 2025": {},
    "Lange et al., 2022": {
        "1": "what a module is",
        "2": "the eight measures of similarity",
    },
    "Bena & Goodman, 2021": {"1": "the two architectures"},
}
# Of each paper its main claim: the archive whose main claim it is, the page
# on it, and the claim in plain words.
HEADLINES = {
    "Csordas et al., 2021": (
        "double_add_small_paper",
        "arithmetic.md",
        "Two additions share few weights.",
    ),
    "Elbastawisy & Afrin, 2025": (
        "neuron_subselection_quick",
        "neurons.md",
        "By masking, halves of one class hardly reuse neurons.",
    ),
    "Lange et al., 2022": (
        "unit_clustering_sweep",
        "clustering_units.md",
        "Clusters agree within a family of measures, far less across.",
    ),
    "Bena & Goodman, 2021": (
        "structural_modularity_sweep",
        "structure_and_function.md",
        "Modules specialize only at extreme sparsity, hardly at Q = 0.35.",
    ),
}
# The page in docs/ on each experiment, by name.
PAGES = {
    "add_mul": "arithmetic.md",
    "cifar_ablation": "class_ablation.md",
    "compare_methods": "comparing.md",
    "double_add": "arithmetic.md",
    "inspect": "soundness.md",
    "mask_sensitivity": "arithmetic.md",
    "mask_stability": "class_ablation.md",
    "mathematics": "generalization.md",
    "neuron_subselection": "neurons.md",
    "others_ground": "others_ground.md",
    "permuted_mnist": "arithmetic.md",
    "planted": "known_truth.md",
    "real_networks": "a_real_network.md",
    "scan": "generalization.md",
    "sharing_verdict": "soundness.md",
    "structural_modularity": "structure_and_function.md",
    "unit_clustering": "clustering_units.md",
}
# Where a report shows what is of no paper.
OWN = "Experiments of our own"
OWN_MODEL = "Your model"
TITLES = {
    "cnn": "CNN with dropout",
    "cnn_nodropout": "CNN without dropout",
    "fnn": "feedforward network",
    "lstm": "LSTM",
    "transformer": "Transformer",
    "add": "addition",
    "mul": "multiplication",
    "full": "all tasks",
    "pair1": "first pair",
    "pair2": "second pair",
    "passes": "one pair for each pass",
    "together": "pairs together",
    "in_turn": "pairs in turn",
    "weights": "weights of the class alone",
    "bayesian": "neurons by the Bayesian rule",
    "gates": "units by learned gates",
    "threshold": "neurons above the percentile",
    "units": "clusters of units",
    "add_or_sub": "adding or subtracting",
}


def title_of(name):
    """Returns the title of a code name, or the name if it has none.

    "not NAME", an inverted mask, is the title behind a sign of negation.

    Args:
        name: Str.
    """
    if name.startswith("not "):
        return f"\u00ac {title_of(name.removeprefix('not '))}"
    if residual := re.fullmatch(r"resnet(\d+)(_recalibrated)?", name):
        depth, recalibrated = residual.groups()
        return f"ResNet-{depth}" + (", recalibrated" if recalibrated else "")
    return TITLES.get(name, name)


def in_statement(statement):
    """Returns a claim's statement with titles for the names it begins with.

    Args:
        statement: Str, "cnn: masks ..." or "cnn - cnn_nodropout: ...".
    """
    names, colon, rest = statement.partition(": ")
    if not colon:
        return statement
    names = " less ".join(map(title_of, names.split(" - ")))
    return f"{names}: {rest}"
