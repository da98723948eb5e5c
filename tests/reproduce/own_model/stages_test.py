from unittest import mock

import tensorflow as tf

import modularity_tf as mtf
from reproduce.own_model import stages
from reproduce.publishing import experiment
from tests.reproduce.own_model.brought import BroughtTestCase


class StagesTest(BroughtTestCase):
    def test_the_estimate_times_steps_of_a_mask(self):
        phase = stages.phases(self.config())["mask"]
        self.assertEqual(phase.unit, 50)
        counter = mock.Mock()
        fit = mtf.MaskedModel.fit

        def counted(model, *args, **kwargs):
            fit(model, *args, **kwargs)
            counter(int(model.optimizer.iterations))

        with mock.patch.object(mtf.MaskedModel, "fit", counted):
            phase.work(2)
        counter.assert_called_once_with(100)

    def test_progress_counts_a_search_that_is_longer_than_planned(self):
        run = experiment.Run(self.config(), "inspect")
        stage = run.stage("mask", lambda stage: 1, steps=3)
        run.progress = mock.Mock()
        counter = stages._progress(stage)
        for batch in (1, 3):  # Keras tells of every second one
            counter.on_train_batch_end(batch)
        counter.on_epoch_begin(1)
        counter.on_train_batch_end(1)
        self.assertEqual(stage.steps, 6)
        told = [call.args[0] for call in run.progress.advance.call_args_list]
        self.assertEqual(told, [2, 2, 2])
        more = [call.args[0] for call in run.progress.extend.call_args_list]
        self.assertEqual(more, [1, 2])


if __name__ == "__main__":
    tf.test.main()
