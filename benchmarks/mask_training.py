r"""Times mask training against plain training of the same network.

python -m benchmarks.mask_training --json=table.json
python -m benchmarks.mask_training --networks=fnn_400,lstm --nomemory
python -m benchmarks.mask_training --networks=gpt2_small --batch_size=4 \
    --samples=1,4
python -m benchmarks.mask_training \
    --load_application=ResNet50V2,MobileNetV2,EfficientNetB0,ConvNeXtTiny

A step is a step of `fit` on batches in memory. Per network, one process runs
all variants in turn, block by block; a number is the median over blocks, a
ratio that over the plain block of the same round. Peak memory is that of a
process of its own, less what it held before the model was built; compiling
counts. `plain` trains the weights, `masked` is `MaskedModel` with K samples a
batch, `literal` computes K masks as the paper writes them (not of large
networks).
"""

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
from modularity_tf import MaskedModel
from modularity_tf.masking import mask_sampling
from modularity_tf.network import model_weights

PLAIN = "plain"
UNITS = "step, ms\n/ plain\n1st step, s\npeak, MiB"
CELL = "{step_ms:.1f}\n{ratio:.2f}\n{first_step_s:.1f}\n{peak_mib:.0f}"


class LiteralMaskedModel(MaskedModel):
    """Draws its masks as the paper writes it, nothing fused or shared.

    s = sigmoid(l - log(log U1 / log U2)), b = stop_gradient([s > 1/2] - s) + s
    for each sample and weight (equations 1 and 2), and one trace of the model
    a sample.
    """

    def call(self, inputs, training=True):
        parts = mask_sampling.split_batch(inputs, self.num_samples)
        return ops.concatenate([self._call_masked(part) for part in parts])

    def _call_masked(self, inputs):
        weights = model_weights.model_weights(self.model)
        mapping = []
        for path, logits in self.mask_logits.items():
            u1, u2 = (tf.random.uniform(logits.shape, 1e-10) for _ in range(2))
            ratio = tf.math.log(u1) / tf.math.log(u2)
            soft = tf.sigmoid(logits - tf.math.log(ratio))
            hard = tf.cast(soft > 0.5, soft.dtype)
            mask = tf.stop_gradient(hard - soft) + soft
            variable = weights[path].variable
            mapping.append((variable, variable.value * mask))
        with keras.StatelessScope(state_mapping=mapping):
            return self.model(inputs, training=False)


def prepare(name, variant, options):
    """Returns a compiled model and a function that fits some steps."""
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

    def fit(steps):
        """Fits one step, then some that it times; returns ms a step."""
        ends = []

        def stamp(batch, logs):
            if batch in (0, steps):
                float(logs["loss"])  # waits for a GPU
                ends.append(time.perf_counter())

        watch = keras.callbacks.LambdaCallback(on_train_batch_end=stamp)
        batches = data.take(1 + steps)
        model.fit(batches, verbose=0, shuffle=False, callbacks=[watch])
        return 1000 * (ends[-1] - ends[0]) / max(steps, 1)

    return model, fit


def random_batches(model, batch_size, batches=4):
    """Returns an endless `tf.data.Dataset` of random batches, in memory."""
    rng, rows = np.random.default_rng(0), (batches, batch_size)

    def draw(tensor):
        shape = (*rows, *tensor.shape[1:])
        if tensor.dtype == "int32":
            return rng.integers(networks.VOCABULARY, size=shape, dtype="int32")
        return rng.normal(size=shape).astype("float32")

    inputs = {tensor.name: draw(tensor) for tensor in model.inputs}
    inputs = inputs if len(inputs) > 1 else draw(*model.inputs)
    *shape, classes = model.output_shape[1:]
    labels = rng.integers(classes, size=(*rows, *shape))
    return tf.data.Dataset.from_tensor_slices((inputs, labels)).repeat()


def time_steps(name, variants, options):
    """Returns the times of the variants of one network, dicts by variant."""
    results, fits = {}, {}
    for variant in variants:
        model, fits[variant] = prepare(name, variant, options)
        start = time.perf_counter()
        fits[variant](0)
        results[variant] = {
            "trained": sum(int(ops.size(v)) for v in model.trainable_weights),
            "jit_compile": model.jit_compile,
            "first_step_s": time.perf_counter() - start,
            "block_ms": [],  # milliseconds a step
        }
    for _ in range(options["blocks"]):
        for variant, fit in fits.items():  # plain, masked, plain, masked
            results[variant]["block_ms"].append(fit(options["steps"]))
    for result in results.values():
        pairs = zip(result["block_ms"], results[PLAIN]["block_ms"])
        result["step_ms"] = statistics.median(result["block_ms"])
        result["ratio"] = statistics.median(ms / base for ms, base in pairs)
    return results


def peak_memory(name, variant, options):
    """Returns the MiB that building and training one variant takes."""
    before = memory("VmRSS")
    _, fit = prepare(name, variant, options)
    fit(options["steps"])
    # The kernel's counters lag by some pages, so a difference may be negative.
    return max(memory("VmHWM") - before, 0.0)


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
    with futures.ProcessPoolExecutor(1, context, warm_up) as pool:
        return pool.submit(function, *args).result()


def environment():
    """Returns versions and machine, for the record."""
    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text("utf-8")
    return {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "commit": subprocess.getoutput("git describe --always --dirty"),
        "cpu": re.search(r"model name\s*: (.*)|$", cpuinfo)[1],
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "gpus": [details(gpu).get("device_name") for gpu in gpus],
    }


def table(results):
    """Returns a `rich.table.Table` with a row for each network."""
    variants = [v.replace(" ", "\n") for v in next(iter(results.values()))]
    units = rich.table.Column(no_wrap=True)
    shown = rich.table.Table("network", units, *variants, show_lines=True)
    for name, row in results.items():
        cells = [CELL.format(**{"peak_mib": np.nan, **r}) for r in row.values()]
        shown.add_row(name, UNITS, *cells)
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
    variants = [PLAIN, *(f"masked K={k}" for k in samples)]
    if args.load_application:
        variants = [PLAIN, "masked K=4"]
    elif not set(names) & set(networks.LARGE):
        variants.append("literal K=4")
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
            measured = peak_memory, name, variant, options
            row[variant]["peak_mib"] = alone(*measured)
        record["results"][name] = row
        if args.json:
            text = json.dumps(record, indent=1)
            pathlib.Path(args.json).write_text(text + "\n", "utf-8")
    rich.print(table(record["results"]))


def define_flags(values):
    """Defines the flags of this binary in some `flags.FlagValues`."""
    flags.DEFINE_list(
        "networks",
        list(networks.NETWORKS),
        "Rows of the table.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "load_application",
        [],
        "Instead, of keras.applications.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "samples",
        ["1", "4", "8"],
        "K, mask samples a batch.",
        flag_values=values,
    )
    flags.DEFINE_integer("steps", 10, "Steps a block.", 1, flag_values=values)
    flags.DEFINE_integer(
        "blocks", 9, "Blocks of each variant.", 1, flag_values=values
    )
    flags.DEFINE_integer(
        "batch_size", None, "128; 16 for applications.", 1, flag_values=values
    )
    flags.DEFINE_bool(
        "jit_compile",
        None,
        "With XLA; Keras decides if unset.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "memory", True, "Measure it, in further processes.", flag_values=values
    )
    flags.DEFINE_string(
        "json", None, "File for all numbers.", flag_values=values
    )


if __name__ == "__main__":
    define_flags(flags.FLAGS)
    app.run(main)
