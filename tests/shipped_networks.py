"""Small stand-ins for trained networks that ship inside Python packages.

Each has the structure of one of them, with random weights. Their layers have
names, so paths are the same in every process.
"""

import keras
from keras import layers


def character_windows() -> keras.Model:
    """Windows of characters and of their kinds: is a word's first one here?

    As deepcut: two inputs, convolutions of several widths side by side, their
    largest, one sigmoid.
    """
    characters = keras.Input((6,), dtype="int32", name="characters")
    kinds = keras.Input((6,), dtype="int32", name="kinds")
    x = layers.Embedding(9, 4, name="embed")(characters)
    x = layers.SpatialDropout1D(0.2, name="drop")(x)
    x = layers.BatchNormalization(name="norm")(x)
    views = []
    for width in (1, 2, 3):
        view = layers.Conv1D(5, width, activation="relu", name=f"conv{width}")
        mixed = layers.TimeDistributed(
            layers.Dense(3, name=f"mix{width}"), name=f"each{width}"
        )
        padded = layers.ZeroPadding1D((0, width - 1), name=f"pad{width}")
        views.append(padded(mixed(view(x))))
    y = layers.Embedding(5, 3, name="embed_kinds")(kinds)
    x = layers.Concatenate(name="all")([x, layers.Maximum()(views), y])
    x = layers.BatchNormalization(name="norm_all")(x)
    x = layers.Dense(6, "relu", name="hidden")(layers.Flatten()(x))
    answer = layers.Dense(1, "sigmoid", name="out")(x)
    return keras.Model([characters, kinds], answer, name="windows")


def splice_sites() -> keras.Model:
    """One class for each position of a sequence but for its margins.

    As SpliceAI: dilated convolutions in residual blocks, sums of skips, a
    cropping, a softmax at each position.
    """
    inputs = keras.Input((16, 4))
    x = layers.Conv1D(6, 1, name="first")(inputs)
    skip = layers.Conv1D(6, 1, name="skip")(x)
    for i, dilation in enumerate((1, 2)):
        y = x
        for j in range(2):
            y = layers.BatchNormalization(name=f"norm{i}{j}")(y)
            y = layers.Activation("relu", name=f"relu{i}{j}")(y)
            y = layers.Conv1D(
                6, 3, dilation_rate=dilation, padding="same", name=f"conv{i}{j}"
            )(y)
        x = layers.Add(name=f"add{i}")([x, y])
    skip = layers.Add(name="skips")([skip, layers.Conv1D(6, 1, name="last")(x)])
    skip = layers.Cropping1D(3, name="crop")(skip)
    answer = layers.Conv1D(3, 1, activation="softmax", name="out")(skip)
    return keras.Model(inputs, answer, name="splice_sites")


def words_as_vectors() -> keras.Model:
    """Vectors of words, read character by character.

    As chars2vec: two LSTMs, sequences of any length, a regression.
    """
    inputs = keras.Input((None, 5))
    x = layers.LSTM(6, return_sequences=True, name="first")(inputs)
    return keras.Model(inputs, layers.LSTM(4, name="out")(x), name="words")


def faces() -> keras.Model:
    """Where in a patch a face is, and whether there is one.

    As RNet of MTCNN: PReLU, a Permute of the two axes of space, two outputs.
    """
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(5, 3, name="conv1")(inputs)
    x = layers.PReLU(shared_axes=[1, 2], name="prelu1")(x)
    x = layers.MaxPooling2D(2, padding="same", name="pool")(x)
    x = layers.Conv2D(4, 2, name="conv2")(x)
    x = layers.PReLU(shared_axes=[1, 2], name="prelu2")(x)
    x = layers.Permute((2, 1, 3), name="permute")(x)
    x = layers.Dense(7, name="dense")(layers.Flatten()(x))
    x = layers.PReLU(name="prelu3")(x)
    box = layers.Dense(4, name="out_box")(x)
    face = layers.Dense(2, "softmax", name="out_face")(x)
    return keras.Model(inputs, [box, face], name="faces")


def emotions() -> keras.Model:
    """Classes of images.

    As the network in fer: separable convolutions in residual blocks, a mean
    over space behind the last convolution, and no Dense layer.
    """
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Activation("relu", name="relu_first")(x)
    short = layers.Conv2D(6, 1, strides=2, padding="same", name="short")(x)
    short = layers.BatchNormalization(name="norm_short")(short)
    for i in range(2):
        if i:
            x = layers.Activation("relu", name="relu")(x)
        x = layers.SeparableConv2D(
            6, 3, padding="same", use_bias=False, name=f"separable{i}"
        )(x)
        x = layers.BatchNormalization(name=f"norm{i}")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="pool")(x)
    x = layers.Add(name="add")([x, short])
    x = layers.Conv2D(3, 3, padding="same", name="out")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(inputs, layers.Softmax()(x), name="emotions")


def edges() -> keras.Model:
    """Several maps of one image: is each pixel part of an edge?

    As HED: a sigmoid map of every scale in the size of the image, and one of
    all of them.
    """
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="block1")(
        inputs
    )
    small = layers.MaxPooling2D(2, padding="same", name="pool")(x)
    small = layers.Conv2D(
        5, 3, padding="same", activation="relu", name="block2"
    )(small)
    side1 = layers.Conv2D(1, 1, name="out_side1")(x)
    side2 = layers.Conv2D(1, 1, name="out_side2")(small)
    side2 = layers.UpSampling2D(2, interpolation="bilinear", name="up")(side2)
    both = layers.Concatenate(name="sides")([side1, side2])
    fused = layers.Conv2D(1, 1, activation="sigmoid", name="out_fused")(both)
    one = layers.Activation("sigmoid", name="out1")(side1)
    two = layers.Activation("sigmoid", name="out2")(side2)
    return keras.Model(inputs, [one, two, fused], name="edges")
