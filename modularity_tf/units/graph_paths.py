"""What the operations between tensors of a graph tell about derivatives.

An operation that is not listed here is taken to be anything: derivatives are
then found without what is known about it, as right and slower. Sets hold the
names of tensors, which are unique in a graph.
"""

from collections.abc import Sequence

import tensorflow as tf

RESHAPES = ("Reshape", "Identity", "ExpandDims", "Squeeze")
_FUNCTIONS = (  # of one tensor, entry by entry
    *("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign"),
    *("Tanh", "Sigmoid", "Erf", "Exp", "Log", "Sqrt", "Square", "Neg"),
)
_SUMS = ("AddV2", "BiasAdd", "Sub", "AddN", "ConcatV2", "Pack")
_PIECEWISE_LINEAR = (  # in one tensor, while the others are constant
    *("MatMul", "BatchMatMulV2", "BatchMatMulV3", "Mul", "Conv2D", "Conv3D"),
    *("DepthwiseConv2dNative", "Relu", "Relu6", "LeakyRelu", "MaxPool"),
    *("AvgPool", "Mean", "Sum", "Neg", "Transpose", "Pad", "StridedSlice"),
    "Cast",  # from one float type to another
    *RESHAPES,
)


def depending_on(tensors: Sequence[tf.Tensor]) -> set[str]:
    """Returns the names of the float tensors that depend on some tensors."""
    found = {x.name for x in tensors}
    for op in tensors[0].graph.get_operations():  # in order of creation
        if any(x.name in found for x in op.inputs):
            found |= {y.name for y in op.outputs if y.dtype.is_floating}
    return found


def piecewise_linear(
    outputs: Sequence[tf.Tensor], dependent: set[str]
) -> set[str]:
    """Returns the names of the tensors that outputs are piecewise linear in.

    Args:
        outputs: List of tensors.
        dependent: What `depending_on` returned for the inputs.
    """
    curved = {y.name: False for y in outputs}  # of tensors that lead to outputs
    for op in reversed(outputs[0].graph.get_operations()):
        after = [curved[y.name] for y in op.outputs if y.name in curved]
        data = [x.name for x in op.inputs if x.name in dependent]
        if not after or not data:
            continue
        straight = op.type in _SUMS or (
            op.type in _PIECEWISE_LINEAR and len(data) == 1
        )
        for name in data:
            curved[name] = curved.get(name, False) or any(after) or not straight
    return {name for name, bends in curved.items() if not bends}


def leads_past(
    target: tf.Tensor, outputs: Sequence[tf.Tensor], inputs: Sequence[tf.Tensor]
) -> bool:
    """Returns if a tensor depends on the inputs other than through outputs."""
    seen, rest = {y.name for y in outputs}, [target]
    while rest:
        tensor = rest.pop()
        if tensor.name not in seen:
            seen.add(tensor.name)
            rest.extend(tensor.op.inputs)
    return any(x.name in seen for x in inputs)


def before_functions(tensor: tf.Tensor, dependent: set[str]) -> tf.Tensor:
    """Returns the tensor that one is a function of, entry by entry.

    The earliest such, back to the product or whatever else mixes entries.
    """
    while True:
        op = tensor.op
        data = [x for x in op.inputs if x.name in dependent]
        if (
            op.type not in (*_FUNCTIONS, *_SUMS[:3], "Mul", "Identity")
            or len(data) != 1
            or data[0].shape[1:].as_list() != tensor.shape[1:].as_list()
        ):
            return tensor
        tensor = data[0]


def only_product(tensor: tf.Tensor, dependent: set[str]) -> tf.Operation | None:
    """Returns the product by which alone a tensor is used, or `None`.

    Perhaps after it was reshaped.
    """
    while True:
        users = [op for op in tensor.consumers() if op.type != "Shape"]
        if len(users) == 1 and is_product(users[0], dependent):
            return users[0]
        if len(users) != 1 or users[0].type not in RESHAPES:
            return None
        tensor = users[0].outputs[0]


def is_product(op: tf.Operation, dependent: set[str]) -> bool:
    """Returns if an operation is x W, W constant, with neither transposed."""
    return op.type == "MatMul" and not (
        op.get_attr("transpose_a")
        or op.get_attr("transpose_b")
        or op.inputs[1].name in dependent
    )
