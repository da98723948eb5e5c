"""Data as users have it: arrays `(x, y)`, datasets, batches of any kind.

One adapter with the contract of `keras.Model.fit`: what goes over users' data
goes through here.

- A tuple is arrays: `(x, y)` or `(x, y, sample_weight)`, each an array or a
  list, tuple or dict of arrays, one for each input or output. An array is what
  `fit` takes as such: of NumPy, TensorFlow (dense, sparse or ragged), SciPy
  (sparse), pandas, PyTorch or JAX, or a list of numbers or strings. Floats
  become `keras.config.floatx()`, text becomes `tf.string`.
- Anything else is batches of these: a list, a `tf.data.Dataset`, a
  `keras.utils.PyDataset`, or another iterable.
- A tuple of tuples or lists can be either. The number of the model's inputs
  decides. If that fits both, or there is no model, lists are arrays. Tuples are
  batches if they have different numbers of rows or look alike (same shapes and
  types), else arrays. Write batches as a list, and there is no doubt.
"""

import contextlib
import itertools
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import keras
import numpy as np
import scipy.sparse
import tensorflow as tf

# Arrays `(x, y)`, or batches of them.
Data: TypeAlias = Iterable[Any] | keras.utils.PyDataset

BATCH_SIZE = 256  # in which arrays are gone through
_TOO_SMALL = "`data` has no batch of {} rows or more, one for each mask."
_KINDS = (
    "a tuple of arrays (inputs, labels) or (inputs, labels, sample weights), "
    "or an iterable of such batches"
)


def read(
    name: str,
    data: Data,
    batch_size: int = BATCH_SIZE,
    with_weights: bool = False,
    model: keras.Model | None = None,
    must_end: bool = True,
) -> Iterator[tuple]:
    """Yields `(inputs, targets)` of every batch, in order, as tensors.

    Args:
        name: Str, the argument's name.
        data: Arrays or batches, as the module's docstring says. Before and
            after each pass over a `PyDataset`, its `on_epoch_begin` and
            `on_epoch_end` are called, as `fit` does.
        batch_size: Positive int, of arrays.
        with_weights: Bool. Whether sample weights behind the targets are a
            third item; else they are left out.
        model: `keras.Model` that the data are for, or `None`. It tells a tuple
            of arrays from a tuple of batches.
        must_end: Bool. Whether a dataset without an end is refused.

    Raises:
        ValueError: If it is something else, there are not as many targets as
            inputs, or nothing at all.
    """
    if is_arrays(data, model):
        arrays = checked_arrays(name, data)[: 3 if with_weights else 2]
        for start in range(0, count_rows(arrays[1]), batch_size):
            yield as_tensors(take(arrays, slice(start, start + batch_size)))
        return
    if must_end:
        check_ends(name, data)
    for batch in _one_pass(name, data):
        yield batch if with_weights else batch[:2]


def read_unweighted(
    name: str, data: Data, model: keras.Model | None = None
) -> Iterator[tuple]:
    """Yields `(inputs, targets)` as `read` does, where all count the same.

    Args:
        name: Str, the argument's name.
        data: As in `read`.
        model: As in `read`.

    Raises:
        ValueError: As `read`, and if there are sample weights other than 1.
    """
    for inputs, targets, *weights in read(
        name, data, with_weights=True, model=model
    ):
        if any(np.any(each != 1) for each in keras.tree.flatten(weights)):
            raise ValueError(
                f"`{name}` has sample weights, and here every example counts "
                "the same: take them off, and the examples of weight 0, too."
            )
        yield inputs, targets


def is_arrays(data: Data, model: keras.Model | None = None) -> bool:
    """Returns whether data are arrays `(inputs, targets)`, not batches.

    The module's docstring has the rule.

    Args:
        data: What a user gave.
        model: `keras.Model` that the data are for, or `None`.
    """
    if not isinstance(data, tuple) or len(data) < 2:
        return False
    if not all(map(_may_be_batch, data)):
        return True
    if len(data) > 3:
        return False
    inputs = getattr(model, "inputs", None)
    if inputs:
        wanted = len(keras.tree.flatten(inputs))
        as_arrays = _count_arrays(data[0]) == wanted
        if as_arrays != (_count_arrays(data[0][0]) == wanted):
            return as_arrays
    if any(isinstance(item, list) for item in data):
        return True
    kinds = [_kind(item) for item in data]
    is_equal_rows = len({rows for rows, _ in kinds}) == 1
    return is_equal_rows and any(kind != kinds[0] for kind in kinds)


def check_batches(name: str, data: Data) -> None:
    """Raises `ValueError` if data can't be batches, without a look at one.

    Args:
        name: Str, the argument's name.
        data: For which `is_arrays` does not hold.
    """
    first = data[0] if isinstance(data, (list, tuple)) and data else ()
    is_alone = hasattr(data, "shape") or isinstance(data, dict)
    is_iterable = hasattr(data, "__iter__") or isinstance(
        data, keras.utils.PyDataset
    )
    if isinstance(data, (str, bytes)) or not is_iterable:
        raise ValueError(f"`{name}` must be {_KINDS}, got {data!r}.")
    if is_alone or not isinstance(first, (tuple, list)):
        raise ValueError(
            f"`{name}` must be {_KINDS}, got "
            f"{'arrays' if is_alone else 'a ' + type(data).__name__}"
            f"{' without labels' if is_alone else ' of something else'}."
        )
    if isinstance(data, tf.data.Dataset):
        _check_spec(name, data.element_spec)


def check_ends(name: str, data: Data) -> None:
    """Raises `ValueError` if data are known to have no end."""
    if isinstance(data, tf.data.Dataset):
        is_endless = data.cardinality() == tf.data.INFINITE_CARDINALITY
    else:
        is_endless = (
            isinstance(data, keras.utils.PyDataset)
            and _num_batches(data) is None
        )
    if is_endless:
        raise ValueError(
            f"`{name}` is a dataset without an end: leave out `repeat()`, or "
            "`take` some batches; a PyDataset needs `num_batches`."
        )


def check_repeats(name: str, data: Data) -> None:
    """Raises `ValueError` if data can be gone through only once."""
    if isinstance(data, Iterator):
        raise ValueError(
            f"`{name}` is a {type(data).__name__}, which can be gone through "
            "only once, where several passes are needed: make a generator a "
            "list, a tf.data.Dataset or a PyDataset (to train on, one without "
            "an end will do)."
        )


def checked_arrays(name: str, data: Any) -> tuple:
    """Returns the arrays `(inputs, targets)`, and weights if there are any.

    Args:
        name: Str, the argument's name.
        data: For which `is_arrays` holds.

    Returns:
        Tuple of arrays or lists and dicts of arrays: NumPy arrays of numbers,
        and `tf.Tensor` of text, `tf.SparseTensor` and `tf.RaggedTensor`.

    Raises:
        ValueError: If there are not as many targets as inputs, or none, or
            something is no array.
    """
    if len(data) > 3:
        raise ValueError(f"`{name}` must be {_KINDS}, got {len(data)} items.")
    inputs, targets, *weights = (_as_arrays(name, x, True) for x in data)
    rows = [*_lengths(inputs), *_lengths(targets)]
    if len({*rows}) != 1 or not rows[0]:
        raise ValueError(
            f"`{name}` must have as many labels as inputs, and one or more, "
            f"got {rows}."
        )
    return (inputs, targets, *_checked_weights(name, targets, weights))


def take(arrays: Any, rows: slice | np.ndarray) -> Any:
    """Returns some rows of a nest of arrays or tensors.

    Args:
        arrays: Nest of arrays.
        rows: Slice, or array of indices.
    """
    return keras.tree.map_structure(lambda x: _rows_of(x, rows), arrays)


def as_tensors(arrays: Any) -> Any:
    """Returns a nest of arrays as tensors; sparse and ragged stay as such."""
    return keras.tree.map_structure(
        lambda x: (
            x
            if x is None or isinstance(x, (tf.SparseTensor, tf.RaggedTensor))
            else tf.convert_to_tensor(x)
        ),
        arrays,
    )


def check_finite(name: str, inputs: Any) -> None:
    """Raises `ValueError` if an input is NaN or infinite.

    What a network makes of it may not show it: a compiled Dense layer with a
    ReLU turns NaN into 0.

    Args:
        name: Str, the argument that the data were given as.
        inputs: A nest of arrays or tensors.
    """
    for values in keras.tree.flatten(inputs):
        values = getattr(values, "flat_values", values)  # of a ragged tensor
        values = np.asarray(getattr(values, "values", values))  # of a sparse
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"The inputs in `{name}` are NaN or infinite.")


def count_rows(arrays: Any) -> int:
    """Returns how many examples a nest of arrays or tensors has."""
    return _lengths(arrays)[0]


@contextlib.contextmanager
def training_batches(
    data: Data, batch_size: int, smallest: int, seed: int
) -> Iterator[tf.data.Dataset | Iterator[tuple]]:
    """Gives what `fit` takes to train on: batches without an end.

    Arrays and the batches of a `PyDataset` come in a random order, as in
    `fit`, others as they are. What is left over and smaller than a training
    batch may be is left out.

    Args:
        data: Arrays that `checked_arrays` returned, or batches.
        batch_size: Positive int, of arrays.
        smallest: Positive int, rows in the smallest batch that is trained on.
        seed: Int, not negative, of the order.

    Raises:
        ValueError: If no batch is large enough. Errors in the data of what is
            trained on are raised as they are, not as TensorFlow's.
    """
    if is_arrays(data):
        yield _shuffled(data, batch_size, seed)
    elif isinstance(data, tf.data.Dataset):
        fitting = data.filter(lambda *batch: _row_tensor(batch) >= smallest)
        if not any(True for _ in fitting.take(1)):
            raise ValueError(_TOO_SMALL.format(smallest))
        yield fitting.repeat()
    else:
        with _for_keras(_endless(data, smallest, seed)) as stream:
            yield stream


def _one_pass(name, data, rng=None):
    """Yields each batch of one pass over batches, checked, as tensors."""
    wanted = f"`{name}` must be {_KINDS}, got"
    if isinstance(data, keras.utils.PyDataset):
        data = _of_py_dataset(data, rng)
    elif isinstance(data, tf.data.Dataset):
        _check_spec(name, data.element_spec)
    elif not hasattr(data, "__iter__"):
        raise ValueError(f"{wanted} {data!r}.")
    is_empty = True
    for batch in data:
        is_empty = False
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            kind = getattr(batch, "shape", None)
            found = type(batch).__name__ + (f" of shape {kind}" if kind else "")
            raise ValueError(f"{wanted} a {found} in it.")
        inputs, targets, *weights = (_as_arrays(name, x) for x in batch)
        rows = [*_lengths(inputs), *_lengths(targets)]
        if len({*rows}) != 1:
            raise ValueError(
                f"A batch of `{name}` must have as many labels as inputs, got "
                f"{rows}."
            )
        weights = _checked_weights(name, targets, weights)
        yield as_tensors((inputs, targets, *weights))
    if is_empty:
        raise ValueError(
            f"`{name}` has no batch. (A generator can be gone through only "
            "once.)"
        )


def _of_py_dataset(data, rng):
    """Yields the batches of one epoch of a `PyDataset`, as `fit` does."""
    data.on_epoch_begin()
    try:
        count = _num_batches(data)
        order = itertools.count() if count is None else range(count)
        if rng is not None and count is not None:
            order = rng.permutation(count).tolist()
        for index in order:
            yield data[index]
    finally:  # after a pass that is left early, too
        data.on_epoch_end()


def _num_batches(data):
    """Returns how many batches a `PyDataset` has, `None` for no end."""
    try:
        return data.num_batches
    except NotImplementedError:
        return None


def _endless(data, smallest, seed):
    """Yields batches that are large enough, in one pass after the other."""
    rng = np.random.default_rng(seed)
    is_empty = False
    while not is_empty:
        is_empty = True
        for batch in _one_pass("data", data, rng):
            if count_rows(batch[1]) >= smallest:
                is_empty = False
                yield without_lists(batch)
    raise ValueError(_TOO_SMALL.format(smallest))


@contextlib.contextmanager
def _for_keras(found):
    """Gives a generator that Keras may run in another thread.

    The pass over the data ends with this block, not whenever Keras drops the
    generator, and an error in the data is raised as it is.
    """
    lock, errors = threading.Lock(), []

    def stream():
        while True:
            with lock:
                try:
                    batch = next(found)
                except StopIteration:
                    return
                except Exception as error:
                    errors.append(error)
                    raise
            yield batch

    try:
        yield stream()
    except Exception:
        if errors:
            raise errors[0] from None
        raise
    finally:
        with lock:
            found.close()


def _shuffled(data, batch_size, seed):
    """Returns a `tf.data.Dataset` of arrays, in random order without end."""
    rows = count_rows(data[1])
    tensors = without_lists(as_tensors(data))
    batch_size = min(batch_size, rows)
    if any(isinstance(x, tf.SparseTensor) for x in keras.tree.flatten(data)):
        examples = tf.data.Dataset.from_tensor_slices(tensors)
        examples = examples.shuffle(rows, seed=seed).repeat()
        return examples.batch(batch_size, drop_remainder=True).prefetch(2)
    return (
        tf.data.Dataset.range(rows)
        .shuffle(rows, seed=seed)
        .repeat()
        .batch(batch_size, drop_remainder=True)
        .map(
            lambda i: keras.tree.map_structure(
                lambda x: None if x is None else tf.gather(x, i), tensors
            )
        )
        .prefetch(2)
    )


def without_lists(data: Any) -> Any:
    """Returns arrays with tuples for lists, which `tf.data` would stack.

    Args:
        data: Nest of arrays.
    """
    if isinstance(data, (list, tuple)):
        return tuple(map(without_lists, data))
    if isinstance(data, dict):
        return {key: without_lists(value) for key, value in data.items()}
    return data


def _row_tensor(batch):
    """Returns how many rows a batch in a `tf.data.Dataset` has, a tensor."""
    first = next(x for x in keras.tree.flatten(batch) if x is not None)
    if isinstance(first, tf.RaggedTensor):
        return first.nrows()
    if isinstance(first, tf.SparseTensor):
        return first.dense_shape[0]
    return tf.shape(first, tf.int64)[0]


def _check_spec(name, spec):
    """Raises `ValueError` if the elements of a dataset are no batches."""
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        kind = "a tuple" if isinstance(spec, tuple) else "no tuple"
        raise ValueError(
            f"`{name}` must be a dataset of batches (inputs, labels) or "
            f"(inputs, labels, sample weights), got {kind} in it."
        )
    parts = keras.tree.flatten(spec)
    if any(isinstance(x, tf.TensorSpec) and x.shape.rank == 0 for x in parts):
        raise ValueError(f"`{name}` is not batched: call `.batch(...)` on it.")


def _checked_weights(name, targets, weights):
    """Returns a list of the sample weights, one for each output; or none."""
    weights = [each for each in weights if each is not None]
    if not weights:
        return []
    if _is_several(targets) and not _is_several(weights[0]):
        weights = [keras.tree.map_structure(lambda _: weights[0], targets)]
    try:
        keras.tree.assert_same_structure(targets, weights[0])
    except ValueError:
        raise ValueError(
            f"`{name}` must have sample weights as an array, or one for each "
            "array of labels, in the same list or dict."
        ) from None
    rows = {count_rows(targets), *_lengths(weights[0])}
    if len(rows) != 1:
        raise ValueError(
            f"`{name}` must have as many sample weights as labels, got "
            f"{sorted(rows)}."
        )
    return weights


def _is_several(arrays):
    return isinstance(arrays, (list, tuple, dict))


def _as_arrays(name, values, is_cast=False):
    """Returns arrays, or lists and dicts of them, as arrays of few kinds."""
    if isinstance(values, dict):
        return {
            key: _as_arrays(name, value, is_cast)
            for key, value in values.items()
        }
    if _holds_arrays(values):
        return [_as_arrays(name, value, is_cast) for value in values]
    return _as_array(name, values, is_cast)


def _holds_arrays(values):
    """Returns whether a value is a list of arrays, not one of numbers."""
    return isinstance(values, (list, tuple)) and any(
        isinstance(x, dict)
        or len(getattr(x, "shape", ())) > 0
        or _holds_arrays(x)
        for x in values
    )


def _as_array(name, value, is_cast):
    """Returns an array as one of four kinds, see `checked_arrays`."""
    if value is None:  # labels of an output without a loss
        return None
    if scipy.sparse.issparse(value):
        value = value.tocoo()
        value = tf.SparseTensor(
            np.stack([value.row, value.col], axis=1).astype("int64"),
            value.data,
            value.shape,
        )
    if isinstance(value, tf.SparseTensor):
        return tf.sparse.reorder(_in_floatx(value, tf.cast, is_cast))
    if isinstance(value, tf.RaggedTensor):
        return _in_floatx(value, tf.cast, is_cast)
    if isinstance(value, tf.Tensor) and value.dtype == tf.string:
        return value
    if hasattr(value, "detach"):  # of PyTorch
        value = value.detach().cpu()
    if hasattr(value, "iloc"):  # of pandas
        value = _of_pandas(value)
    try:
        value = np.asarray(value)
    except ValueError:
        raise ValueError(
            f"`{name}` holds rows of different lengths: pad them, or make it a "
            "tf.RaggedTensor."
        ) from None
    if value.dtype.kind in "OUST":
        try:
            found = tf.convert_to_tensor(value.astype(object))
        except (ValueError, TypeError):
            found = None
        if found is None or found.dtype != tf.string:
            raise ValueError(
                f"`{name}` holds an array of Python objects: make it one of "
                "numbers or of text."
            )
        return found
    if value.dtype.kind in "mM" or value.dtype.names:
        raise ValueError(
            f"`{name}` holds an array of {value.dtype}: make it one of numbers "
            "or of text."
        )
    return _in_floatx(value, np.ndarray.astype, is_cast)


def _in_floatx(value, cast, is_cast):
    """Returns a float array in Keras's float type, as `fit` casts it."""
    floatx = keras.config.floatx()
    is_other = "float" in value.dtype.name and value.dtype.name != floatx
    return cast(value, floatx) if is_cast and is_other else value


def _of_pandas(value):
    """Returns a pandas object as `fit` takes it: a Series is a column."""
    found = value.to_numpy()
    if found.dtype == object:
        with contextlib.suppress(ValueError, TypeError):  # else it is text
            found = found.astype(keras.config.floatx())
    return found[:, None] if found.ndim == 1 else found


def _rows_of(value, rows):
    """Returns some rows of an array or a tensor."""
    if value is None:
        return None
    if isinstance(value, tf.SparseTensor):
        return _rows_of_sparse(value, rows)
    if isinstance(value, (tf.Tensor, tf.RaggedTensor)):
        if isinstance(rows, slice):
            return value[rows]
        return tf.gather(value, rows)
    return np.asarray(value)[rows]


def _rows_of_sparse(value, rows):
    """Returns some rows of a `tf.SparseTensor` with its indices in order."""
    indices = value.indices.numpy()
    chosen = np.arange(value.shape[0])[rows]
    starts, ends = (
        np.searchsorted(indices[:, 0], chosen, side)
        for side in ("left", "right")
    )
    counts = ends - starts
    first = np.repeat(starts - (np.cumsum(counts) - counts), counts)
    places = first + np.arange(counts.sum())
    indices = indices[places]
    indices[:, 0] = np.repeat(np.arange(len(chosen)), counts)
    return tf.SparseTensor(
        indices,
        tf.gather(value.values, places),
        [len(chosen), *value.shape[1:]],
    )


def _lengths(values):
    """Returns how many examples each array of inputs or targets has."""
    if values is None:
        return []
    parts = list(values.values()) if isinstance(values, dict) else values
    if isinstance(parts, (list, tuple)):
        return [length for part in parts for length in _lengths(part)]
    return [(*_shape(parts), 0)[0]]


def _count_arrays(values):
    """Returns how many arrays inputs are, a nest or one."""
    if isinstance(values, dict):
        return sum(map(_count_arrays, values.values()))
    if _holds_arrays(values):
        return sum(map(_count_arrays, values))
    return 1


def _may_be_batch(item):
    if isinstance(item, list):
        return len(item) > 1 and _holds_arrays(item)
    return isinstance(item, tuple) and len(item) > 1


def _kind(item):
    """Returns the rows of arrays, and what else they look like."""
    arrays = keras.tree.flatten([_as_arrays("data", part) for part in item])
    return (
        tuple({length for x in arrays for length in _lengths(x)}),
        [(x.shape[1:], str(x.dtype)) for x in arrays],
    )


def _shape(value):  # of a sparse tensor, which is no array, too
    return tuple(value.shape) if hasattr(value, "shape") else np.shape(value)
