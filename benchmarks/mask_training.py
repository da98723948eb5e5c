r"""Times mask training against plain training of the same network.

python -m benchmarks.mask_training --json=table.json
python -m benchmarks.mask_training --networks=fnn_400,lstm --nomemory
python -m benchmarks.mask_training \
    --load_application=ResNet50V2,MobileNetV2,EfficientNetB0,ConvNeXtTiny

A step is a step of `fit` on batches in memory. Per network, one process runs
all variants in turn, a short block each, again and again; a number is the
median over blocks, a ratio the median of each block over the plain block of
its round. Peak memory is each variant's own process's, less what it held
before the model was built (on a GPU: the peak on the device).

`plain` trains the weights, `masked` is `MaskedModel` with K samples a batch,
`literal` draws and multiplies K masks as the paper writes it.
"""

import importlib.metadata
import json
import multiprocessing
import os
import pathlib
import platform
import re
import statistics
import subprocess
import time
from concurrent import futures

import keras
import numpy as np
import rich
import rich.table
import tensorflow as tf
from absl import app, flags
from keras import ops

from benchmarks import networks
from modularity_tf import MaskedModel, masks, model_weights

PLAIN = "plain"
PACKAGES = ("tensorflow", "keras", "numpy")


class LiteralMaskedModel(MaskedModel):
    """Draws its masks as the paper writes it, nothing fused or shared.

    s = sigmoid(l - log(log U1 / log U2)), b = stop_gradient([s > 1/2] - s) + s
    for each sample and weight, and one trace of the model a sample.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066),
          equations 1 and 2
    """

    def call(self, inputs, training=False):
        if not training:
            return super().call(inputs)
        parts = masks.split_batch(inputs, self.num_samples)
        return ops.concatenate([self._call_masked(part) for part in parts])

    def _call_masked(self, inputs):
        weights = model_weights.model_weights(self.model)
        mapping = []
        for path, logits in self.mask_logits.items():
            noise = [
                tf.math.log(tf.random.uniform(logits.shape, 1e-10))
                for _ in range(2)
            ]
            soft = tf.sigmoid(logits - tf.math.log(noise[0] / noise[1]))
            hard = tf.cast(soft > 0.5, soft.dtype)
            mask = tf.stop_gradient(hard - soft) + soft
            variable = weights[path].variable
            mapping.append((variable, variable.value * mask))
        with keras.StatelessScope(state_mapping=mapping):
            return self.model(inputs, training=False)


class Stopwatch(keras.callbacks.Callback):
    """Times the steps of a `fit` but its first, which also starts it."""

    def on_train_batch_end(self, batch, logs=None):
        if batch in (0, self.params["steps"] - 1):
            float(logs["loss"])  # waits for a GPU
            self.end = time.perf_counter()
            if batch == 0:
                self.start = self.end


def prepare(name, variant, options):
    """Returns a compiled model and a function that fits it for some steps."""
    network = networks.find(name)
    keras.utils.set_random_seed(0)
    plain = model = network.build()
    if variant != PLAIN:
        kind, samples = variant.split(" K=")
        wrap = LiteralMaskedModel if kind == "literal" else MaskedModel
        model = wrap(plain, num_samples=int(samples), roles=network.roles)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=options["jit_compile"],
    )
    data = random_batches(plain, options["batch_size"])

    def fit(steps, *callbacks):
        batches = data.take(steps)
        model.fit(batches, verbose=0, shuffle=False, callbacks=callbacks)

    return model, fit


def random_batches(model, batch_size, batches=4):
    """Returns an endless `tf.data.Dataset` of random batches, in memory."""
    rng, rows = np.random.default_rng(0), batch_size * batches
    x = {
        tensor.name: rng.normal(size=(rows, *tensor.shape[1:])).astype("f4")
        if "float" in tensor.dtype
        else rng.integers(networks.VOCABULARY, size=(rows, *tensor.shape[1:]))
        for tensor in model.inputs
    }
    x = x if len(x) > 1 else next(iter(x.values()))
    *shape, classes = model.output_shape[1:]
    y = rng.integers(classes, size=(rows, *shape))
    data = tf.data.Dataset.from_tensor_slices((x, y))
    return data.batch(batch_size, drop_remainder=True).cache().repeat()


def time_steps(name, variants, options):
    """Returns the times of the variants of one network, dicts by variant."""
    warm_up()
    results, fits = {}, {}
    for variant in variants:
        model, fits[variant] = prepare(name, variant, options)
        start = time.perf_counter()
        fits[variant](1)
        results[variant] = {
            "trained": sum(
                int(np.prod(v.shape)) for v in model.trainable_variables
            ),
            "jit_compile": model.jit_compile,
            "first_step_s": time.perf_counter() - start,
            "block_ms": [],  # milliseconds a step
        }
    for _ in range(options["blocks"]):
        for variant, fit in fits.items():  # plain, masked, plain, masked
            watch = Stopwatch()
            fit(options["steps"] + 1, watch)
            elapsed = 1000 * (watch.end - watch.start) / options["steps"]
            results[variant]["block_ms"].append(elapsed)
    for result in results.values():
        pairs = zip(result["block_ms"], results[PLAIN]["block_ms"])
        result["step_ms"] = statistics.median(result["block_ms"])
        result["ratio"] = statistics.median(ms / base for ms, base in pairs)
    return results


def peak_memory(name, variant, options):
    """Returns the MiB that building and training one variant takes."""
    warm_up()
    before = memory("VmRSS")
    _, fit = prepare(name, variant, options)
    fit(options["steps"] + 1)
    return memory("VmHWM") - before


def memory(field):
    """Returns this process's current or peak memory in MiB, or the GPU's."""
    if tf.config.list_physical_devices("GPU"):
        info = tf.config.experimental.get_memory_info("GPU:0")
        return info["current" if field == "VmRSS" else "peak"] / 2**20
    # `ru_maxrss` is no less than what the parent held when it forked.
    status = pathlib.Path("/proc/self/status").read_text("utf-8")
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 2**10


def warm_up():
    """Starts TensorFlow and XLA, so that no variant pays for it."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("adam", "mse", jit_compile=True)
    model.fit(np.zeros((8, 4)), np.zeros((8, 2)), verbose=0)


def alone(function, *args):
    """Returns what a function returns in a new process."""
    context = multiprocessing.get_context("spawn")
    with futures.ProcessPoolExecutor(1, context) as pool:
        return pool.submit(function, *args).result()


def environment():
    """Returns versions and machine, for the record."""
    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text("utf-8")
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
    )
    return {
        **{p: importlib.metadata.version(p) for p in PACKAGES},
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "cpu": re.search(r"model name\s*: (.*)|$", cpuinfo)[1],
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "gpus": [details(gpu).get("device_name") for gpu in gpus],
    }


def table(results):
    """Returns a `rich.table.Table` with a row a network."""
    variants = next(iter(results.values()))
    shown = rich.table.Table("network", "", *variants, show_lines=True)
    for name, row in results.items():
        cells = [
            f"{result['step_ms']:.1f}\n{result['ratio']:.2f}\n"
            f"{result['first_step_s']:.1f}\n{result.get('peak_mib', 0):.0f}"
            for result in row.values()
        ]
        legend = "ms a step\n/ plain\n1st step, s\npeak, MiB"
        shown.add_row(name, legend, *cells)
    return shown


def main(argv):
    args = flags.FLAGS
    names = args.load_application or args.networks
    try:
        for name in names:
            networks.find(name)
        samples = [int(k) for k in args.samples]
    except ValueError as error:
        raise app.UsageError(str(error)) from None
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    variants = [PLAIN, *(f"masked K={k}" for k in samples), "literal K=4"]
    if args.load_application:
        variants = [PLAIN, "masked K=4"]
    options = {
        "steps": args.steps,
        "blocks": args.blocks,
        "batch_size": args.batch_size or (16 if args.load_application else 128),
        "jit_compile": "auto" if args.jit_compile is None else args.jit_compile,
    }
    record = {"options": options, "environment": environment(), "results": {}}
    for name in names:
        print(time.strftime("%H:%M:%S"), name, flush=True)
        row = alone(time_steps, name, variants, options)
        for variant in variants if args.memory else ():
            peak = alone(peak_memory, name, variant, options)
            row[variant]["peak_mib"] = peak
        record["results"][name] = row
        if args.json:
            text = json.dumps(record, indent=1)
            pathlib.Path(args.json).write_text(text + "\n", "utf-8")
    rich.print(table(record["results"]))


def define_flags():
    """Defines the flags. Call it under the `__main__` guard."""
    flags.DEFINE_list("networks", list(networks.NETWORKS), "Rows of the table.")
    flags.DEFINE_list("load_application", [], "Instead, of keras.applications.")
    flags.DEFINE_list("samples", ["1", "4", "8"], "K, mask samples a batch.")
    flags.DEFINE_integer("steps", 10, "Steps a block.", 1)
    flags.DEFINE_integer("blocks", 9, "Blocks of each variant.", 1)
    flags.DEFINE_integer("batch_size", None, "128; 16 for applications.", 1)
    flags.DEFINE_bool("jit_compile", None, "With XLA; Keras decides if unset.")
    flags.DEFINE_bool("memory", True, "Measure it, in further processes.")
    flags.DEFINE_string("json", None, "File for all numbers.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
