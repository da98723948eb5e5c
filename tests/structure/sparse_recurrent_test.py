import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import layers
from modularity_tf.network import functional_call, keras_private
from modularity_tf.structure import deep_r


def make_stack(units, name=None, **kwargs):
    cells = [
        keras.layers.LSTMCell(2, **kwargs),
        keras.layers.GRUCell(units, **kwargs),
    ]
    return keras.layers.StackedRNNCells(cells, name=name)


CELLS = {
    "tanh": keras.layers.SimpleRNNCell,
    "gru": keras.layers.GRUCell,
    "lstm": keras.layers.LSTMCell,
    "stack": make_stack,
}
SIZES = (4, 3, 5)  # units of each module
FEATURES = (6, 7, 2)


def make_layer(cell="tanh", modules=2, **kwargs):
    cells = [
        CELLS[cell](units, bias_initializer="uniform", name=f"module{n}")
        for n, units in enumerate(SIZES[:modules])
    ]
    settings = {"connections": 5, "steps": 4, "link_scale": 1.0, "seed": 1}
    return layers.SparseRecurrent(cells, **{**settings, **kwargs})


def make_inputs(modules=2, steps=None, batch=3):
    rng = np.random.default_rng(0)
    steps = () if steps is None else (steps,)
    return [
        rng.normal(size=(batch, *steps, features)).astype("float32")
        for features in FEATURES[:modules]
    ]


def make_model(layer, inputs):
    symbols = [
        keras.Input(x.shape[1:], name=f"{path[-1]}")
        for path, x in keras.tree.flatten_with_path(inputs)
    ]
    symbols = keras.tree.pack_sequence_as(inputs, symbols)
    return keras.Model(symbols, layer(symbols))


def structured(kind, values):
    """Returns the values of two modules as a list, tuple or dict."""
    names = ["module1", "module0"]  # another order than the cells'
    return dict(zip(names, values[::-1])) if kind is dict else kind(values)


class NoKernel(keras.layers.Layer):
    """A cell that adds its input to its state."""

    state_size = 3

    def build(self, input_shape):
        pass

    def call(self, inputs, states):
        return inputs, [inputs + states[0]]


class SparseRecurrentTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("two", 2, "input"), ("three", 3, "input"), ("state", 3, "state")
    )
    def test_tanh_modules_match_equation_3_in_numpy(self, modules, into):
        layer = make_layer(modules=modules, links_into=into)
        inputs = make_inputs(modules)
        outputs = layer(inputs)
        states = [np.zeros((3, units)) for units in SIZES[:modules]]
        for _ in range(4):
            before = states
            states = []
            for n, (cell, x) in enumerate(zip(layer.cells, inputs)):
                kernel, recurrent, bias = cell.get_weights()
                carried = sum(
                    before[m] @ np.array(layer.link(m, n).kernel)
                    for m in range(modules)
                    if m != n
                )
                total = x @ kernel + bias + before[n] @ recurrent
                # "state" is what the paper's earliest public code does.
                total += carried @ (
                    recurrent if into == "state" else np.eye(SIZES[n])
                )
                states.append(np.tanh(total))
        for output, state in zip(outputs, states, strict=True):
            self.assertAllClose(output, state, atol=1e-5)

    @parameterized.parameters("gru", "lstm", "stack")
    def test_links_into_the_state_have_its_size(self, name):
        layer = make_layer(name, links_into="state")
        layer(make_inputs())
        sizes = [2, 2] if name == "stack" else SIZES  # of each first cell
        for m, n in ((0, 1), (1, 0)):
            self.assertEqual(
                layer.link(m, n).kernel.shape, (SIZES[m], sizes[n])
            )

    @parameterized.parameters("tanh", "gru", "lstm", "stack")
    def test_links_are_further_inputs_of_any_cell(self, name):
        # The same cell, given the other module's state beside its own input
        # and the links as further rows of its kernel.
        layer = make_layer(name)
        inputs = make_inputs()
        outputs = layer(inputs)
        twins = []
        for n, cell in enumerate(layer.cells):
            twin = CELLS[name](SIZES[n])
            twin.build((None, FEATURES[n] + SIZES[1 - n]))
            kernel, *others = cell.get_weights()
            link = np.array(layer.link(1 - n, n).kernel)
            self.assertEqual(np.count_nonzero(link), 5)
            twin.set_weights([np.concatenate([kernel, link]), *others])
            twins.append(twin)
        states = [twin.get_initial_state(3) for twin in twins]
        sent = [np.zeros((3, units)) for units in SIZES[:2]]
        for _ in range(4):
            found = [
                twin(np.concatenate([inputs[n], sent[1 - n]], 1), states[n])
                for n, twin in enumerate(twins)
            ]
            sent, states = zip(*found)
        for output, h in zip(outputs, sent, strict=True):
            self.assertAllClose(output, h, atol=1e-5)

    @parameterized.parameters("tanh", "lstm")
    def test_a_static_input_is_a_constant_sequence(self, cell):
        inputs = make_inputs()
        static = make_layer(cell, return_sequences=True)
        moving = make_layer(cell, return_sequences=True, steps=None)
        sequences = [np.repeat(x[:, np.newaxis], 4, axis=1) for x in inputs]
        moving(sequences)
        static(inputs)
        moving.set_weights(static.get_weights())
        for one, other in zip(static(inputs), moving(sequences), strict=True):
            self.assertAllClose(one, other, atol=1e-6)

    @parameterized.parameters("tanh", "gru", "lstm")
    def test_steps_that_are_masked_are_as_if_absent(self, cell):
        layer = make_layer(cell, steps=None)
        inputs = make_inputs(steps=5)
        mask = np.tile([True, False, True, True, False], (3, 1))
        layer(inputs)
        expected = layer([x[:, [0, 2, 3]] for x in inputs])
        found = layer(inputs, mask=[mask, mask])
        for one, other in zip(found, expected, strict=True):
            self.assertAllClose(one, other, atol=1e-6)

    def test_a_module_that_waits_is_seen_as_it_is(self):
        layer = make_layer(steps=None, return_sequences=True)
        inputs = make_inputs(steps=3)
        mask = tf.constant([[True, False, True]] * 3)
        one, other = layer(inputs, mask=[mask, None])
        states = [np.zeros((3, n)) for n in SIZES[:2]]
        for step in range(3):
            new = []
            for n, (cell, x) in enumerate(zip(layer.cells, inputs)):
                kernel, recurrent, bias = cell.get_weights()
                total = x[:, step] @ kernel + bias + states[n] @ recurrent
                total += states[1 - n] @ np.array(layer.link(1 - n, n).kernel)
                new.append(np.tanh(total))
            states = [states[0] if step == 1 else new[0], new[1]]
            self.assertAllClose(one[:, step], states[0], atol=1e-5)
            self.assertAllClose(other[:, step], states[1], atol=1e-5)

    @parameterized.parameters(True, False)
    def test_takes_and_passes_on_the_masks_of_keras(self, return_sequences):
        words = [keras.Input((4,), dtype="int32") for _ in (0, 1)]
        embeddings = [
            keras.layers.Embedding(5, 3, mask_zero=zero)
            for zero in (True, False)
        ]
        layer = make_layer(steps=None, return_sequences=return_sequences)
        states = layer([e(x) for e, x in zip(embeddings, words)])
        masks = [keras_private.get_keras_mask(x) for x in states]
        self.assertIsNone(masks[1])
        self.assertEqual(masks[0] is None, not return_sequences)
        model = keras.Model(words, states)
        word = np.array([[1, 2, 3, 0], [4, 1, 0, 0]])
        found = model([word, np.ones((2, 4))])
        plain = [e.embeddings.numpy()[w] for e, w in zip(embeddings, (word, 1))]
        plain[1] = np.tile(plain[1], (2, 4, 1))
        expected = layer(plain, mask=[tf.constant(word != 0), None])
        for x, y in zip(found, expected, strict=True):
            self.assertAllClose(x, y, atol=1e-6)
        self.assertNotAllClose(found[0], layer(plain)[0])

    @parameterized.named_parameters(
        ("shape", None, [np.ones((3, 4, 1), bool), None]),
        ("count", None, [np.ones((3, 4), bool)]),
        ("no_sequences", 4, [np.ones((3, 4), bool), None]),
    )
    def test_refuses_as_a_mask(self, steps, mask):
        layer = make_layer(steps=steps)
        inputs = make_inputs(steps=None if steps else 4)
        with self.assertRaisesRegex(ValueError, "`mask` must be a list of 2"):
            layer(inputs, mask=mask)

    def test_a_loop_of_unknown_length_does_the_same(self):
        layer = make_layer("stack", steps=None, return_sequences=True)
        symbols = [keras.Input((None, features)) for features in FEATURES[:2]]
        masks = [keras.Input((None,), dtype="bool"), None]
        outputs = layer(symbols, mask=masks)
        self.assertEqual(
            [x.shape for x in outputs], [(None, None, 4), (None, None, 3)]
        )
        model = keras.Model([*symbols, masks[0]], outputs)
        inputs = make_inputs(steps=5)
        mask = np.tile([True, False, True, True, False], (3, 1))
        expected = layer(inputs, mask=[mask, None])  # unrolled
        found = model.predict([*inputs, mask], verbose=0)
        for one, other in zip(found, expected, strict=True):
            self.assertAllClose(one, other, atol=1e-6)

    @parameterized.product(cell=["tanh", "stack"], kind=[list, tuple, dict])
    def test_goes_on_from_the_states_that_it_returned(self, cell, kind):
        layer = make_layer(cell, steps=None, return_state=True)
        inputs = make_inputs(steps=5)
        whole, last = layer(structured(kind, inputs))
        _, states = layer(structured(kind, [x[:, :3] for x in inputs]))
        rest = structured(kind, [x[:, 3:] for x in inputs])
        found = layer(rest, initial_state=states)
        self.assertIsInstance(found[0], kind)
        keras.tree.assert_same_structure(found, (whole, last))
        keras.tree.map_structure(
            lambda x, y: self.assertAllClose(x, y, atol=1e-6),
            found,
            (whole, last),
        )

    @parameterized.named_parameters(
        ("too_few", [[np.zeros((3, 4))], [np.zeros((3, 3))]], r"\[1, 1\]"),
        ("one_module", [np.zeros((3, 4))], "must be a list of 2"),
    )
    def test_refuses_as_an_initial_state(self, states, message):
        layer = make_layer("lstm")
        with self.assertRaisesRegex(ValueError, f"`initial_state` .*{message}"):
            layer(make_inputs(), initial_state=states)

    def test_a_mask_counts_beside_an_initial_state(self):
        layer = make_layer(steps=None)
        masked = keras.layers.Masking(0.0)(np.zeros((3, 5, 6), "float32"))
        start = [np.full((3, 4), 0.5), np.full((3, 3), 0.5)]
        waited, _ = layer(
            [masked, make_inputs(steps=5)[1]], initial_state=start
        )
        self.assertAllClose(waited, start[0])

    def test_a_stateful_layer_goes_on_from_the_last_batch(self):
        inputs = make_inputs(steps=5)
        plain = make_layer("lstm", steps=None)
        expected = plain(inputs)
        layer = make_layer("lstm", steps=None, stateful=True)
        symbols = [keras.Input(batch_shape=(3, None, n)) for n in FEATURES[:2]]
        model = keras.Model(symbols, layer(symbols))
        model.set_weights(plain.get_weights())  # states are none
        for _ in range(2):
            model.predict_on_batch([x[:, :3] for x in inputs])
            found = model.predict_on_batch([x[:, 3:] for x in inputs])
            for one, other in zip(found, expected, strict=True):
                self.assertAllClose(one, other, atol=1e-6)
            layer.reset_state()
        with self.assertRaisesRegex(ValueError, "its batch size, 3, got 2"):
            layer([x[:2] for x in inputs])

    def test_a_stateful_layer_needs_a_batch_size(self):
        layer = make_layer(steps=None, stateful=True)
        with self.assertRaisesRegex(ValueError, "`stateful` needs a fixed"):
            make_model(layer, make_inputs(steps=5))

    def test_dropout_drops_the_same_inputs_at_every_step(self):
        cells = [
            keras.layers.SimpleRNNCell(
                400,
                activation=None,
                dropout=rate,
                recurrent_initializer="zeros",
                kernel_initializer="identity",
            )
            for rate in (0.5, 0.0)
        ]
        layer = layers.SparseRecurrent(
            cells, 1, steps=3, return_sequences=True, link_scale=1e-9
        )
        ones = [np.ones((2, 400), "float32")] * 2
        for output in layer(ones):
            self.assertAllClose(output, np.ones((2, 3, 400)))
        dropped, kept = layer(ones, training=True)
        self.assertAllClose(kept, np.ones((2, 3, 400)))
        self.assertAllClose(np.unique(np.round(dropped, 3)), [0.0, 2.0])
        self.assertAllClose(dropped[:, 0], dropped[:, 2])
        # 800 coins: a mean off by 0.15 has probability below 1e-15.
        self.assertAllClose(np.mean(dropped), 1.0, atol=0.3)
        again = layer(ones, training=True)[0]
        self.assertNotAllClose(again, dropped)

    def test_cells_drop_inside_a_loop(self):
        rates = {"dropout": 0.5, "recurrent_dropout": 0.5}
        cells = [make_stack(n, f"module{n}", **rates) for n in (4, 3)]
        layer = layers.SparseRecurrent(cells, 2, unroll=False)
        inputs = make_inputs(steps=5)
        run = tf.function(layer, autograph=False)
        plain = run(inputs, training=False)
        one, two = run(inputs, training=True), run(inputs, training=True)
        self.assertNotAllClose(one[0], plain[0])
        self.assertNotAllClose(one[0], two[0])
        for x, y in zip(run(inputs, training=False), plain):
            self.assertAllClose(x, y)

    def test_returns_every_step_or_the_last(self):
        inputs = make_inputs()
        every = make_layer(return_sequences=True)
        last = make_layer()
        every(inputs)
        last(inputs)
        last.set_weights(every.get_weights())
        shapes = [x.shape for x in inputs]
        for layer, steps in ((every, (4,)), (last, ())):
            expected = [(3, *steps, 4), (3, *steps, 3)]
            self.assertEqual(layer.compute_output_shape(shapes), expected)
            self.assertEqual([x.shape for x in layer(inputs)], expected)
        for states, state in zip(every(inputs), last(inputs), strict=True):
            self.assertAllClose(states[:, -1], state)

    def test_every_ordered_pair_has_its_own_links(self):
        layer = make_layer(modules=3)
        layer(make_inputs(3))
        kernels = []
        for m, n in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
            kernel = np.array(layer.link(m, n).kernel)
            self.assertEqual(kernel.shape, (SIZES[m], SIZES[n]))
            self.assertEqual(np.count_nonzero(kernel), 5)
            self.assertLess(np.max(np.abs(kernel)), 1.0)
            kernels.append(kernel[kernel != 0])
        self.assertLen(np.unique(np.concatenate(kernels)), 30)

    def test_the_seed_draws_the_links(self):
        kernels = []
        for seed in (1, 1, 2):
            layer = make_layer(seed=seed)
            layer(make_inputs())
            kernels.append(np.array(layer.link(0, 1).kernel))
        self.assertAllEqual(kernels[0], kernels[1])
        self.assertNotAllEqual(kernels[0], kernels[2])

    @parameterized.parameters("tanh", "gru", "lstm")
    def test_every_weight_receives_a_gradient(self, cell):
        layer = make_layer(cell, connections=1.0)
        inputs = make_inputs()
        layer(inputs)
        with tf.GradientTape() as tape:
            value = sum(tf.reduce_sum(x**2) for x in layer(inputs))
        variables = layer.trainable_variables
        self.assertLen(variables, 8)
        gradients = tape.gradient(value, [v.value for v in variables])
        for variable, gradient in zip(variables, gradients, strict=True):
            self.assertGreater(np.abs(gradient).max(), 0.0, variable.path)

    @parameterized.parameters(("tanh", True), ("lstm", False))
    def test_weights_can_be_replaced_for_a_call(self, cell, unroll):
        inputs = make_inputs()
        layer = make_layer(cell, unroll=unroll)
        model = make_model(layer, inputs)
        call = functional_call.FunctionalCall(model)
        self.assertLen(call.variables, 8)
        halved = {path: v.value / 2 for path, v in call.variables.items()}
        outputs = call(halved, inputs)
        for variable in call.variables.values():
            variable.assign(variable / 2)
        for one, other in zip(outputs, model(inputs), strict=True):
            self.assertAllClose(one, other)

    def test_trains_in_a_model_with_deep_r(self):
        layer = make_layer("lstm", steps=2, unroll=False)
        model = make_model(layer, make_inputs())
        inputs = make_inputs(batch=16)
        targets = [x[:, :n] > 0 for x, n in zip(reversed(inputs), SIZES)]
        optimizer = deep_r.DeepR("adam", learning_rate=0.05, seed=1)
        model.compile(optimizer, ["mse", "mse"], jit_compile=False)
        history = model.fit(inputs, targets, epochs=15, verbose=0).history
        self.assertLess(history["loss"][-1], history["loss"][0])
        for m, n in ((0, 1), (1, 0)):
            self.assertEqual(np.count_nonzero(layer.link(m, n).kernel), 5)

    def test_config_keeps_every_argument(self):
        kwargs = {
            "connections": 0.5,
            "steps": 7,
            "return_sequences": True,
            "return_state": True,
            "stateful": True,
            "unroll": False,
            "dormant_gradients": True,
            "links_into": "state",
            "link_scale": 0.25,
            "seed": 9,
        }
        layer = make_layer("lstm", **kwargs)
        config = layer.get_config()
        self.assertEqual(kwargs, {key: config[key] for key in kwargs})
        again = layers.SparseRecurrent.from_config(config)
        self.assertEqual(again.get_config(), config)
        self.assertEqual([cell.units for cell in again.cells], [4, 3])

    @parameterized.parameters(("stack", list), ("gru", tuple), ("lstm", dict))
    def test_saves_and_loads(self, cell, kind):
        inputs = structured(kind, make_inputs())
        model = make_model(make_layer(cell, return_state=True), inputs)
        for variable in model.trainable_variables:
            variable.assign(variable / 2)
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = os.path.join(folder, "m.keras")
        model.save(file)
        loaded = keras.saving.load_model(file)
        for one, other in zip(
            *[keras.tree.flatten(m(inputs)) for m in (loaded, model)],
            strict=True,
        ):
            self.assertAllClose(one, other)

    @parameterized.parameters(
        ("mixed_float16", "float16", "float32"),
        ("float64", "float64", "float64"),
    )
    def test_strengths_are_float32_at_least(self, dtype, outputs, strengths):
        cells = [keras.layers.SimpleRNNCell(n, dtype=dtype) for n in (4, 3)]
        layer = layers.SparseRecurrent(cells, 2, steps=3, dtype=dtype)
        for output in layer(make_inputs()):
            self.assertEqual(output.dtype, outputs)
        self.assertEqual(layer.link(0, 1).connection_strength.dtype, strengths)

    @parameterized.named_parameters(
        ("steps", {"steps": 0}, "`steps` must be a positive int, got 0"),
        ("scale", {"link_scale": 0.0}, "`link_scale` must be .* above 0"),
        ("seed", {"seed": -1}, "`seed` must be an int"),
        (
            "into",
            {"links_into": "h"},
            '`links_into` must be "input" or "state"',
        ),
        ("count", {"connections": 13}, r"`connections` .* \[1, 12\] .* got 13"),
        ("one", {"modules": 1}, "`cells` must be a list of two or more"),
    )
    def test_refuses(self, kwargs, message):
        with self.assertRaisesRegex(ValueError, message):
            make_layer(**kwargs)(make_inputs())

    @parameterized.named_parameters(
        ("a_layer", keras.layers.Dense(3), "must be Keras recurrent cells"),
        (
            "a_recurrent_layer",
            keras.layers.SimpleRNN(3, name="rnn"),
            "layer 'rnn', a SimpleRNN: give its `cell`",
        ),
        ("no_kernel", NoKernel(name="none"), "`kernel`"),
    )
    def test_refuses_as_a_cell(self, cell, message):
        with self.assertRaisesRegex(ValueError, message):
            layers.SparseRecurrent([keras.layers.GRUCell(3), cell], 1, steps=2)(
                make_inputs()
            )

    def test_refuses_one_cell_twice(self):
        cell = keras.layers.GRUCell(3)
        with self.assertRaisesRegex(ValueError, "one of them twice"):
            layers.SparseRecurrent([cell, cell], 1)

    @parameterized.named_parameters(
        ("no_list", 4, lambda x: x[0]),
        ("too_few", 4, lambda x: x[:1]),
        ("too_many", 4, lambda x: [*x, x[0]]),
        ("sequences", None, lambda x: x),
        ("other_names", 4, lambda x: {"left": x[0], "right": x[1]}),
        ("lengths", None, lambda x: [np.ones((3, 2, 6)), np.ones((3, 4, 7))]),
    )
    def test_refuses_as_inputs(self, steps, change):
        with self.assertRaisesRegex(ValueError, "`inputs` must be a list of 2"):
            make_layer(steps=steps)(change(make_inputs()))

    def test_refuses_a_link_that_is_not_there(self):
        layer = make_layer()
        layer(make_inputs())
        with self.assertRaisesRegex(ValueError, r"got \(1, 1\)"):
            layer.link(1, 1)


if __name__ == "__main__":
    tf.test.main()
