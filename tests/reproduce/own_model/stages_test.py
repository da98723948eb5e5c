import time
from unittest import mock

import numpy as np
import tensorflow as tf

import modularity_tf as mtf
from reproduce.own_model import stages
from reproduce.running import training
from tests.reproduce.own_model.brought import BroughtTestCase


class StagesTest(BroughtTestCase):
    def test_the_estimate_times_steps_of_a_mask(self):
        phase = stages.phases(self.config())["mask"]
        self.assertEqual(phase.unit, 1)
        counter = mock.Mock()
        fit = mtf.MaskedModel.fit

        def counted(model, *args, **kwargs):
            fit(model, *args, **kwargs)
            counter(int(model.optimizer.iterations))

        with mock.patch.object(mtf.MaskedModel, "fit", counted):
            phase.work(2)
        counter.assert_called_once_with(2)

    def test_one_step_is_timed_and_then_two(self):
        taken = []

        def work(count):
            taken.append(count)
            time.sleep(0.3 * count)

        _, seconds = training.estimate(
            {"mask": training.Phase(work)}, {"mask": 1000}
        )
        self.assertBetween(seconds, 250, 600)
        self.assertEqual({*taken}, {1, 2})
        self.assertLessEqual(sum(taken), 20)

    def test_what_is_refused_has_a_reason_and_the_others_go_on(self):
        @stages._answered_or_refused
        def question(stage, *needed):
            raise ValueError("Can't follow 'a'.\nUse `incoming=True`.")

        found = question(None)
        self.assertEqual(
            found, {stages.REFUSED: "Can't follow 'a'. Use --incoming."}
        )
        answer = stages._answered_or_refused(lambda stage, *needed: 1)
        self.assertEqual(answer(None, found), found)
        self.assertEqual(answer(None, {"rows": []}), 1)
        self.assertEqual(stages._record_of_set(found, found), found)
        self.assertEqual(stages._record_of_units(found), found)
        some = mtf.NeuronSelection({"a": np.ones(2, bool)})
        record = stages._record_of_set(some, found)
        self.assertEqual(record["not_checked"], found[stages.REFUSED])
        self.assertIsNone(record["soundness"])

    def test_why_other_classes_are_not_checked_is_in_the_record(self):
        checked = mock.Mock(settings={})
        checked.as_dict.return_value = {"rows": []}

        def check(*args, elsewhere=None, **kwargs):
            if elsewhere is not None:
                raise ValueError("Nothing to\ncheck.")
            return checked

        user, stage = stages.load(self.config()), mock.Mock()
        stage.config, stage.seed = self.config(), 0
        stage.derive_seed.return_value = 1
        some = mtf.NeuronSelection({"hidden": np.arange(6) < 3})
        with mock.patch.object(mtf.soundness, "check", check):
            found = stages._check(stage, user, some, 1)
            self.assertEqual(
                found, {"rows": [], "not_elsewhere": "Nothing to check."}
            )
            self.assertEqual(
                stages._check(stage, user, some, None), {"rows": []}
            )

    def test_neurons_may_be_those_of_a_class_against_the_rest(self):
        user, stage = stages.load(self.config()), mock.Mock()
        stage.seed = 0
        for is_asked in (False, True):
            stage.config = self.config(percentile=50.0, against_rest=is_asked)
            found = stages._neurons(stage, user, 1)
            told = stages._record_of_set(found, None)
            self.assertEqual(told.get("against"), "rest" if is_asked else None)
            rows, _ = user.parts(stage.config.checked, 0)
            expected = mtf.find_neurons(
                user.model,
                user.data(rows),
                1,
                percentile=50.0,
                against=told.get("against"),
            )
            self.assertEqual(found, expected)


if __name__ == "__main__":
    tf.test.main()
