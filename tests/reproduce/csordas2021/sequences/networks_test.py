import tempfile
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.findings import weight_mask
from modularity_tf.masking import masked_model
from modularity_tf.network import model_weights
from reproduce.csordas2021.sequences import networks, scores
from reproduce.csordas2021.sequences.pairs import END, OWN, PAD

SOURCE = np.array([[1, 2, 3, END], [2, END, PAD, PAD]], "int32")
PREVIOUS = np.array([[END, 1, 2], [END, 2, PAD]], "int32")
INPUTS = {"source": SOURCE, "previous": PREVIOUS}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def values_of(model):
    weights = model_weights.model_weights(model)
    return {path: w.variable.numpy() for path, w in weights.items()}


def lstm_step(values, name, x, h, c):
    kernel, recurrent, bias = (
        values[f"{name}/{part}"]
        for part in ("kernel", "recurrent_kernel", "bias")
    )
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def lstm_by_hand(values, source, previous, layers):
    """Returns the logits of one example, its source without padding."""
    units = values["decoder/cell/lstm1/recurrent_kernel"].shape[0]
    states = [(np.zeros(units), np.zeros(units))] * layers
    for token in source:
        x = values["encoder_embedding/embeddings"][token]
        for i in range(layers):
            name = f"encoder_lstm{i + 1}/lstm_cell"
            states[i] = lstm_step(values, name, x, *states[i])
            x = states[i][0]
    logits, said = [], None
    for token in previous:
        token = said if token == OWN else token
        x = values["decoder/cell/embedding/embeddings"][token]
        for i in range(layers):
            name = f"decoder/cell/lstm{i + 1}"
            states[i] = lstm_step(values, name, x, *states[i])
            x = states[i][0]
        kernel, bias = (
            values[f"decoder/cell/output/{p}"] for p in ("kernel", "bias")
        )
        logits.append(x @ kernel + bias)
        said = np.argmax(logits[-1])
    return np.array(logits)


def attend(values, name, x, read, causal=False):
    query, key, value, out = (
        values[f"{name}/{part}/kernel"]
        for part in ("query", "key", "value", "attention_output")
    )
    q, k, v = (
        np.einsum("td,dhk->htk", a, b)
        for a, b in ((x, query), (read, key), (read, value))
    )
    scores = np.einsum("htk,hsk->hts", q, k) / np.sqrt(q.shape[-1])
    if causal:
        scores = np.where(np.tri(len(x), dtype=bool), scores, -1e9)
    mixed = np.einsum("hts,hsk->htk", softmax(scores), v)
    return normalized(values, name, x + np.einsum("htk,hkd->td", mixed, out))


def normalized(values, name, x):
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-5)
    return x * values[f"{name}_norm/gamma"] + values[f"{name}_norm/beta"]


def feed(values, name, x):
    inner, outer = (
        (values[f"{name}_{p}/kernel"], values[f"{name}_{p}/bias"])
        for p in ("inner", "outer")
    )
    y = np.maximum(x @ inner[0] + inner[1], 0) @ outer[0] + outer[1]
    return normalized(values, name, x + y)


def with_positions(x):
    width = x.shape[1]
    for position in range(len(x)):
        for i in range(0, width, 2):
            angle = position / 10_000 ** (i / width)
            x[position, i : i + 2] += np.sin(angle), np.cos(angle)
    return x


def transformer_by_hand(values, source, previous, layers, tied):
    """Returns the logits of one example, its source without padding."""
    read, write = (
        values[f"{name}/embeddings"]
        for name in (
            ("embedding",) * 2
            if tied
            else ("encoder_embedding", "decoder_embedding")
        )
    )
    x = with_positions(read[source].copy())
    for i in range(layers):
        name = f"encoder{i + 1}"
        x = feed(values, name, attend(values, f"{name}_self", x, x))
    y = with_positions(write[previous].copy())
    for i in range(layers):
        name = f"decoder{i + 1}"
        y = attend(values, f"{name}_self", y, y, causal=True)
        y = feed(values, name, attend(values, f"{name}_source", y, x))
    if tied:
        return y @ write.T / np.sqrt(write.shape[1])
    return y @ values["output/kernel"] + values["output/bias"]


def small_lstm(layers=1, **kwargs):
    return networks.lstm(4, 5, 3, 6, layers, **kwargs)


def small_transformer(layers=1, **kwargs):
    sizes = {"width": 8, "inner": 6, "heads": 2, "num_layers": layers}
    return networks.transformer(5, 5, 6, **sizes, **kwargs)


def small_tied_transformer(**kwargs):
    return small_transformer(tied=True, **kwargs)


class LstmTest(tf.test.TestCase):
    def test_matches_numpy_with_the_right_tokens_and_its_own(self):
        model = small_lstm(2, seed=1)
        values = values_of(model)
        for previous in (PREVIOUS, [[END, OWN, OWN, OWN]] * 2):
            previous = np.array(previous)
            logits = model({"source": SOURCE, "previous": previous})
            for i, row in enumerate(SOURCE):
                expected = lstm_by_hand(
                    values, row[row != PAD], np.maximum(previous[i], OWN), 2
                )
                upto = np.sum(previous[i] != PAD)
                self.assertAllClose(
                    logits[i][:upto], expected[:upto], atol=1e-5
                )

    def test_dropout_is_drawn_anew_each_step_in_training_alone(self):
        decoder = networks.Decoder(5, 3, 6, 2, 0.5, 0)
        previous, states = np.ones((2, 9)), [np.zeros((2, 6))] * 4
        decoder.build(previous.shape)
        with mock.patch.object(decoder, "steps") as steps:
            decoder(previous, states, training=True)
            decoder(previous, states, training=False)
        trained, used = (call.args[0] for call in steps.call_args_list)
        self.assertEqual(used.shape, (2, 9, 1))
        noise = trained[..., 1:]  # of the embedding, and between the layers
        self.assertEqual(noise.shape, (2, 9, 3 + 6))
        self.assertAllInSet(noise, {0.0, 2.0})
        for axis in range(3):
            self.assertGreater(np.ptp(noise, axis=axis).max(), 0.0)

    def test_dropout_masks_scale_what_the_cells_read(self):
        cell = small_lstm(2).get_layer("decoder").cell
        states = [*np.ones((4, 1, 6), "float32"), np.zeros((1, 1), "float32")]
        plain, _ = cell(np.ones((1, 1), "float32"), states)
        noise = np.ones((1, 1 + 3 + 6), "float32")
        self.assertAllClose(cell(noise, states)[0], plain)
        for part in (slice(1, 4), slice(4, 10)):
            changed = noise.copy()
            changed[:, part] = 2.0
            self.assertNotAllClose(cell(changed, states)[0], plain)

    def test_the_decoder_keeps_its_config(self):
        layer = networks.Decoder(5, 3, 6, 2, 0.25, 9, name="decoder")
        config = layer.get_config()
        wanted = {
            "size": 5,
            "embedding": 3,
            "hidden": 6,
            "num_layers": 2,
            "dropout": 0.25,
            "seed": 9,
        }
        self.assertEqual(wanted, {key: config.get(key) for key in wanted})


class TransformerTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(False, True)
    def test_matches_numpy(self, tied):
        model = small_transformer(2, tied=tied, seed=1)
        values = values_of(model)
        logits = model(INPUTS)
        for i, row in enumerate(SOURCE):
            upto = np.sum(PREVIOUS[i] != PAD)
            expected = transformer_by_hand(
                values, row[row != PAD], PREVIOUS[i][:upto], 2, tied
            )
            self.assertAllClose(logits[i][:upto], expected, atol=1e-4)

    def test_later_tokens_are_not_seen(self):
        model = small_transformer()
        later = np.array([[0, 0, 1]])
        changed = {**INPUTS, "previous": PREVIOUS + later}
        one, other = model(INPUTS), model(changed)
        self.assertAllClose(one[:, :2], other[:, :2], atol=1e-5)
        self.assertNotAllClose(one[:, 2], other[:, 2], atol=1e-2)

    def test_sequences_beyond_the_positions_are_refused(self):
        model = small_transformer()
        source = np.ones((1, 7), "int32")
        with self.assertRaisesRegex(ValueError, "6 positions: it has 7 tokens"):
            model({"source": source, "previous": source[:, :6]})
        model({"source": source[:, :6], "previous": source[:, :6]})

    def test_positions_of_unknown_lengths_are_checked_in_the_step(self):
        layer = networks.Positions(6)
        layer.build((None, None, 4))
        signature = [tf.TensorSpec((None, None, 4))]
        step = tf.function(layer.call, input_signature=signature)
        self.assertEqual(step(tf.zeros((1, 6, 4))).shape, (1, 6, 4))
        with self.assertRaises(tf.errors.InvalidArgumentError) as raised:
            step(tf.zeros((1, 7, 4)))
        self.assertIn("The sequence is longer", str(raised.exception))

    def test_refuses_what_does_not_fit(self):
        with self.assertRaisesRegex(ValueError, "`heads` must divide"):
            networks.transformer(5, 5, 6, width=8, heads=3)
        with self.assertRaisesRegex(ValueError, "one vocabulary, got"):
            networks.transformer(5, 6, 6, tied=True)


class EveryNetworkTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("lstm", small_lstm, "kernels", "decoder/cell/output/kernel"),
        ("transformer", small_transformer, "transformer", "output/kernel"),
        ("tied", small_tied_transformer, "transformer", None),
    )
    def test_embeddings_and_biases_have_no_mask(self, make, roles, output):
        network = make()
        masked = masked_model.MaskedModel(network, roles=roles)
        chosen = {
            path: weight.role
            for path, weight in model_weights.model_weights(network).items()
            if path in masked.mask_logits
        }
        self.assertNoCommonElements({"embedding", "bias"}, chosen.values())
        outputs = [p for p in chosen if f"/{p}".endswith("/output/kernel")]
        self.assertEqual(outputs, [output] if output else [])

    @parameterized.named_parameters(
        ("lstm", small_lstm, "kernels"),
        ("tied", small_tied_transformer, "transformer"),
    )
    def test_a_mask_trains_and_the_weights_stay(self, make, roles):
        network = make(seed=3)
        masked = masked_model.MaskedModel(
            network, num_samples=2, roles=roles, alpha=0.0, seed=0
        )
        self.assertAllClose(masked(INPUTS), network(INPUTS), atol=1e-5)
        before = network.get_weights()
        masked.compile(loss=scores.sequence_loss, run_eagerly=True)
        labels = np.array([[1, END, PAD], [2, 3, END]])
        masked.fit(INPUTS, labels, batch_size=2, verbose=0)
        for one, other in zip(before, network.get_weights()):
            self.assertAllEqual(one, other)
        values = values_of(network)
        for path, logits in masked.mask_logits.items():
            if np.any(values[path]):  # a weight of 0 is as good as removed
                self.assertGreater(np.ptp(logits.numpy()), 0.0, path)

    @parameterized.named_parameters(
        ("lstm", small_lstm), ("tied", small_tied_transformer)
    )
    def test_a_copy_and_a_file_compute_the_same(self, make):
        network = make(seed=4)
        shapes = {path: v.shape for path, v in values_of(network).items()}
        keep_all = {path: np.ones(s, bool) for path, s in shapes.items()}
        copy = weight_mask.WeightMask(keep_all).apply(network)
        self.assertAllClose(copy(INPUTS), network(INPUTS), atol=1e-6)
        folder = self.enterContext(tempfile.TemporaryDirectory())
        network.save(f"{folder}/x.keras")
        loaded = keras.saving.load_model(f"{folder}/x.keras")
        self.assertAllClose(loaded(INPUTS), network(INPUTS), atol=1e-6)
        self.assertEqual([*values_of(loaded)], [*shapes])

    @parameterized.named_parameters(
        ("lstm", small_lstm), ("transformer", small_transformer)
    )
    def test_the_seed_decides(self, make):
        one, same, other = (make(seed=s).get_weights() for s in (1, 1, 2))
        for a, b in zip(one, same):
            self.assertAllEqual(a, b)
        self.assertNotAllEqual(one[0], other[0])
        with self.assertRaisesRegex(ValueError, "`seed` must be an int >= 0"):
            make(seed=-1)


if __name__ == "__main__":
    tf.test.main()
