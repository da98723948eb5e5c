r"""Times the search for clusters, and compares it with Leiden and greedy.

python -m benchmarks.clustering --json=table.json

First, Monte Carlo steps per second, against the straightforward step that
computes Tr(P' B P) in full for every candidate, in the same run. Second, Q on
random and planted graphs of 64 units, of the search as in the paper (1,000
steps) and of one with restarts, relative to the best of 20 Leiden runs (each
until nothing changes) and less that of networkx's greedy search. The settings
of the restarts were chosen on graphs 0 to 199; the default is 200 others.
Third, processor seconds and Q of the default search by the number of units, on
a covariance, a planted and a random graph, with Q beside that of
`--leiden_runs`.
"""

import json
import pathlib
import random
import time

import igraph
import networkx as nx
import numpy as np
import rich
import rich.table
from absl import app, flags

from benchmarks import mask_training
from modularity_tf.units import clustering, monte_carlo

ENTROPY = 0.15
LEIDEN_RUNS = 20
SEARCHES = {
    "found": {"restarts": 0},
    "restarted": {"steps": 3000, "restarts": 10},
}


def graph(seed, n=64):
    """Returns a random weighted graph, of four kinds in turn.

    Complete, sparse, planted weights, planted links; densities, contrasts and
    numbers of groups are random.
    """
    rng = np.random.default_rng(seed)
    group = rng.integers(rng.integers(2, 9), size=n)
    same = group[:, None] == group
    weights = rng.random((n, n))
    if seed % 4 == 1:
        weights *= rng.random((n, n)) < rng.uniform(0.1, 0.6)
    elif seed % 4 == 2:
        weights *= np.where(same, 1.0, rng.uniform(0.05, 0.9))
    elif seed % 4 == 3:
        density = np.where(same, 0.5, rng.uniform(0.05, 0.45))
        weights *= rng.random((n, n)) < density
    weights = np.triu(weights, 1)
    return weights + weights.T


def literal_steps(adjacency, labels, entropy, uniforms):
    """Returns the clusters after steps of Algorithm 3 as the paper has them."""
    strength = adjacency.sum(axis=1)
    gain = adjacency - np.outer(strength, strength)
    n, labels = len(labels), labels.copy()
    for one, other in uniforms:
        i, tried = int(one * n), []
        for c in range(labels.max() + 2):
            moved = np.eye(labels.max() + 2)[labels]
            moved[i] = np.arange(labels.max() + 2) == c
            tried.append(np.trace(moved.T @ gain @ moved))
        chances = np.empty(len(tried))
        new = monte_carlo.choose(np.array(tried), entropy, other, chances)
        labels[i] = new
        labels = np.unique(labels, return_inverse=True)[1]
    return labels


def time_steps(n, steps, literal):
    """Returns microseconds of a step: incremental, and straightforward."""
    weights = graph(2, n)
    adjacency, start = weights / weights.sum(), np.arange(n) % 5
    rng, found = np.random.default_rng(0), {}
    for name, search, count in (
        ("step_us", monte_carlo.refine, steps),
        ("literal_us", literal_steps, literal),
    ):
        search(adjacency, start, ENTROPY, rng.random((1, 2)))  # compiles
        uniforms, times = rng.random((count, 2)), []
        for _ in range(3):
            begin = time.perf_counter()
            search(adjacency, start, ENTROPY, uniforms)
            times.append(time.perf_counter() - begin)
        found[name] = 1e6 * min(times) / count
    return found


def exponent(sizes, times):
    """Returns the power of n that the times grow with."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def covariance(seed, n):
    """Returns the covariance of n ReLU units that 12 factors drive."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(5000, 12))
    kernel = rng.normal(size=(12, n)) * (rng.random((12, n)) < 0.3)
    hidden = np.maximum(factors @ kernel + rng.normal(size=(5000, n)), 0)
    return np.abs(np.cov(hidden.astype("float32").T))


def compare_sizes(sizes, runs):
    """Returns rows of processor seconds and Q, by units and kind of matrix."""
    rows = []
    for n in sizes:
        for name, weights in (
            ("covariance", covariance(0, n)),
            ("planted", graph(3, n)),
            ("random", graph(0, n)),
        ):
            row = {"units": n, "matrix": name}
            begin = time.process_time()
            clusters = clustering.find_clusters(weights)
            row["seconds"] = time.process_time() - begin
            row["q"] = clustering.modularity(weights, clusters)
            begin = time.process_time()
            row["leiden"] = leiden(weights, runs)
            row["leiden_seconds"] = time.process_time() - begin
            rows.append(row)
    return rows


def leiden(weights, runs=LEIDEN_RUNS):
    """Returns the best Q of some Leiden runs."""
    linked = np.argwhere(np.triu(weights, 1))
    net = igraph.Graph(len(weights), linked)
    net.es["weight"] = weights[tuple(linked.T)]
    found = []
    for seed in range(runs):
        igraph.set_random_number_generator(random.Random(seed))
        clusters = net.community_leiden("modularity", "weight", n_iterations=-1)
        labels = np.array(clusters.membership)
        found.append(clustering.modularity(weights, labels))
    return max(found)


def greedy(weights):
    """Returns the Q of networkx's greedy search."""
    net = nx.from_numpy_array(weights)
    clusters = nx.community.greedy_modularity_communities(net, weight="weight")
    return nx.community.modularity(net, clusters)


def compare(seed):
    """Returns, for one graph, Q by method and the milliseconds it took."""
    weights, found = graph(seed), {}

    def search(name):
        clusters = clustering.find_clusters(weights, **SEARCHES[name])
        return clustering.modularity(weights, clusters)

    methods = {
        "leiden": lambda: leiden(weights),
        "greedy": lambda: greedy(weights),
        "found": lambda: search("found"),
        "restarted": lambda: search("restarted"),
    }
    for name, method in methods.items():
        begin = time.perf_counter()
        found[name] = method()
        found[f"{name}_ms"] = 1e3 * (time.perf_counter() - begin)
    return found


def summarize(graphs):
    """Returns how each of our searches compares over all graphs.

    Lowest and mean of Q / Leiden's; on how many graphs that is below 0.995, and
    Q below that of greedy.
    """
    column = {name: np.array([g[name] for g in graphs]) for name in graphs[0]}
    summary = {}
    for name in SEARCHES:
        ratio = column[name] / column["leiden"]
        summary[name] = {
            "lowest": float(ratio.min()),
            "mean": float(ratio.mean()),
            "below_leiden": int((ratio < 0.995).sum()),
            "below_greedy": int(np.sum(column[name] < column["greedy"] - 1e-9)),
        }
    for name in ("leiden", "greedy", *SEARCHES):
        median = float(np.median(column[f"{name}_ms"]))
        summary.setdefault(name, {})["median_ms"] = median
    return summary


def tables(record):
    """Yields the `rich.table.Table`s of a record."""
    shown = rich.table.Table("n", "steps a second", "literal", "times faster")
    for n, row in record["steps"].items():
        rates = [1e6 / row["step_us"], 1e6 / row["literal_us"]]
        cells = [f"{rates[0]:,.0f}", f"{rates[1]:,.3g}"]
        shown.add_row(n, *cells, f"{rates[0] / rates[1]:,.0f}")
    powers = [f"n^{power:.2f}" for power in record["exponents"].values()]
    shown.add_row("time", *powers)
    yield shown
    shown = rich.table.Table("search", *record["summary"]["found"])
    for name, row in record["summary"].items():
        cells = [row.get(c) for c in record["summary"]["found"]]
        shown.add_row(name, *("" if c is None else f"{c:.4g}" for c in cells))
    yield shown
    shown = rich.table.Table("units", "matrix", "s", "Q", "Q / Leiden's")
    for row in record["units"]:
        cells = [row["seconds"], row["q"], row["q"] / row["leiden"]]
        name = [str(row["units"]), row["matrix"]]
        shown.add_row(*name, *(f"{cell:.4g}" for cell in cells))
    yield shown


def main(argv):
    args = flags.FLAGS
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
    sizes = [int(n) for n in args.sizes]
    record = {"environment": mask_training.environment(), "steps": {}}
    for n in sizes:  # the straightforward step costs n^2 for each candidate
        literal = max(2, min(100, 1_000_000 // n**2))
        record["steps"][str(n)] = time_steps(n, args.steps, literal)
    rows = record["steps"].values()
    record["exponents"] = {
        name: exponent(sizes, [row[name] for row in rows])
        for name in ("step_us", "literal_us")
    }
    seeds = range(args.first_graph, args.first_graph + args.graphs)
    record["graphs"] = [compare(seed) for seed in seeds]
    record["summary"] = summarize(record["graphs"])
    record["units"] = compare_sizes(sizes, args.leiden_runs)
    for table in tables(record):
        rich.print(table)
    if args.json:
        text = json.dumps(record, indent=1)
        pathlib.Path(args.json).write_text(text + "\n", "utf-8")


def define_flags(values):
    """Defines the flags of this binary in some `flags.FlagValues`."""
    flags.DEFINE_list(
        "sizes", ["64", "256", "1024", "4096"], "Units.", flag_values=values
    )
    flags.DEFINE_integer(
        "steps",
        20_000,
        "Monte Carlo steps that are timed.",
        1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "graphs", 200, "Graphs to compare on.", 1, flag_values=values
    )
    flags.DEFINE_integer(
        "first_graph", 200, "Seed of the first graph.", 0, flag_values=values
    )
    flags.DEFINE_integer(
        "leiden_runs",
        LEIDEN_RUNS,
        "Leiden runs by number of units; one of 4,096 takes 10 to 35 s.",
        1,
        flag_values=values,
    )
    flags.DEFINE_string(
        "json", None, "File for all numbers.", flag_values=values
    )


if __name__ == "__main__":
    define_flags(flags.FLAGS)
    app.run(main)
