"""DeepR: the optimizer that trains and rewires sparse connections."""

import keras
import tensorflow as tf

from modularity_tf.parts import seeds
from modularity_tf.structure import rewiring


@keras.saving.register_keras_serializable(package="modularity_tf")
class DeepR(keras.optimizers.Optimizer):
    """Deep-R for sparse connections, another optimizer for all else.

    Sparse are the variables that `SparseDense` and `SparseRecurrent` mark with
    an attribute `active_connections`, their number of active connections; a
    layer of one's own does so in its `build`. They have an Adam optimizer of
    their own, whose rate `learning_rate` is, and rewire: see `rewiring.step`.

    All state lies in the optimizer's variables: the draws are a function of
    `seed_value` and `iterations`, so that training goes on from saved weights
    as if it had not been interrupted. `rewired` counts the connections that
    have moved to another place so far.

    Args:
        optimizer: `keras.optimizers.Optimizer`, name or config, for the other
            variables.
        learning_rate: Float or schedule, of the sparse connections.
        noise: Float, at least 0: standard deviation of the random walk. 0
            switches it off.
        wake_strength: Positive float, strength at which a connection wakes.
        rewire: Bool. `False` keeps the connections where they are (control).
        beta_1: Float in [0, 1), decay of the first moment.
        beta_2: Float in [0, 1), decay of the second moment.
        epsilon: Positive float.
        seed: Int in [0, 2**31) or `None`. The same seed makes the same draws.
        name: Str.

    Raises:
        ValueError: If an argument is out of its range, or if the model has no
            sparse connections.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), section
          2.4 and Table 1
    """

    def __init__(
        self,
        optimizer,
        learning_rate=0.01,
        noise=0.0,
        wake_strength=1e-3,
        rewire=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        seed=None,
        name="deep_r",
    ):
        super().__init__(learning_rate=learning_rate, name=name)
        self.optimizer = keras.optimizers.get(optimizer)
        self.noise = noise
        self.wake_strength = wake_strength
        self.rewire = rewire
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.seed = seeds.check_seed(seed)
        self._check_arguments()

    def _check_arguments(self):
        rate = self._learning_rate
        is_schedule = isinstance(
            rate, keras.optimizers.schedules.LearningRateSchedule
        )
        allowed = {
            "learning_rate": (is_schedule or rate >= 0, "at least 0"),
            "noise": (self.noise >= 0, "at least 0"),
            "wake_strength": (self.wake_strength > 0, "positive"),
            "beta_1": (0 <= self.beta_1 < 1, "in [0, 1)"),
            "beta_2": (0 <= self.beta_2 < 1, "in [0, 1)"),
            "epsilon": (self.epsilon > 0, "positive"),
        }
        for name, (is_allowed, what) in allowed.items():
            if not is_allowed:
                value = getattr(self, name)
                raise ValueError(f"`{name}` must be {what}, got {value!r}.")

    def build(self, variables):
        sparse = [v for v in variables if _is_sparse(v)]
        if not sparse:
            raise ValueError(
                "DeepR needs a model with sparse connections, got none among "
                f"{[v.path for v in variables]}: use SparseDense or "
                "SparseRecurrent, or another optimizer."
            )
        super().build(sparse)
        self.optimizer.build([v for v in variables if not _is_sparse(v)])
        self._counts = [v.active_connections for v in sparse]
        names = ["momentum", "velocity", "age"]
        self._moments = list(zip(*self.add_optimizer_variables(sparse, names)))
        self.seed_value = self.add_variable(
            (), keras.initializers.Constant(self.seed), "int64", name="seed"
        )
        self.rewired = self.add_variable((), "zeros", "int64", name="rewired")

    @property
    def variables(self):
        return super().variables + self.optimizer.variables

    def apply(self, grads, trainable_variables=None):
        if trainable_variables is None:
            raise ValueError("`trainable_variables` must be given, got None.")
        trainable_variables = list(trainable_variables)
        if not self.built:
            self.build(trainable_variables)
        pairs = list(zip(grads, trainable_variables, strict=True))
        dense = [pair for pair in pairs if not _is_sparse(pair[1])]
        sparse = [pair for pair in pairs if _is_sparse(pair[1])]
        if dense:
            self.optimizer.apply(*zip(*dense))
        super().apply(*zip(*sparse))

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        seed = tf.stack([self.seed_value.value, tf.cast(index, tf.int64)])
        state = rewiring.Connections(variable, *self._moments[index])
        state, rewired = rewiring.step(
            rewiring.Connections(*map(tf.convert_to_tensor, state)),
            gradient,
            self._counts[index],
            tf.random.experimental.stateless_fold_in(
                seed, self._iterations.value, alg=rewiring.ALGORITHM
            ),
            learning_rate,
            self.noise,
            self.wake_strength,
            self.rewire,
            self.beta_1,
            self.beta_2,
            self.epsilon,
        )
        for old, new in zip((variable, *self._moments[index]), state):
            self.assign(old, new)
        self.assign_add(self.rewired, rewired)

    def finalize_variable_values(self, var_list):
        self.optimizer.finalize_variable_values(
            [v for v in var_list if not _is_sparse(v)]
        )

    def get_config(self):
        config = super().get_config()
        return {
            "optimizer": keras.optimizers.serialize(self.optimizer),
            "learning_rate": config["learning_rate"],
            "noise": self.noise,
            "wake_strength": self.wake_strength,
            "rewire": self.rewire,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "seed": self.seed,
            "name": self.name,
        }


def _is_sparse(variable):
    # An attribute, as no name is safe from meaning something else in a user's
    # layer. The layer sets it in `build`, so a loaded model has it again.
    return hasattr(variable, "active_connections")
