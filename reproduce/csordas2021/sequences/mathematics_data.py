r"""Questions and answers after five modules of the Mathematics Dataset.

A generator of our own with the laws of the published one: a module's questions
have an entropy H, "about 10 ** H equally likely outcomes", and three levels of
difficulty have a third of its range each. What it leaves out are composed
questions and the two test sets. The command line prints examples, as in
figure 17:

python -m reproduce.csordas2021.sequences.mathematics_data --write_examples=2 \
    --modules=sort,collect

References:
    - [Saxton et al., 2019](https://arxiv.org/abs/1904.01557)
    - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 4 and
      appendix C.6.2
"""

import collections
import fractions
import itertools
import math
import random
import string
import sys
from typing import NamedTuple

import rich.box
import rich.console
import rich.table
from absl import app, flags

MODULES = ("add_or_sub", "linear_1d", "differentiate", "sort", "collect")
LEVELS = ("easy", "medium", "hard")
MAX_QUESTION, MAX_ANSWER = 160, 30  # characters; longer ones are redrawn
CHARACTERS = tuple(
    sorted(f" *+,-./=?ACDFPSTW{string.digits}{string.ascii_lowercase}")
)
_RANGES = dict.fromkeys(MODULES, (3.0, 10.0)) | {"add_or_sub": (4.0, 16.0)}
_LETTERS = string.ascii_lowercase.replace("e", "")
_MAX_ORDER = 3  # of derivatives
_ORDERS = ("first", "second", "third")
_MAX_REPEATS = 100  # draws for each question that is new


class Problem(NamedTuple):
    """A question and its one right answer.

    Attributes:
        question: Str of at most `MAX_QUESTION` characters.
        answer: Str of at most `MAX_ANSWER` characters.
    """

    question: str
    answer: str


class Split(NamedTuple):
    """The problems of a level, none of them twice.

    Attributes:
        train: List of `Problem`s.
        validation: List of `Problem`s.
    """

    train: list
    validation: list


def entropies(module, level):
    """Returns the least and the greatest entropy of a level.

    Raises:
        ValueError: If there is no such module or level.

    >>> entropies("add_or_sub", "medium")
    (8.0, 12.0)
    """
    for name, value, known in (
        ("module", module, MODULES),
        ("level", level, LEVELS),
    ):
        if value not in known:
            raise ValueError(
                f"`{name}` must be one of {', '.join(known)}, got {value!r}."
            )
    low, high = _RANGES[module]
    third = (high - low) / len(LEVELS)
    low += third * LEVELS.index(level)
    return low, low + third


def draws(module, level, seed):
    """Yields random problems of a level, for ever; some come again.

    Args:
        module: One of `MODULES`.
        level: One of `LEVELS`.
        seed: Int. Each module and level has draws of its own.

    Raises:
        ValueError: If there is no such module or level.
    """
    low, high = entropies(module, level)
    rng = random.Random(f"{seed}/{module}/{level}")
    while True:
        problem = _GENERATORS[module](rng, rng.uniform(low, high))
        question, answer = map(len, problem)
        if question <= MAX_QUESTION and answer <= MAX_ANSWER:
            yield problem


def splits(module, train_size, validation_size, seed):
    """Returns the problems of all levels, no question twice in any of them.

    Easy comes first, so that an easy question that is drawn again as a hard
    one counts as easy.

    Args:
        module: One of `MODULES`.
        train_size: Int >= 1, problems of each level to train on.
        validation_size: Int >= 1, further problems of each level.
        seed: Int.

    Returns:
        Dict from level to `Split`.

    Raises:
        ValueError: If there is no such module, or it has too few problems.
    """
    seen, found = set(), {}
    for level in LEVELS:
        problems = []
        size = train_size + validation_size
        endless = draws(module, level, seed)
        for problem in itertools.islice(endless, _MAX_REPEATS * size):
            if problem.question not in seen:
                seen.add(problem.question)
                problems.append(problem)
            if len(problems) == size:
                break
        else:
            raise ValueError(
                f"{module} has only {len(problems)} {level} questions in "
                f"{_MAX_REPEATS * size} draws, not {train_size} to train on "
                f"and {validation_size} to validate."
            )
        random.Random(f"{seed}/{module}/{level}/split").shuffle(problems)
        found[level] = Split(
            problems[validation_size:], problems[:validation_size]
        )
    return found


def _add_or_sub(rng, entropy):
    first = max(1.0, rng.uniform(0, entropy))
    entropy = first, max(1.0, entropy - first)
    p, q = (_integer_or_decimal(rng, share) for share in entropy)
    if rng.random() < 0.5:
        return _asked(rng, _ADDITIONS, p + q, p=_decimal(p), q=_decimal(q))
    patterns = _SUBTRACTIONS + (_DISTANCES if p >= q else ())
    return _asked(rng, patterns, p - q, p=_decimal(p), q=_decimal(q))


def _linear_1d(rng, entropy):
    share = max(1.0, entropy / 4)
    solution = _integer(rng, share)
    entropy = max(1.0, entropy - share)
    part = rng.uniform(1 / 3, 2 / 3)
    factor = _integer(rng, max(1.0, part * entropy), least=1)
    # factor * x - factor * solution = 0, cut into terms.
    coefficients = {1: factor, 0: -factor * solution}
    least = sum(map(bool, coefficients.values())) + 1
    terms = _expanded(
        rng,
        coefficients,
        (1 - part) * entropy,
        rng.randint(least, max(least, 1 + int(1 + entropy / 2))),
    )
    letter = rng.choice(_LETTERS)
    sides = [], []
    for power in (1, 0):
        for value in terms[power]:
            is_right = rng.random() < 0.5
            sides[is_right].append((-value if is_right else value, {power}))
    left, right = (
        _sum([_term(value, {letter: p}) for value, (p,) in side])
        for side in sides
    )
    question = f"Solve {left} = {right} for {letter}."
    return Problem(question, str(solution))


def _differentiate(rng, entropy):
    count, order = rng.randint(1, 4), rng.randint(1, _MAX_ORDER)
    axis = rng.randrange(count)
    entropy = max(0.0, entropy - math.log10(3))
    degrees = [rng.randint(1, 3) for _ in range(count)]
    degrees[axis] = rng.randint(0, 3)
    rest = _grid(rng, degrees, entropy)
    degrees[axis] = order - 1
    terms = _grid(rng, degrees, entropy)  # these vanish
    derivative = {}
    for powers, value in rest.items():
        power = powers[axis] + order
        raised = (*powers[:axis], power, *powers[axis + 1 :])
        terms[raised] = value
        derivative[powers] = value * math.perm(power, order)
    letters = sorted(rng.sample(_LETTERS, count))
    patterns = _DERIVATIVES
    if order == 1:
        patterns += _FIRST_DERIVATIVES
    if count == 1:
        patterns += _DERIVATIVES_OF_ONE
        patterns += _FIRST_DERIVATIVES_OF_ONE if order == 1 else ()
    return _asked(
        rng,
        patterns,
        _polynomial(derivative, letters),
        n=_ORDERS[order - 1],
        p=_polynomial(terms, letters),
        v=letters[axis],
    )


def _sort(rng, entropy):
    only_integers = rng.random() < 0.5
    count = rng.randint(3, 3 + int(entropy / 2))
    shares = [max(1.0, s * entropy) for s in _dirichlet(rng, [1] * count)]
    draw = _integer_text if only_integers else _number_text
    while True:  # until all differ
        numbers = dict(draw(rng, share) for share in shares)
        if len(numbers) == count:
            break
    is_ascending = rng.random() < 0.5
    texts = [numbers[v] for v in sorted(numbers, reverse=not is_ascending)]
    return _asked(
        rng,
        (*_SORTS, "Sort {p}.") if is_ascending else _SORTS,
        ", ".join(texts),
        p=", ".join(numbers.values()),
        d=rng.choice(
            ("ascending", "increasing")
            if is_ascending
            else ("descending", "decreasing")
        ),
    )


def _collect(rng, entropy):
    value, expansion = (entropy * s for s in _dirichlet(rng, (2, 3)))
    degree = rng.randint(1, 3)
    grid = _grid(rng, (degree,), value)
    coefficients = {power: grid.get((power,), 0) for power in range(degree + 1)}
    least = len(grid) + 2
    count = rng.randint(least, least + int(math.ceil(expansion) / 2))
    letter = rng.choice(_LETTERS)
    terms = [
        _term(part, {letter: power})
        for power, parts in _expanded(
            rng, coefficients, expansion, count
        ).items()
        for part in parts
    ]
    rng.shuffle(terms)
    return Problem(
        f"Collect the terms in {_sum(terms)}.", _polynomial(grid, [letter])
    )


_GENERATORS = dict(
    zip(
        MODULES,
        (_add_or_sub, _linear_1d, _differentiate, _sort, _collect),
        strict=True,
    )
)
_ADDITIONS = (
    "{p} + {q}",
    "{p}+{q}",
    "Work out {p} + {q}.",
    "Calculate {p} + {q}.",
    "Add {p} and {q}.",
    "Put together {p} and {q}.",
    "Sum {p} and {q}.",
    "Total of {p} and {q}.",
    "Add together {p} and {q}.",
    "What is {p} plus {q}?",
    "What is {p} + {q}?",
)
_SUBTRACTIONS = (
    "{p} - {q}",
    "Work out {p} - {q}.",
    "Calculate {p} - {q}.",
    "What is {p} - {q}?",
    "What is {p} minus {q}?",
    "What is {p} take away {q}?",
    "What is {q} less than {p}?",
    "Subtract {q} from {p}.",
)
_DISTANCES = tuple(
    f"What is the {word} between {pair}?"
    for word in ("distance", "difference")
    for pair in ("{p} and {q}", "{q} and {p}")
)
_DERIVATIVES = (
    "Find the {n} derivative of {p} wrt {v}.",
    "What is the {n} derivative of {p} wrt {v}?",
)
_FIRST_DERIVATIVES = (
    "Differentiate {p} with respect to {v}.",
    "Differentiate {p} wrt {v}.",
    "What is the derivative of {p} wrt {v}?",
)
_DERIVATIVES_OF_ONE = (
    "Find the {n} derivative of {p}.",
    "What is the {n} derivative of {p}?",
)
_FIRST_DERIVATIVES_OF_ONE = (
    "Differentiate {p}.",
    "What is the derivative of {p}?",
)
_SORTS = "Sort {p} in {d} order.", "Put {p} in {d} order."


def _asked(rng, patterns, answer, **parts):
    """Returns the problem in one of the patterns."""
    if isinstance(answer, fractions.Fraction):
        answer = _decimal(answer)
    return Problem(rng.choice(patterns).format(**parts), answer)


def _integer(rng, entropy, signed=True, least=0, coprime_to=1):
    """Returns an int of about 10 ** entropy values, of `least` or more."""
    bound = 10**entropy + least
    if abs(coprime_to) > 1:
        bound = bound / _share_of_coprimes(abs(coprime_to)) + 1
    high = math.ceil(bound / 2) if signed else math.ceil(bound)
    low = -high if signed else least
    while True:
        value = rng.randint(low, high)
        if abs(value) >= least and math.gcd(value, coprime_to) == 1:
            return value


def _share_of_coprimes(number):
    """Returns the product of 1 - 1 / p over the primes p of a number."""
    share, prime = 1.0, 2
    while prime * prime <= number:
        if number % prime == 0:
            share *= 1 - 1 / prime
            while number % prime == 0:
                number //= prime
        prime += 1
    return share * (1 - 1 / number) if number > 1 else share


def _integer_text(rng, entropy):
    value = _integer(rng, entropy)
    return fractions.Fraction(value), str(value)


def _number_text(rng, entropy):
    """Returns an integer, decimal or rational number, and how it looks."""
    if rng.random() < 0.5:
        return _integer_text(rng, entropy)
    if rng.random() < 0.5:
        value = _proper_decimal(rng, entropy)
        return value, _decimal(value)
    share = rng.uniform(0, entropy)
    top = _integer(rng, share, least=1)
    bottom = _integer(
        rng, entropy - share, signed=False, least=2, coprime_to=top
    )
    return fractions.Fraction(top, bottom), f"{top}/{bottom}"


def _integer_or_decimal(rng, entropy):
    if rng.random() < 0.5:
        return fractions.Fraction(_integer(rng, entropy))
    return _proper_decimal(rng, entropy)


def _proper_decimal(rng, entropy):
    """Returns a decimal number that is not whole, as a fraction."""
    base = 10 ** rng.randint(1, math.ceil(entropy))
    while True:
        value = _integer(rng, entropy)
        if value % base:
            return fractions.Fraction(value, base)


def _decimal(value):
    """Returns a fraction of a power of ten as digits, exactly."""
    whole, rest = divmod(abs(value), 1)
    text = "-" * (value < 0) + str(whole)
    if rest:
        text += "."
    while rest:
        digit, rest = divmod(rest * 10, 1)
        text += str(digit)
    return text


def _dirichlet(rng, weights):
    """Returns random shares of 1; those of weight 0 are 0."""
    drawn = [rng.gammavariate(w, 1.0) if w else 0.0 for w in weights]
    total = sum(drawn)
    return [value / total for value in drawn] if total else drawn


def _grid(rng, degrees, entropy):
    """Returns random coefficients, a dict from powers to an int not 0.

    Every variable has its degree in some term.

    Args:
        rng: `random.Random`.
        degrees: Ints >= 0, of each variable.
        entropy: Float.
    """
    cells = set()
    for axis, degree in enumerate(degrees):
        if degree:
            cell = [rng.randint(0, d) for d in degrees]
            cell[axis] = degree
            cells.add(tuple(cell))
    every = [*itertools.product(*(range(d + 1) for d in degrees))]
    if not cells:
        cells.add(rng.choice(every))
    most = min(len(cells) + int(entropy / 2), len(every))
    count = rng.randint(len(cells), most)
    others = [cell for cell in every if cell not in cells]
    cells = sorted(cells) + rng.sample(others, count - len(cells))
    shares = _dirichlet(rng, [1] * count)
    return {
        cell: _integer(rng, share * entropy, least=1)
        for cell, share in zip(cells, shares)
    }


def _expanded(rng, coefficients, entropy, count):
    """Returns coefficients as sums of terms, a dict from power to ints.

    Args:
        rng: `random.Random`.
        coefficients: Dict from power to int; one at least is not 0.
        entropy: Float.
        count: Int, of all terms; those that are not 0 have one at least.
    """
    powers = [*coefficients]
    solid = [power for power in powers if coefficients[power]]
    counts = collections.Counter(solid)
    more = count - len(solid)
    bars = sorted(rng.sample(range(more + len(powers) - 1), len(powers) - 1))
    edges = [-1, *bars, more + len(powers) - 1]
    for power, (start, stop) in zip(powers, itertools.pairwise(edges)):
        counts[power] += stop - start - 1
    for power in powers:
        if counts[power] == 1 and power not in solid:  # can't be 0 in one term
            counts[power] = 0
            counts[rng.choice(solid)] += 1
    shares = _dirichlet(rng, [max(counts[power] - 1, 0) for power in powers])
    return {
        power: _terms(rng, coefficients[power], counts[power], share * entropy)
        for power, share in zip(powers, shares)
    }


def _terms(rng, value, count, entropy):
    """Returns `count` random ints with a given sum."""
    if count < 2:
        return [value] * count
    entropy *= count / (count - 1)
    least = max(1.0, math.log10(5 * abs(math.ceil(value / count)) + 1))
    terms = [
        _integer(rng, max(least, share * entropy))
        for share in _dirichlet(rng, [1] * count)
    ]
    each, left = divmod(value - sum(terms), count)
    terms = [term + each + (i < left) for i, term in enumerate(terms)]
    rng.shuffle(terms)
    return terms


def _term(value, powers):
    """Returns a term as written: `powers` is a dict from letter to int."""
    factors = [
        letter if power == 1 else f"{letter}**{power}"
        for letter, power in powers.items()
        if power
    ]
    if not factors:
        return str(value)
    if abs(value) == 1:
        factors[0] = "-" * (value < 0) + factors[0]
    else:
        factors.insert(0, str(value))
    return "*".join(factors)


def _sum(terms):
    """Returns a sum of terms as written."""
    if not terms:
        return "0"
    rest = [
        f" - {term[1:]}" if term[0] == "-" else f" + {term}"
        for term in terms[1:]
    ]
    return "".join((terms[0], *rest))


def _polynomial(coefficients, letters):
    """Returns a polynomial: terms by letter, powers falling, constant last."""
    return _sum(
        [
            _term(coefficients[powers], dict(zip(letters, powers)))
            for powers in sorted(coefficients, reverse=True)
        ]
    )


def table(modules, count, seed):
    """Returns a `rich.table.Table` of `count` problems of each level.

    Raises:
        ValueError: If no module is given, one twice, or one that is not there.
    """
    if not modules or len({*modules}) < len(modules):
        raise ValueError(
            f"`modules` must be one or more of {', '.join(MODULES)}, each "
            f"once, got {','.join(modules)!r}."
        )
    rows = rich.table.Table(box=rich.box.SIMPLE)
    for name in ("module", "level", "question", "answer"):
        rows.add_column(name, overflow="fold")
    for module, level in itertools.product(modules, LEVELS):
        for problem in itertools.islice(draws(module, level, seed), count):
            rows.add_row(module, level, *problem)
    return rows


def main(argv):
    """Prints examples."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
    chosen = flags.FLAGS
    try:
        made = table(chosen.modules, chosen.write_examples, chosen.seed)
    except ValueError as error:
        sys.exit("Error: " + " ".join(str(error).split()))
    console = rich.console.Console(highlight=False, markup=False)
    console.print(made)


def define_flags(values=flags.FLAGS):
    """Defines the flags. Call it under the `__main__` guard."""
    flags.DEFINE_integer(
        "write_examples", 1, "Examples of each level.", 1, flag_values=values
    )
    flags.DEFINE_list(
        "modules", [*MODULES], f"Of {', '.join(MODULES)}.", flag_values=values
    )
    flags.DEFINE_integer("seed", 0, "Of the examples.", flag_values=values)


if __name__ == "__main__":
    define_flags()
    app.run(main)
