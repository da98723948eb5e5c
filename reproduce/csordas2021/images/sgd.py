"""SGD as residual networks are trained: L2, and a rate that falls in steps."""

import keras


@keras.saving.register_keras_serializable(package="reproduce")
class SGDWithL2(keras.optimizers.SGD):
    """SGD with momentum and an L2 penalty on all that it trains.

    The gradient of the penalty, l2 * w, goes through the momentum, as it does
    in PyTorch. The `weight_decay` of Keras does not: with a momentum of 0.9 the
    same number decays a tenth as much.

    Args:
        learning_rate: As in Keras.
        momentum: As in Keras.
        l2: Float, at least 0: the penalty is l2 / 2 * sum(w^2).
        **kwargs: As in Keras.
    """

    def __init__(self, learning_rate=0.1, momentum=0.9, l2=1e-4, **kwargs):
        super().__init__(learning_rate, momentum, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(
            gradient + self.l2 * variable, variable, learning_rate
        )

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}


def stepped(rate, steps):
    """Returns a learning rate that falls twice, to a tenth of what it was.

    After half and after three quarters of the steps: at 32,000 and 48,000 of
    the 64,000 steps of appendix C.7.3.

    Args:
        rate: Float, at the start.
        steps: Positive int, of the whole training.
    """
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [steps // 2 - 1, 3 * steps // 4 - 1], [rate, rate / 10, rate / 100]
    )
