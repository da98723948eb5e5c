"""The sums behind the similarities of a dense ReLU classifier, in closed form.

For h_l = relu(h_(l-1) W_l + b_l), with logits y after the last layer and a
cross entropy L of their softmax p. With gates g_l = [h_l > 0]:

    dh_l/dx = diag(g_l) W_l^T dh_(l-1)/dx
    dy/dh_l = dy/dh_(l+1) diag(g_(l+1)) W_(l+1)^T
    d2L/dh2 = (dy/dh)^T (diag(p) - p p^T) dy/dh

The Hessian does not depend on the labels. Products are float32.

References:
    - [Lange et al., 2022](https://arxiv.org/abs/2203.11815), section 3.1
"""

from collections.abc import Sequence

import numpy as np


def sums_over_examples(
    kernels: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    inputs: np.ndarray,
) -> list[dict[str, np.ndarray]]:
    """Returns what the similarities of each hidden layer are made of.

    Args:
        kernels: List of D float32 arrays `(inputs, outputs)`, D > 1.
        biases: List of D float32 arrays `(outputs,)`.
        inputs: Float32 array `(examples, features)`.

    Returns:
        List with a dict for each hidden layer: `mean` `(units,)` over the
        examples, and sums over them, `(units, units)`: `covariance` (of the
        deviations), `input_sensitivity`, `output_sensitivity`, `loss_hessian`.

    References:
        - Lange et al., 2022, equations 1 to 4
    """
    hidden, x = [], inputs
    for kernel, bias in zip(kernels[:-1], biases):
        x = np.maximum(x @ kernel + bias, 0)
        hidden.append(x)
    logits = x @ kernels[-1] + biases[-1]
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    gates = [(h > 0).astype("float32") for h in hidden]
    return [
        {**_moments(h), "input_sensitivity": upstream, **downstream}
        for h, upstream, downstream in zip(
            hidden,
            _upstream(kernels, gates),
            _downstream(kernels, gates, p),
        )
    ]


def _moments(values):
    values = values.astype("float64")  # a constant unit: exactly no variance
    mean = values.mean(axis=0)
    values -= mean
    return {"mean": mean, "covariance": values.T @ values}


def _upstream(kernels, gates):
    """Returns sum dh/dx (dh/dx)^T of every hidden layer.

    Column by column: the gradient of one unit goes down to the first
    pre-activations, through W^T W instead of the inputs, and up again, for the
    examples at once where the unit is active. The Jacobians of all units
    together are more work (no example to skip) and do not stay in the cache.
    """
    metric = kernels[0].T @ kernels[0]
    sums = [metric * (gates[0].T @ gates[0])]  # diag(g) W^T W diag(g)
    for depth in range(1, len(gates)):
        kernel, gate = kernels[depth], gates[depth]
        total = np.zeros((gate.shape[1],) * 2)
        for i in range(len(total)):
            active = np.flatnonzero(gate[:, i])
            below = [g[active] for g in gates[:depth]]
            rows = below[-1] * kernel[:, i]
            for g, w in zip(below[-2::-1], kernels[depth - 1 : 0 : -1]):
                rows = (rows @ w.T) * g
            rows = rows @ metric
            for g, w in zip(below, kernels[1:depth]):
                rows = (rows * g) @ w
            rows *= below[-1]
            products = gate[active, i:].T @ rows
            total[i, i:] = np.sum(products * kernel[:, i:].T, axis=1)
        sums.append(total + np.triu(total, 1).T)
    return sums


def _downstream(kernels, gates, p):
    """Returns output sensitivity and Hessian sums of every hidden layer.

    Output by output, dy/dz of the pre-activations z = h W above each layer;
    W takes their sums to h. As diag(p) - p p^T = A A^T with A = diag(sqrt(p))
    - p sqrt(p)^T, the Hessian is a sum of squares of the columns of A, taken
    down likewise: no digits are lost where p is near 0 or 1.
    """
    outputs = p.shape[1]
    eye = np.eye(outputs, dtype="float32")
    sums = [
        {
            kind: np.zeros((kernel.shape[1],) * 2)
            for kind in ("output_sensitivity", "loss_hessian")
        }
        for kernel in kernels[1:]
    ]
    for c in range(outputs):
        seeds = {
            "output_sensitivity": np.tile(eye[c], (len(p), 1)),
            "loss_hessian": np.sqrt(p[:, c : c + 1]) * (eye[c] - p),
        }
        for kind, rows in seeds.items():
            for i in reversed(range(len(gates))):
                sums[i][kind] += rows.T @ rows
                if i:
                    rows = (rows @ kernels[i + 1].T) * gates[i]
    return [
        {kind: kernel @ z @ kernel.T for kind, z in of_layer.items()}
        for kernel, of_layer in zip(kernels[1:], sums)
    ]
