"""The code of masking_your_model.md: python -m docs.masking_your_model.

Takes 10 to 25 minutes on 2 cores. Writes the pictures to docs/images.
"""

import keras
import numpy as np
from sklearn import datasets

import modularity_tf
from modularity_tf import confusion, plots
from modularity_tf.masking import alpha_search, callbacks

# --- A model of one's own: a stock network, trained as usual.

pixels, labels = datasets.load_digits(return_X_y=True)
images = (pixels / 8 - 1).reshape(-1, 8, 8, 1).astype("float32")
images = images.repeat(6, axis=1).repeat(6, axis=2)  # 48 x 48
order = np.random.default_rng(0).permutation(len(labels))
train, validation, test = np.split(order, [1100, 1300])

keras.utils.set_random_seed(0)
model = keras.applications.MobileNetV2(
    input_shape=(48, 48, 1), alpha=0.35, weights=None, classes=10
)
for layer in model.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.momentum = 0.9  # few steps: the statistics must follow faster
decay = keras.optimizers.schedules.CosineDecay(3e-3, decay_steps=20 * 22)
model.compile(
    keras.optimizers.Adam(decay),
    "sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
model.fit(images[train], labels[train], batch_size=50, epochs=20, verbose=2)


def predict(network, rows):
    return np.argmax(network.predict(images[rows], verbose=0), axis=-1)


def accuracy(network, rows):
    return np.mean(predict(network, rows) == labels[rows])


print("network:", accuracy(model, test))

# --- Which weights does the whole task need? alpha by the paper's rule.

masked = modularity_tf.MaskedModel(model, seed=0)
masked.compile(
    keras.optimizers.Adam(0.1, epsilon=1e-12, global_clipnorm=1.0),
    loss="sparse_categorical_crossentropy",
)


def train_mask(rows, alpha, **kwargs):
    masked.reset(seed=0, alpha=alpha)
    masked.fit(
        images[rows],
        labels[rows],
        batch_size=100,
        epochs=40,
        verbose=0,
        **kwargs,
    )
    return masked.weight_mask()


def trial(alpha):
    mask = train_mask(train, alpha)
    return accuracy(masked, validation), mask.keep_fraction


found = alpha_search.search_alpha(
    trial, accuracy(model, validation), start=1e-7, refinements=0
)
plots.save(
    plots.alpha_search([found.__dict__], "MobileNetV2 on digits"),
    "docs/images/your_model_alpha.png",
    dpi=110,
    pdf=False,
)
print(found)

# --- Is the mask sound?

health = callbacks.MaskHealth((images[validation], labels[validation]))
everything = train_mask(train, found.alpha, callbacks=[health])
print(health.report())
masked.summary()

# --- Which weights does one class need? Leave it out, and compare.

without_3 = train_mask(train[labels[train] != 3], found.alpha)
only_3 = everything - without_3
print("needed for 3 alone:", only_3.keep_fraction)


def confusion_of(mask):
    predicted = predict(mask.apply(model), test)
    return confusion.confusion_matrix(labels[test], predicted, 10)


control = confusion_of(everything)
# The controls: the mask of all digits less as many of its weights by chance,
# and all weights but the mask's.
by_chance = everything - only_3.shuffled(seed=0, within=everything)
changes = {
    "without the weights of 3 alone": confusion_of(without_3) - control,
    "control: without as many others": confusion_of(by_chance) - control,
    "control: all but the mask": confusion_of(~without_3) - control,
}
plots.save(
    plots.confusion_matrices(
        changes,
        [str(i) for i in range(10)],
        "What is predicted instead, against the mask of all digits",
        difference=True,
    ),
    "docs/images/your_model_confusion.png",
    dpi=110,
    pdf=False,
)
for name, change in changes.items():
    print(
        name,
        "3:",
        change[3, 3],
        "others:",
        np.delete(np.diag(change), 3).mean(),
    )

# --- Keep it.

only_3.save("only_3.npz")  # one bit for each weight
mask = modularity_tf.WeightMask.load("only_3.npz", model)  # refused if unfit
subnetwork = mask.apply(model)  # a plain Keras model
masked.save("masked.keras")  # to go on training
