"""Configurations: frozen dataclasses whose fields are command-line flags."""

import dataclasses
import hashlib
import json
import math
import pathlib
import textwrap
import typing

from absl import flags


def field(
    default,
    help,
    *,
    names_run=True,
    at_least=None,
    above=None,
    at_most=None,
    less_than=None,
    one_of=None,
    multiple_of=None,
    distinct=False,
    part=False,
):
    """Returns a dataclass field that is also a command-line flag.

    The limits are checked when a `Config` is made, so before anything trains;
    those of a tuple hold for each of its items. Floats must be finite, and a
    tuple may be empty only if it is by default.

    Args:
        default: Int, float, bool, str, or a tuple of such.
        help: Str, the flag's help; the limits are added to it.
        names_run: Bool. Whether another value makes another run folder.
        at_least: Number, the smallest value allowed.
        above: Number, which the value must be greater than.
        at_most: Number, the greatest value allowed.
        less_than: Number, which the value must be smaller than.
        one_of: Tuple, the values allowed.
        multiple_of: Str, the name of an int field that divides this one, or
            is greater.
        distinct: Bool. Whether items of a tuple must differ.
        part: Bool. Whether it says which part of a run is done, as the seeds
            do. It names no run folder; a smaller part never takes the place
            of the results of a larger one. Of a tuple all items are larger
            than some, and an empty default is everything; of an int the
            larger is, of a bool `True`.
    """
    metadata = {
        "help": help,
        "names_run": names_run and not part,
        "part": part,
        "at_least": at_least,
        "above": above,
        "at_most": at_most,
        "less_than": less_than,
        "one_of": one_of,
        "multiple_of": multiple_of,
        "distinct": distinct,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Config:
    """The flags that every experiment has.

    Raises:
        ValueError: If a value is outside the limits of its field; the message
            is one line and names the flag.
    """

    output_dir: str = field(
        "runs",
        "Folder in which each run has a folder of its own.",
        names_run=False,
    )
    seeds: tuple[int, ...] = field(
        (0,),
        "Seeds of all random numbers; the experiment is repeated for each "
        "of them.",
        part=True,
        at_least=0,
        less_than=2**31,
        distinct=True,
    )
    stage: str = field(
        "all",
        "What to do: `all`, or `figures` to draw the figures again from "
        "results.json.",
        names_run=False,
        one_of=("all", "figures"),
    )
    dry_run: bool = field(
        False,
        "Print an estimate of time and memory, and stop.",
        names_run=False,
    )
    checkpoint_seconds: float = field(
        20.0,
        "Smallest number of seconds between two checkpoints of a training.",
        names_run=False,
        at_least=0,
    )
    workers: int = field(
        1,
        "Number of processes of this machine that share the work.",
        names_run=False,
        at_least=1,
    )
    address: str = field(
        "",
        "Ray cluster that shares the work: `auto` for the one that runs on "
        "this machine, or HOST:PORT.",
        names_run=False,
    )
    cpus_per_task: float = field(
        0.0,
        "Cores for each task. 0 is an equal share for each worker, or 1 on "
        "a cluster.",
        names_run=False,
        at_least=0,
    )
    gpus_per_task: float = field(
        0.0,
        "GPUs for each task; with 0.5 two tasks share one.",
        names_run=False,
        at_least=0,
    )
    jit_compile: bool = field(
        False,
        "Compile whole training steps with XLA (for GPUs).",
        names_run=False,
    )

    def __post_init__(self):
        fields = dataclasses.fields(self)
        for check in (_check_limits, _check_multiple):
            for f in fields:
                check(self, f)

    def digest(self):
        """Returns eight hexadecimal digits of a hash of what names a run."""
        named = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.metadata["names_run"]
        }
        text = json.dumps(named, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def part(self):
        """Returns the part of the run that is done: the seeds, say, a dict."""
        return {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.metadata["part"]
        }

    def covers(self, other):
        """Returns whether a run does all that another of its folder has done.

        Args:
            other: Dict, the configuration that results.json holds.
        """
        return all(
            _covers(getattr(self, f.name), other.get(f.name, f.default), f)
            for f in dataclasses.fields(self)
            if f.metadata["part"]
        )

    def lacking(self, done):
        """Returns what results have not of what is asked for, as flags.

        Args:
            done: Dict, the configuration that results.json holds.
        """
        found = []
        for f in dataclasses.fields(self):
            asked, there = getattr(self, f.name), done.get(f.name, f.default)
            if isinstance(asked, tuple):
                there = tuple(there)
            if f.metadata["part"] and not _covers(there, asked, f):
                if isinstance(asked, tuple):
                    asked = tuple(x for x in asked if x not in there)
                found.append(_as_flag(f, asked))
        return found

    def flags(self):
        """Returns the configuration as flags, a list of str."""
        return [
            _as_flag(f, getattr(self, f.name)) for f in dataclasses.fields(self)
        ]

    def text(self):
        """Returns the configuration as flags, on one line."""
        return " ".join(self.flags())


def flag_of(f):
    """Returns the name of a field's flag: without a "_" at the end.

    A field that were a word of Python has one: `import_` is --import.
    """
    return f.name.rstrip("_")


def define_flags(config_class, flag_values=flags.FLAGS):
    """Defines one flag for each field. Call it under the `__main__` guard."""
    for f in dataclasses.fields(config_class):
        define = {
            bool: flags.DEFINE_bool,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            str: flags.DEFINE_string,
        }.get(type(f.default), flags.DEFINE_list)
        default = f.default
        if isinstance(default, tuple):
            default = [str(item) for item in default]
        define(flag_of(f), default, _help(f), flag_values=flag_values)


def help_text(config_class):
    """Returns what the flags are for: those of the experiment come first.

    Args:
        config_class: Subclass of `Config`.
    """
    common = {f.name for f in dataclasses.fields(Config)}
    fields = dataclasses.fields(config_class)
    own = [f for f in fields if f.name not in common]
    shared = [f for f in fields if f.name in common]
    parts = []
    for title, group in (
        ("Flags of this experiment", own),
        ("Flags of all experiments", shared),
    ):
        if group:
            parts += [f"{title}:", *map(_flag_in_words, group), ""]
    return "\n".join(parts)


def _flag_in_words(f):
    """Returns a flag, what it is for and its default, some lines."""
    default = f.default
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    given = f" Default: {default}." if default != "" else ""
    about = textwrap.fill(
        _help(f) + given,
        76,
        initial_indent="      ",
        subsequent_indent="      ",
        break_on_hyphens=False,
    )
    return f"  --{flag_of(f)}\n{about}"


def _help(f):
    """Returns the help of a field, with its limits."""
    rules = [_limits(f)] if _limits(f) else []
    if f.metadata["multiple_of"]:
        rules.append(f"a multiple of --{f.metadata['multiple_of']}")
    if f.metadata["distinct"]:
        rules.append("distinct")
    rule = f" Must be {', '.join(rules)}." if rules else ""
    return f.metadata["help"] + rule


def with_flag_files(arguments):
    """Returns arguments of a command with those of flag files in their place.

    As absl does it, but for the encoding: absl takes that of the machine, and
    a byte order mark for a part of the first flag.

    Args:
        arguments: List of str, as `sys.argv`.

    Raises:
        ValueError: If a flag file is no file, or no text in UTF-8.
    """
    return _expanded(arguments, ())


def _expanded(arguments, opened):
    found, left = [], iter(arguments)
    for argument in left:
        name, is_given, file = argument.partition("=")
        if argument == "--":
            return [*found, argument, *left]
        if name not in ("--flagfile", "-flagfile"):
            found.append(argument)
            continue
        given = file if is_given else next(left, "")
        file = pathlib.Path(given).expanduser()
        if file in opened:  # it names itself
            continue
        if not file.is_file():
            raise ValueError(f"--flagfile={given} is no file.")
        try:
            text = file.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:  # UTF-16, say
            raise ValueError(f"--flagfile={file} must be a text in UTF-8.")
        lines = [line.strip() for line in text.splitlines()]
        flags_ = [x for x in lines if x and not x.startswith(("#", "//"))]
        found += _expanded(flags_, (*opened, file))
    return found


def config_from_flags(config_class, flag_values=flags.FLAGS):
    """Returns the `config_class` that the parsed flags describe.

    Raises:
        ValueError: If a list holds something that is no number, or the
            configuration refuses a value.
    """
    values = {}
    for f in dataclasses.fields(config_class):
        value = flag_values[flag_of(f)].value
        if isinstance(f.default, tuple):
            kind = typing.get_args(f.type)[0]
            try:
                value = tuple(kind(item) for item in value)
            except ValueError:
                raise ValueError(
                    f"--{flag_of(f)} must be {kind.__name__}s, got "
                    f"{','.join(value)!r}."
                ) from None
        values[f.name] = value
    return config_class(**values)


def derive_seed(seed, *purpose):
    """Returns an int in [0, 2**31) that depends on all the arguments."""
    text = "/".join(str(part) for part in (seed, *purpose))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31


def _as_flag(f, value):
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return f"--{flag_of(f)}={value}"


def _covers(own, theirs, f):
    """Returns whether a field's value has all that another value has."""
    if not isinstance(f.default, tuple):
        return own >= theirs
    if f.default == own == ():  # everything
        return True
    return bool(theirs or f.default) and set(theirs) <= set(own)


def _check_limits(config, f):
    """Raises `ValueError` if a field's value is outside its limits."""
    limits, (items, shown) = f.metadata, _items(config, f)
    is_list = isinstance(f.default, tuple)
    is_valid = all(_is_allowed(item, limits) for item in items)
    if not is_valid or (is_list and not items and f.default):
        raise ValueError(f"--{flag_of(f)} must be {_limits(f)}, got {shown!r}.")
    if limits["distinct"] and len(set(items)) < len(items):
        raise ValueError(f"--{flag_of(f)} must be distinct, got {shown!r}.")


def _check_multiple(config, f):
    """Raises `ValueError` if a field is no multiple of the one it names.

    All fields are within their limits by now: none is 0.
    """
    if part := f.metadata["multiple_of"]:
        step, (items, shown) = getattr(config, part), _items(config, f)
        # A field that is smaller is one part of its own.
        if any(item % min(step, item) for item in items):
            raise ValueError(
                f"--{flag_of(f)} must be a multiple of --{part}={step}, got "
                f"{shown}."
            )


def _items(config, f):
    """Returns the values of a field, a tuple, and how they are shown."""
    value = getattr(config, f.name)
    if isinstance(f.default, tuple):
        return value, ",".join(map(str, value))
    return (value,), value


def _is_allowed(item, limits):
    if limits["one_of"] is not None and item not in limits["one_of"]:
        return False
    if isinstance(item, float) and not math.isfinite(item):
        return False
    return not (
        (limits["at_least"] is not None and item < limits["at_least"])
        or (limits["above"] is not None and item <= limits["above"])
        or (limits["at_most"] is not None and item > limits["at_most"])
        or (limits["less_than"] is not None and item >= limits["less_than"])
    )


def _limits(f):
    """Returns what a field's values must be, in words; "" for no limits."""
    words = {
        "at_least": "at least",
        "above": "above",
        "at_most": "at most",
        "less_than": "less than",
    }
    found = [
        f"{text} {f.metadata[key]}"
        for key, text in words.items()
        if f.metadata[key] is not None
    ]
    if f.metadata["one_of"] is not None:
        found.append("one of " + ", ".join(map(str, f.metadata["one_of"])))
    if "float" in str(f.type):
        found.append("finite")
    if isinstance(f.default, tuple) and f.default:
        found.insert(0, "one value or more")
    return ", ".join(found)
