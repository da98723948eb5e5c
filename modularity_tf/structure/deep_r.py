"""DeepR: the optimizer that trains and rewires sparse connections."""

import warnings
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import ops

from modularity_tf import checks
from modularity_tf.network import keras_private
from modularity_tf.structure import rewiring


@keras.saving.register_keras_serializable(package="modularity_tf")
class DeepR(keras.optimizers.Optimizer):
    """Optimizer that trains and moves sparse connections (Deep-R).

    All other variables of the model are trained by another optimizer,
    `optimizer`. The sparse variables are those of `SparseDense` and
    `SparseRecurrent`. They have an Adam optimizer of their own with the rate
    `learning_rate`, and are rewired: a connection whose strength would fall to
    0 goes dormant, and a dormant one wakes in its place, so that the number of
    active connections stays the same. `rewiring.step` has the formula.

    A layer of one's own marks a variable as sparse by an attribute
    `active_connections`, its number of active connections, set in `build`.

    All state lies in the optimizer's variables: the draws are a function of
    `seed_value` and `iterations`, so that training goes on from saved weights
    as if it had not been interrupted. `rewired` counts the connections that
    have moved to another place so far.

    Assigning a number to `learning_rate`, as `ReduceLROnPlateau` and
    `LearningRateScheduler` do, changes the other optimizer's rate by the same
    factor, after a rate of 0 too. If that one follows a schedule, it keeps it,
    and a warning says so. Assigning a schedule changes `learning_rate` alone.

    >>> from modularity_tf import layers
    >>> sparse = keras.Sequential(
    ...     [
    ...         layers.SparseDense(32, connections=0.1, activation="relu"),
    ...         keras.layers.Dense(10, activation="softmax"),
    ...     ]
    ... )
    >>> sparse.compile(mtf.DeepR("adam"), "sparse_categorical_crossentropy")
    >>> history = sparse.fit(images, labels, verbose=0)
    >>> int(np.count_nonzero(sparse.layers[0].kernel))  # a tenth, as before
    205

    Args:
        optimizer: `keras.optimizers.Optimizer`, name or config, for the other
            variables.
        learning_rate: Float or schedule, the learning rate of the sparse
            connections.
        noise: Float, at least 0: standard deviation of the random walk, at any
            learning rate. 0 switches it off.
        temperature: Float, at least 0: T of Bellec et al., who write the walk's
            standard deviation as sqrt(2 learning_rate T). Its variance and
            that of `noise` add up.
        l1: Float, at least 0: alpha of Bellec et al.; every step takes
            learning_rate alpha from each active strength. Keep that far below
            `wake_strength`, which is as much as a gently woken connection
            can gain in its first step.
        wake_strength: Positive float, strength at which a connection wakes.
        gentle_wake: Bool. Whether a woken connection's learning rate in its
            n-th step is at most n `wake_strength`. Else its first step is
            `learning_rate` whatever the gradient, and it jumps or dies.
        grow: Which connections wake: "random", any, or "gradient", those along
            which the loss of the batch falls fastest, as in RigL. That needs
            layers with `dormant_gradients=True`.
        rewire: Bool. `False` keeps the connections where they are (control).
        beta_1: Float in [0, 1), decay of the first moment.
        beta_2: Float in [0, 1), decay of the second moment.
        epsilon: Positive float, the epsilon of Adam for the connections.
        seed: Int in [0, 2**31) or `None`. The same seed makes the same draws.
        name: Str.

    Raises:
        ValueError: If an argument is out of its range, or if the model has no
            sparse connections.

    References:
        - [Bena & Goodman, 2021](https://arxiv.org/abs/2106.02626), section
          2.4 and Table 1
        - [Bellec et al., 2018](https://arxiv.org/abs/1711.05136), algorithm 1
        - [Evci et al., 2020](https://arxiv.org/abs/1911.11134), RigL
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer | str | dict[str, Any],
        learning_rate: Any = 0.01,
        *,
        noise: float = 0.0,
        temperature: float = 0.0,
        l1: float = 0.0,
        wake_strength: float = 1e-3,
        gentle_wake: bool = True,
        grow: Literal["random", "gradient"] = "random",
        rewire: bool = True,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        seed: int | None = None,
        name: str = "deep_r",
    ) -> None:
        if not callable(learning_rate):
            learning_rate = checks.number("learning_rate", learning_rate)
        super().__init__(learning_rate=learning_rate, name=name)
        self._ratio = None  # of the other learning rate to this one, if known
        self.optimizer = keras.optimizers.get(optimizer)
        is_optimizer = isinstance(self.optimizer, keras.optimizers.Optimizer)
        if not is_optimizer or isinstance(self.optimizer, DeepR):
            raise ValueError(
                "`optimizer` must be an optimizer for the other variables, "
                f"got {optimizer!r}."
            )
        self._note_ratio()
        for key, value in (("gentle_wake", gentle_wake), ("rewire", rewire)):
            if not isinstance(value, bool):
                raise ValueError(f"`{key}` must be a bool, got {value!r}.")
        if grow not in ("random", "gradient"):
            raise ValueError(
                f'`grow` must be "random" or "gradient", got {grow!r}.'
            )
        self.noise = checks.number("noise", noise)
        self.temperature = checks.number("temperature", temperature)
        self.l1 = checks.number("l1", l1)
        self.wake_strength = checks.number(
            "wake_strength", wake_strength, above=True
        )
        self.gentle_wake = gentle_wake
        self.grow = grow
        self.rewire = rewire
        self.beta_1 = checks.number("beta_1", beta_1, below=1)
        self.beta_2 = checks.number("beta_2", beta_2, below=1)
        self.epsilon = checks.number("epsilon", epsilon, above=True)
        self.seed = checks.seed(seed)

    def build(self, variables):
        sparse = [v for v in variables if _is_sparse(v)]
        if not variables:
            raise ValueError(
                "DeepR got no variables to train, as when Keras loads a legacy "
                ".h5 file: save the model as `.keras`, or load it with "
                "`compile=False` and compile it again."
            )
        if not sparse:
            raise ValueError(
                "DeepR needs a model with sparse connections, got none among "
                f"{[v.path for v in variables]}: use SparseDense or "
                "SparseRecurrent, or another optimizer."
            )
        blind = [
            v.path for v in sparse if not getattr(v, "dormant_gradients", False)
        ]
        if self.grow == "gradient" and blind:
            raise ValueError(
                '`grow="gradient"` needs the gradients of dormant connections: '
                f"set `dormant_gradients=True` in the layers of {blind}."
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
    def learning_rate(self):
        return super().learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        set_own = keras.optimizers.Optimizer.learning_rate.fset
        if callable(learning_rate):
            set_own(self, learning_rate)
            return
        self._note_ratio()
        before = _number(self.learning_rate)
        after = checks.number("learning_rate", _number(learning_rate))
        set_own(self, after)  # Keras refuses where it is a schedule
        others = self.optimizer.learning_rate
        if after == before:
            return
        if isinstance(others, keras.Variable):
            if self._ratio is not None:
                self.optimizer.learning_rate = self._ratio * after
        else:
            warnings.warn(
                f"`learning_rate` of {self.name!r} went from {before:.3g} to "
                f"{after:.3g}, for the sparse connections alone: that of "
                f"{self.optimizer.name!r} is a schedule, which stays.",
                stacklevel=2,
            )

    def _note_ratio(self):
        """Notes the ratio of the rates; at a rate of 0 the one before stays."""
        own, others = self.learning_rate, self.optimizer.learning_rate
        known = all(isinstance(rate, keras.Variable) for rate in (own, others))
        if known and _number(own):
            self._ratio = _number(others) / _number(own)

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
        trained = [
            any(gradient is not None for gradient, _ in pairs)
            for pairs in (dense, sparse)
        ]
        if not any(trained):
            raise ValueError("No gradients provided for any variable.")
        if trained[0]:
            self.optimizer.apply(*zip(*dense))
        if trained[1]:
            super().apply(*zip(*sparse))
        else:  # frozen, or not on the way to the loss
            self.assign_add(self.iterations, 1)

    def update_step(self, gradient, variable, learning_rate):
        index = keras_private.variable_index(self, variable)
        seed = tf.stack([self.seed_value.value, tf.cast(index, tf.int64)])
        iterations = ops.convert_to_tensor(self.iterations)
        state = rewiring.Connections(variable, *self._moments[index])
        state, rewired = rewiring.step(
            rewiring.Connections(*map(tf.convert_to_tensor, state)),
            gradient,
            self._counts[index],
            tf.random.experimental.stateless_fold_in(
                seed, iterations, alg=rewiring.ALGORITHM
            ),
            ops.cast(learning_rate, variable.dtype),
            iterations=iterations,
            noise=self.noise,
            temperature=self.temperature,
            l1=self.l1,
            wake_strength=self.wake_strength,
            gentle_wake=self.gentle_wake,
            grow=self.grow,
            rewire=self.rewire,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
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
            "temperature": self.temperature,
            "l1": self.l1,
            "wake_strength": self.wake_strength,
            "gentle_wake": self.gentle_wake,
            "grow": self.grow,
            "rewire": self.rewire,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "seed": self.seed,
            "name": self.name,
            "ratio_of_rates": self._ratio,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        ratio = config.pop("ratio_of_rates", None)
        found = super().from_config(config, custom_objects)
        if found._ratio is None:
            found._ratio = ratio
        return found


def _number(value):
    return ops.convert_to_numpy(value).item()


def _is_sparse(variable):
    # An attribute, as no name is safe from meaning something else in a user's
    # layer. The layer sets it in `build`, so a loaded model has it again.
    return hasattr(variable, "active_connections")
