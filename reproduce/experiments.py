"""All experiments by name, in the order in which lists show them."""

from reproduce import (
    add_mul,
    cifar_ablation,
    compare_methods,
    double_add,
    inspect,
    mask_sensitivity,
    mask_stability,
    mathematics,
    neuron_subselection,
    others_ground,
    permuted_mnist,
    planted,
    real_networks,
    scan,
    sharing_verdict,
    structural_modularity,
    unit_clustering,
)

_BINARIES = (
    add_mul,
    cifar_ablation,
    compare_methods,
    double_add,
    mask_sensitivity,
    mask_stability,
    mathematics,
    neuron_subselection,
    others_ground,
    permuted_mnist,
    planted,
    real_networks,
    scan,
    sharing_verdict,
    structural_modularity,
    unit_clustering,
    inspect,
)
ALL = {binary.EXPERIMENT.name: binary.EXPERIMENT for binary in _BINARIES}
