import numpy as np
from absl.testing import absltest, parameterized

from reproduce.csordas2021.images import cifar_ablation_claims
from tests.reproduce import checking


def record(
    network="cnn", seed=0, target=0.5, other=0.1, grows=0, data="CIFAR-10"
):
    """Returns a record of three classes with the drops that are asked for."""
    names = ["cat", "dog", "truck"]
    control = np.full((3, 3), 0.1) + 0.7 * np.eye(3)
    made = {"control": control}
    for i, name in enumerate(names):
        matrix = control.copy()
        matrix[i, i] -= 0.8 * target
        matrix[i, (i + 1) % 3] += 0.8 * target * (1 + grows) / 2
        matrix[i, (i + 2) % 3] += 0.8 * target * (1 - grows) / 2
        lesser = (i + 1) % 3
        matrix[lesser, lesser] -= 0.8 * other
        matrix[lesser, i] += 0.8 * other
        made[name] = matrix
    masks = {
        task: {
            "accuracy": float(np.trace(matrix)) / 3,
            "confusion": matrix.tolist(),
            "keep_fraction": 0.4,
        }
        for task, matrix in made.items()
    }
    return {
        "data": data,
        "class_names": names,
        "network": network,
        "seed": seed,
        "alpha_search": None,
        "dense": {"accuracy": 0.8},
        "masks": masks,
    }


def checked(records):
    return checking.checked(cifar_ablation_claims.claims(records))


def key(fig):
    """Returns the entries of the key below a figure."""
    return [text.get_text() for text in fig.legends[0].get_texts()]


class ClaimsTest(parameterized.TestCase):
    def test_drops_are_those_of_the_confusion_matrices(self):
        target, other = cifar_ablation_claims.target_and_other_drops(
            record(target=0.5, other=0.1)
        )
        np.testing.assert_allclose(target, [0.5] * 3)
        np.testing.assert_allclose(other, [0.1] * 3)

    @parameterized.parameters(
        (0.5, 0.1, 3, "undetermined"),  # nine classes are too few to be sure
        (0.5, 0.1, 12, "agrees"),
        (0.2, 0.3, 3, "differs"),
    )
    def test_the_removed_class_must_drop_most(
        self, target, other, seeds, verdict
    ):
        found = checked(
            [record(seed=s, target=target, other=other) for s in range(seeds)]
        )
        self.assertEqual(found["drops_most"]["verdict"], verdict)

    def test_confusion_growth_is_relative_to_the_other_wrong_classes(self):
        made = record(target=0.5, other=0.0, grows=0.5)
        growth = cifar_ablation_claims.confusion_growth(made, "cat", ["dog"])
        self.assertAlmostEqual(growth, 0.4 * (0.75 - 0.25))
        self.assertAlmostEqual(
            cifar_ablation_claims.confusion_growth(made, "cat", ["truck"]), -0.2
        )

    def test_dropout_is_compared_class_by_class_with_one_value_a_seed(self):
        records = [
            record("cnn", seed, target=0.6 + 0.01 * seed) for seed in range(2)
        ] + [record("cnn_nodropout", seed, target=0.4) for seed in range(2)]
        found = checked(records)
        paired = found["dropout_deepens_drop"]
        self.assertEqual(paired["n"], 2)
        self.assertAlmostEqual(
            paired["mean"], np.mean([1 - 0.4 / 0.6, 1 - 0.4 / 0.61])
        )
        self.assertEqual((paired["at_least"], paired["at_most"]), (0.3, 0.4))
        for one in records:  # the paper's numbers are those of CIFAR-10
            one["data"] = "MNIST"
        other = checked(records)["dropout_deepens_drop"]
        self.assertEqual((other["source"], other["at_most"]), ("own", None))

    def test_the_nulls_are_what_no_module_would_give(self):
        found = checked([record(target=0.5, other=0.1)])
        for id, null in (
            ("control_keeps_accuracy", 1 / 3 / 0.8),
            ("drops_most", 1 / 3),
            ("drop", 0.05),
            ("points_lost", 0.04),
        ):
            self.assertAlmostEqual(found[id]["null"], null)
        self.assertAlmostEqual(found["points_lost"]["mean"], 0.4)

    @parameterized.parameters(
        ("resnet110", "CIFAR-10", "drop", 0.6, None, "ours"),
        ("cnn_nodropout", "CIFAR-10", "drop", 0.2, None, "ours"),
        ("cnn", "CIFAR-10 (JPEG)", "points_lost", 0.4, 0.6, "paper"),
        ("cnn", "MNIST", "drop", 0.4, None, "own"),
    )
    def test_the_papers_drop_is_that_of_cifar(
        self, network, data, id, at_least, at_most, source
    ):
        found = checked([record(network, seed, data=data) for seed in range(2)])
        (claim,) = (one for one in found.values() if one["main"])
        self.assertEqual(claim["id"], id)
        self.assertEqual(
            (claim["at_least"], claim["at_most"], claim["source"]),
            (at_least, at_most, source),
        )

    def test_a_drop_above_the_papers_differs(self):
        made = [record(seed=s, target=0.9 + 0.01 * s) for s in range(3)]
        self.assertEqual(checked(made)["points_lost"]["verdict"], "differs")

    def test_the_paper_says_nothing_of_new_statistics(self):
        for name, number in (("resnet8", "> 95 %"), ("cnn", "> 95 %")):
            claim = checked([record(name)])["control_keeps_accuracy"]
            self.assertEqual(
                (claim["paper"], claim["source"]), (number, "paper")
            )
        found = checked([record("resnet8_recalibrated")]).values()
        self.assertEqual({c["paper"] for c in found}, {"not asked"})
        self.assertEqual({c["source"] for c in found}, {"own"})

    @parameterized.parameters(0.0, -0.1)
    def test_where_no_class_drops_others_have_no_share_of_it(self, target):
        made = record(target=target, other=0.1)
        claim = checked([made])["other_drop"]
        self.assertEqual(
            (claim["mean"], claim["verdict"]), (None, "not measured")
        )
        bars = cifar_ablation_claims.draw([made])["fig06b_other_classes"].axes[
            0
        ]
        self.assertTrue(np.isnan([b.get_height() for b in bars.patches]).all())

    def test_one_seed_has_no_verdict(self):
        found = {v["verdict"] for v in checked([record()]).values()}
        self.assertEqual(found, {"one seed"})

    def test_a_control_mask_that_hurts_differs(self):
        records = [record(seed=seed) for seed in range(2)]
        for made in records:
            made["masks"]["control"]["accuracy"] = 0.7
        found = checked(records)
        control = found["control_keeps_accuracy"]
        self.assertEqual(control["verdict"], "differs")
        self.assertAlmostEqual(control["mean"], 0.875)


class DrawTest(absltest.TestCase):
    def test_legends_have_titles_and_no_code_names(self):
        records = [record("cnn"), record("cnn_nodropout", target=0.3)]
        fig = cifar_ablation_claims.draw(records)["fig06a_relative_drop"]
        self.assertEqual(
            key(fig)[-2:], ["CNN with dropout", "CNN without dropout"]
        )

    def test_figures_are_numbered_as_in_the_paper(self):
        records = [record("cnn"), record("cnn_nodropout", target=0.3)]
        figures = cifar_ablation_claims.draw(records)
        self.assertEqual(
            set(figures),
            {
                "fig06a_relative_drop",
                "fig06b_other_classes",
                "fig18_confusion_control_cnn",
                "fig18_confusion_control_cnn_nodropout",
                "fig19_confusion_difference_cnn",
                "fig20_confusion_difference_cnn_nodropout",
                "lost_classes_cnn",
                "lost_classes_cnn_nodropout",
            },
        )
        title = figures["fig19_confusion_difference_cnn"].get_suptitle()
        self.assertStartsWith(title, "CIFAR-10, CNN with dropout: what is")
        bars = figures["fig06a_relative_drop"].axes[0].patches
        np.testing.assert_allclose(
            [bar.get_height() for bar in bars], [50] * 3 + [30] * 3
        )
        panels = figures["fig19_confusion_difference_cnn"].axes
        titles = [ax.get_title() for ax in panels if ax.get_title()]
        self.assertEqual(
            titles,
            [f"without the weights of {n}" for n in ("cat", "dog", "truck")],
        )
        lost = figures["lost_classes_cnn"].axes[0].images[0].get_array()
        masks = records[0]["masks"]
        before, after = (
            np.diag(masks[task]["confusion"]) for task in ("control", "dog")
        )
        np.testing.assert_allclose(lost[1], 100 * (after - before))
        self.assertLess(lost[1][records[0]["class_names"].index("dog")], 0)
        # The text's 40 to 60 % are points, of figure 19.
        self.assertEqual(
            key(figures["fig06a_relative_drop"]),
            ["CNN with dropout", "CNN without dropout"],
        )

    def test_residual_networks_are_told_by_their_depth(self):
        depths = {"8": "8", "110": "110", "110_recalibrated": "110, recal"}
        made = [record(f"resnet{d}", s) for s in (0, 1) for d in depths]
        figures = cifar_ablation_claims.draw(made)
        for depth, words in depths.items():
            difference = figures[f"fig21_confusion_difference_resnet{depth}"]
            control = figures[f"fig18_confusion_control_resnet{depth}"]
            for figure in (difference, control):
                title = figure.get_suptitle()
                self.assertStartsWith(title, f"CIFAR-10, ResNet-{words}")
        self.assertEqual(
            key(figures["fig06a_relative_drop"]),
            [
                "paper, ResNet-110: almost 100 %",
                "ResNet-8",
                "ResNet-110",
                "ResNet-110, recalibrated",
            ],
        )


if __name__ == "__main__":
    absltest.main()
