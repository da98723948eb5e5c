from absl.testing import absltest

from reproduce import mathematics
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.sequences import (
    mathematics as mathematics_stages,
)
from reproduce.csordas2021.sequences.mathematics import ALL


class MathematicsStagesTest(absltest.TestCase):
    def test_all_levels_together_are_what_each_has(self):
        train, validation = mathematics_stages.load("sort", 6, 4, 0)
        levels = [len(part) for key, part in train.items() if key != ALL]
        self.assertLen(train[ALL], sum(levels))
        self.assertEqual([*validation], [k for k in train if k != ALL])

    def test_a_module_has_its_own_settings_where_there_are_several(self):
        config = mathematics.Config(betas=(1.0, 2.0, 3.0, 4.0, 5.0))
        last = mathematics_stages.MODULES[-1]
        settings = mathematics_stages.settings_of(config, last)
        self.assertEqual(settings.beta, 5.0)
        self.assertEqual(mask_training.found_beta(settings, None), 5.0)


if __name__ == "__main__":
    absltest.main()
