"""Backbones of KerasHub are Keras models like any other."""

import warnings

import keras
import keras_hub
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import modularity_tf as mtf
from modularity_tf.network import model_weights

ROWS, CLASSES = 16, 3
RNG = np.random.default_rng(0)
LABELS = RNG.integers(CLASSES, size=ROWS)


def gpt2_backbone():
    """Returns a small GPT-2, and sequences for it."""
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=50,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        dropout=0.0,
        max_sequence_length=6,
    )
    tokens = RNG.integers(50, size=(ROWS, 6))
    return backbone, {"token_ids": tokens, "padding_mask": np.ones_like(tokens)}


def gpt2():
    """Returns a classifier on a small GPT-2, data, a block, a layer in it."""
    backbone, data = gpt2_backbone()
    logits = keras.layers.Dense(CLASSES, name="classes")
    model = keras.Model(backbone.input, logits(backbone.output[:, -1]))
    layer = "transformer_layer_0"
    return model, data, layer, f"{layer}/feedforward_intermediate_dense"


def vit():
    """Returns the same on a small vision Transformer."""
    # As a layer: that of the patches can't be copied from its own config.
    backbone = keras_hub.models.ViTBackbone(
        image_shape=(8, 8, 3),
        patch_size=4,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        mlp_dim=16,
        dropout_rate=0.0,
    )
    images = RNG.normal(size=(ROWS, 8, 8, 3)).astype("float32")
    logits = keras.layers.Dense(CLASSES, name="classes")
    start = keras.Input((8, 8, 3))
    model = keras.Model(start, logits(backbone(start)[:, 0]))
    layer = f"{backbone.name}/vit_encoder/transformer_block_1"
    return model, images, layer, f"{layer}/mlp/dense"


class BackboneTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(gpt2, vit)
    def test_is_masked_and_its_units_are_found(self, build):
        model, inputs, layer, hidden = build()
        masked = mtf.MaskedModel(model, roles="transformer", seed=0)
        masked.compile(
            keras.optimizers.Adam(3.0),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            run_eagerly=True,
        )
        masked.fit(inputs, LABELS, batch_size=ROWS, epochs=2, verbose=0)
        mask = masked.weight_mask()
        self.assertBetween(mask.keep_fraction, 0.05, 0.95)
        in_block = {p for p in mask.values if p.startswith(layer)}
        self.assertLen([p for p in in_block if p.endswith("kernel")], 6)
        self.assertLen([p for p in in_block if "norm" in p or "ln" in p], 4)
        for path, weight in model_weights.model_weights(model).items():
            if weight.role == "embedding":
                self.assertNotIn(path, mask.values)
        # The mask, applied to a copy, is what the masked model evaluates.
        self.assertAllClose(
            mask.apply(model)(inputs), masked(inputs, training=False), atol=1e-5
        )
        with warnings.catch_warnings():
            # Of the units of attention heads, which are not looked at.
            warnings.simplefilter("ignore", UserWarning)
            clusters = mtf.find_units(model, (inputs, LABELS), layers=hidden)
            neurons = mtf.find_neurons(model, (inputs, LABELS), label=1)
        self.assertLen(clusters[hidden].clusters, 16)
        self.assertLen(neurons.values[hidden], 16)
        self.assertNotIn("classes", neurons.values)  # the output layer

    def test_a_language_model_that_answers_with_its_embeddings_is_copied(self):
        backbone, inputs = gpt2_backbone()
        model = keras_hub.models.GPT2CausalLM(backbone)
        kept = {
            path: RNG.random(weight.variable.shape) < 0.5
            for path, weight in model_weights.model_weights(model).items()
            if weight.role == "kernel"
        }
        self.assertLen(kept, 6)
        part = mtf.WeightMask(kept).apply(model)
        self.assertLen(part.weights, len(model.weights))
        outputs = model(inputs).numpy()
        self.assertNotAllClose(part(inputs), outputs)
        for path, weight in model_weights.model_weights(model).items():
            if path in kept:
                weight.variable.assign(weight.variable * kept[path])
        self.assertAllClose(part(inputs), model(inputs), atol=1e-5)


if __name__ == "__main__":
    tf.test.main()
