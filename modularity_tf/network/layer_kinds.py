"""Kinds of layers and of operations: what each does to units, in one place.

A unit is an entry of the last axis of what a layer puts out. Names that end in
`_OPS` are of operations of TensorFlow.
"""

import keras

CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
)
NEURONAL = (keras.layers.Dense, *CONVOLUTIONS)  # with neurons
# What lies inside of them is a part of how they work, called in a loop say.
WHOLE = (*NEURONAL, keras.layers.RNN, keras.layers.Wrapper)
# The same for layers whose own parts are no layers to speak of.
ATTENTION = (
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
)
COMPOSED = (keras.layers.RNN, keras.layers.Wrapper, *ATTENTION)
GATES = {  # of how many gates a recurrent layer's kernels have columns
    keras.layers.LSTM: 4,
    keras.layers.GRU: 3,
    keras.layers.SimpleRNN: 1,
}
ACTIVATIONS = (
    keras.layers.Activation,
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.Softmax,
)
# Layers that leave out, add, repeat or average positions: a unit stays the same
# index of the last axis. `keeps_units` adds those of which that depends.
POSITIONS = (
    *(
        getattr(keras.layers, f"{kind}{rank}D")
        for kind in (
            "AdaptiveAveragePooling",
            "AdaptiveMaxPooling",
            "AveragePooling",
            "Cropping",
            "GlobalAveragePooling",
            "GlobalMaxPooling",
            "MaxPooling",
            "UpSampling",
            "ZeroPadding",
        )
        for rank in (1, 2, 3)
        if hasattr(keras.layers, f"{kind}{rank}D")  # some are new in Keras
    ),
    keras.layers.CenterCrop,
    keras.layers.RepeatVector,
    keras.layers.Resizing,
)
# Layers that in inference hand on what they take, or hide some of it.
IDLE = (
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Masking,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)
# What else may lie between a layer and its activation.
SCALES = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
    keras.layers.Rescaling,
)
ACTIVATION_OPS = (
    "Elu",
    "LeakyRelu",
    "LogSoftmax",
    "Relu",
    "Relu6",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
)
SAME_OPS = ("Cast", "Identity")
# Layers that put units on another axis, or make some of their own; with WHOLE.
MIXING = (
    keras.layers.EinsumDense,
    keras.layers.Embedding,
    keras.layers.Permute,
    keras.layers.Reshape,
)
# Layers that say by `axis` where the units are.
NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
    keras.layers.UnitNormalization,
)
# Operations of TensorFlow through which a unit stays where it is.
UNITWISE_OPS = (*ACTIVATION_OPS, *SAME_OPS)
# Operations that leave the entries of all axes where they are.
# fmt: off
ONE_BY_ONE_OPS = (
    *UNITWISE_OPS,
    "Abs", "Add", "AddN", "AddV2", "Atan", "AvgPool", "AvgPool3D", "BiasAdd",
    "BroadcastTo", "CheckNumerics", "ClipByValue", "Cos", "Cosh", "Equal",
    "Erf", "Erfc", "Exp", "Expm1", "Floor", "FusedBatchNormV3", "Greater",
    "GreaterEqual", "Less", "LessEqual", "Log", "Log1p", "LogicalAnd",
    "LogicalNot", "LogicalOr", "MaxPool", "MaxPool3D", "Maximum", "Minimum",
    "MirrorPad", "Mul", "Neg", "NotEqual", "OnesLike", "Pad", "PadV2", "Pow",
    "PreventGradient", "RealDiv", "Reciprocal", "ResizeBicubic",
    "ResizeBilinear", "ResizeNearestNeighbor", "Round", "Rsqrt", "SelectV2",
    "Sign", "Sin", "Sinh", "Sqrt", "Square", "SquaredDifference",
    "StopGradient", "Sub", "Xlogy", "ZerosLike",
)
# fmt: on
REDUCTION_OPS = ("Max", "Mean", "Min", "Prod", "Sum")
RESHAPE_OPS = ("ExpandDims", "Reshape", "Squeeze", "Tile")
NO_VALUE_OPS = (
    "Const",
    "Placeholder",
    "ReadVariableOp",
    "Shape",
    "Size",
    "Rank",
)
# Layers that leave them so, in operations of which some are none of these.
ONE_BY_ONE = (
    *(
        kind
        for kind in POSITIONS
        if kind.__name__.startswith(("Cropping", "UpSampling", "ZeroPadding"))
    ),
    *IDLE,
    keras.layers.PReLU,
    keras.layers.RepeatVector,
)
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
# Those that have units on the last axis of what they put out.
WITH_UNITS = (*NEURONAL, *SEPARABLE, *TRANSPOSED, *GATES)
# Those whose units put out what an activation behind makes of them.
WITH_ACTIVATION = (*NEURONAL, *DEPTHWISE, *SEPARABLE, *TRANSPOSED)
SOFTMAXES = (keras.activations.softmax, keras.activations.log_softmax)


def keeps_units(layer: keras.layers.Layer) -> bool:
    """Returns whether a unit stays the same index of the last axis.

    Of layers without weights, and those that scale: they may lie between a
    layer and its activation. A `Permute` keeps units if the last axis stays the
    last. A `Reshape` makes other axes, and keeps none here.

    Args:
        layer: `keras.layers.Layer`.
    """
    if isinstance(layer, keras.layers.Permute):
        return layer.dims[-1] == len(layer.dims)
    return isinstance(layer, (*POSITIONS, *IDLE, *SCALES))


def gates(layer: keras.layers.Layer) -> int:
    """Returns the number of gates of a recurrent layer; 0 for another."""
    found = [n for kind, n in GATES.items() if isinstance(layer, kind)]
    return (*found, 0)[0]


def candidate(layer: keras.layers.Layer) -> int:
    """Returns the number of the gate that proposes a recurrent layer's state.

    Where its columns are zero for a unit, the unit stays at 0, if the layer
    `stays_at_zero`: an LSTM's input to the cell, a GRU's new state, a
    SimpleRNN's state.
    """
    return 2 if gates(layer) > 1 else 0


def stays_at_zero(layer: keras.layers.Layer) -> bool:
    """Returns whether units of a recurrent layer stay at 0 by `candidate`.

    That its columns are zero is enough if its activation has 0 for 0.
    """
    return bool(layer.cell.activation(keras.ops.zeros(1))[0] == 0)


def lora_factor(layer: keras.layers.Layer, axis: int) -> keras.Variable:
    """Returns the factor of a layer's LoRA that has an axis of its kernel.

    Args:
        layer: `keras.layers.Layer` with LoRA.
        axis: Negative int.
    """
    return layer.lora_kernel_b if axis == -1 else layer.lora_kernel_a
