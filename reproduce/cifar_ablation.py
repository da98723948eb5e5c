r"""Which weights does each class need? CNNs on images (Csordas et al., 2021).

Trains a CNN, a control mask on all classes and one mask for each class left
out, and shows what becomes of a class when its exclusive weights are gone:
section 5, appendix C.7; figures 6, 18, 19, 20 and, for residual networks, 21.

python -m reproduce.cifar_ablation \
    --flagfile=reproduce/flags/cifar_ablation_demo.flags
"""

from reproduce.csordas2021.images import cifar_ablation, cifar_ablation_claims
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="cifar_ablation",
    title="Which weights does each class need? CNNs on images.",
    paper="Csordas et al., 2021",
    figures={
        "6": "drop of the removed class, and of others",
        "18": "confusion under the mask of all classes",
        "19": "confusion without a class, simple CNN",
        "20": "the same, CNN without dropout",
        "21": "the same, residual networks",
    },
    config=cifar_ablation.Config,
    plan=cifar_ablation.plan,
    phases=cifar_ablation.phases,
    claims=cifar_ablation_claims.claims,
    draw=cifar_ablation_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)
