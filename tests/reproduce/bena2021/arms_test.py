import dataclasses

from absl.testing import absltest

from reproduce.bena2021 import arms


class ArmsTest(absltest.TestCase):
    def test_every_arm_but_ours_changes_something(self):
        ours, *others = arms.ARMS.values()
        self.assertEqual(ours, arms.Arm("ours"))
        for arm in others:
            self.assertNotEqual(dataclasses.replace(arm, title="ours"), ours)
        self.assertLen({arm.title for arm in others}, len(others))

    def test_a_control_changes_the_arm_it_is_a_control_of(self):
        arm = "state_input"
        self.assertEqual(arms.arm_of(arm), arms.ARMS[arm])
        fixed = arms.arm_of(arm, "no_rewiring")
        self.assertFalse(fixed.rewire)
        self.assertEqual(fixed.links_into, "state")
        for control in arms.CONTROLS:
            self.assertNotEqual(arms.arm_of(arm, control), arms.arm_of(arm))
        self.assertEqual(arms.TITLES.keys(), arms.CONTROLS.keys())


if __name__ == "__main__":
    absltest.main()
