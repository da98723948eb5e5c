import contextlib
import fractions
import io
import itertools
import random
import re
import statistics
from unittest import mock

from absl import flags
from absl.testing import absltest, parameterized

from reproduce.csordas2021.sequences import mathematics_data

try:
    import sympy
except ImportError:
    sympy = None

MODULES, LEVELS = mathematics_data.MODULES, mathematics_data.LEVELS
EVERY = [*itertools.product(MODULES, LEVELS)]


def problems(module, level, count, seed=5):
    return [
        *itertools.islice(mathematics_data.draws(module, level, seed), count)
    ]


def exactly(text):
    """Reads numbers and expressions without rounding any decimal."""
    return sympy.sympify(text, rational=True)


def add_or_sub(question):
    number = r"(-?[\d.]+)"
    first, second = re.findall(
        number,
        re.sub(r"(?<=\d) ?([-+]) ?(?=-?\d)", r" \1 ", question)
        .replace(" - ", " minus ")
        .rstrip(".?"),
    )
    first, second = exactly(first), exactly(second)
    if "less than" in question or "Subtract" in question:
        return second - first
    if "distance" in question or "difference" in question:
        return abs(first - second)
    minus = re.search(r"\d - |minus|take away", question)
    return first - second if minus else first + second


def linear_1d(question):
    left, right, letter = re.fullmatch(
        r"Solve (.*) = (.*) for (.)\.", question
    ).groups()
    (solution,) = sympy.solve(exactly(left) - exactly(right), letter)
    return solution


def differentiate(question):
    order = 1
    for i, word in enumerate(("first", "second", "third")):
        order = i + 1 if word in question else order
    polynomial, letter = re.search(
        r"(?:Differentiate|derivative of) (.*?)"
        r"(?: (?:with respect to|wrt) (.))?[.?]$",
        question,
    ).groups()
    expression = exactly(polynomial)
    if letter is None:
        (letter,) = expression.free_symbols
    return sympy.expand(sympy.diff(expression, letter, order))


def sort(question):
    listed = re.search(r"(?:Sort|Put) (.*?)(?: in|\.$)", question)[1]
    is_down = re.search("descending|decreasing", question)
    numbers = sorted(listed.split(", "), key=exactly, reverse=bool(is_down))
    return ", ".join(numbers)


def collect(question):
    return exactly(re.fullmatch(r"Collect the terms in (.*)\.", question)[1])


JUDGES = (add_or_sub, linear_1d, differentiate, sort, collect)


@absltest.skipIf(sympy is None, "sympy, of requirements-dev.txt, is missing")
class AnswersTest(parameterized.TestCase):
    @parameterized.parameters(*EVERY)
    def test_are_those_of_a_symbolic_algebra_library(self, module, level):
        judge = JUDGES[MODULES.index(module)]
        for problem in problems(module, level, 25):
            right = judge(problem.question)
            answer = problem.answer
            if module != "sort":
                answer = exactly(answer)
            self.assertEqual(answer, right, problem)

    def test_polynomials_are_written_in_falling_order(self):
        for problem in problems("differentiate", "easy", 60):
            expression = exactly(problem.answer)
            letters = sorted(expression.free_symbols, key=str)
            if not letters:
                continue
            shown = sympy.Poly(expression, *letters)
            expected = [
                factor * sympy.prod(g**k for g, k in zip(letters, powers))
                for powers, factor in shown.terms(order="lex")
            ]
            texts = problem.answer.replace(" - ", " + -").split(" + ")
            self.assertEqual([exactly(text) for text in texts], expected)


class DrawsTest(parameterized.TestCase):
    @parameterized.parameters(*EVERY)
    def test_keep_to_the_alphabet_and_the_lengths(self, module, level):
        for problem in problems(module, level, 200):
            self.assertLessEqual(len(problem.question), 160)
            self.assertLessEqual(len(problem.answer), 30)
            self.assertContainsSubset(
                "".join(problem), mathematics_data.CHARACTERS
            )

    def test_use_53_characters(self):
        found = {
            character
            for module, level in EVERY
            for problem in problems(module, level, 400)
            for character in "".join(problem)
        }
        self.assertEqual(found, {*mathematics_data.CHARACTERS})
        self.assertLen(found, 53)

    @parameterized.parameters(
        # Means of 30,000 questions of the published generator, easy to hard.
        ("add_or_sub", 23, 27, 31),
        ("linear_1d", 29, 35, 42),
        ("differentiate", 71, 75, 78),
        ("sort", 37, 40, 43),
        ("collect", 48, 55, 62),
    )
    def test_questions_are_as_long_as_the_published_ones(self, module, *means):
        n = 1000
        for level, mean in zip(LEVELS, means):
            lengths = [len(p.question) for p in problems(module, level, n)]
            # Five standard errors, and what rounding hides.
            margin = 5 * statistics.stdev(lengths) / n**0.5 + 0.5
            self.assertAlmostEqual(statistics.mean(lengths), mean, delta=margin)

    def test_the_seed_the_module_and_the_level_decide(self):
        one = problems("sort", "easy", 5)
        self.assertEqual(one, problems("sort", "easy", 5))
        self.assertNotEqual(one, problems("sort", "easy", 5, seed=6))

    def test_easy_linear_equations_have_small_solutions(self):
        for level, largest in (("easy", 11), ("medium", 42), ("hard", 159)):
            found = [
                abs(int(p.answer)) for p in problems("linear_1d", level, 500)
            ]
            self.assertLessEqual(max(found), largest)
            self.assertGreater(max(found), largest / 2)

    @parameterized.parameters(("modul", "easy"), ("sort", "hardest"))
    def test_refuse_what_there_is_not(self, module, level):
        with self.assertRaisesRegex(ValueError, "must be one of .*, got '"):
            next(mathematics_data.draws(module, level, 0))


class IntegerTest(parameterized.TestCase):
    @parameterized.parameters((1.0, 5), (4.0, 5000))
    def test_a_signed_one_lies_within_half_of_its_count(self, entropy, most):
        rng = random.Random(0)
        drawn = [mathematics_data._integer(rng, entropy) for _ in range(4000)]
        self.assertLessEqual(max(map(abs, drawn)), most)
        self.assertGreater(max(drawn), 0.98 * most)
        self.assertLess(min(drawn), -0.98 * most)

    def test_rationals_are_in_lowest_terms_and_never_whole(self):
        rng = random.Random(0)
        for _ in range(300):
            value, text = mathematics_data._number_text(rng, 2.5)
            if "/" in text:
                top, bottom = map(int, text.split("/"))
                self.assertEqual(value.numerator, top)
                self.assertEqual(value.denominator, bottom)
                self.assertGreater(bottom, 1)

    @parameterized.parameters(
        ("-1/2", "-0.5"),
        ("12", "12"),
        ("-1201/100", "-12.01"),
        ("1/8", "0.125"),
    )
    def test_decimals_are_written_exactly(self, value, text):
        value = fractions.Fraction(value)
        self.assertEqual(mathematics_data._decimal(value), text)


class TermsTest(parameterized.TestCase):
    def test_expanded_coefficients_keep_their_sums(self):
        rng = random.Random(0)
        coefficients = {0: 0, 1: -7, 2: 0, 3: 12345}
        counts = set()
        for _ in range(200):
            found = mathematics_data._expanded(rng, coefficients, 4.0, 7)
            self.assertEqual(
                {p: sum(v) for p, v in found.items()}, coefficients
            )
            self.assertEqual(sum(map(len, found.values())), 7)
            for power, terms in found.items():
                self.assertNotEqual((coefficients[power], len(terms)), (0, 1))
                counts.add(len(terms))
        self.assertContainsSubset({0, 1, 2, 3}, counts)

    @parameterized.parameters(
        (1, {"x": 1}, "x"),
        (-1, {"x": 2}, "-x**2"),
        (0, {"x": 1}, "0*x"),
        (-3, {"x": 2, "y": 1}, "-3*x**2*y"),
        (1, {"x": 0}, "1"),
        (-1, {"x": 0, "y": 1}, "-y"),
    )
    def test_a_term_is_written_as_published(self, value, powers, text):
        self.assertEqual(mathematics_data._term(value, powers), text)

    def test_sums_have_blanks_and_no_double_signs(self):
        found = mathematics_data._sum(["-x", "-2", "0*x", "y"])
        self.assertEqual(found, "-x - 2 + 0*x + y")
        self.assertEqual(mathematics_data._sum([]), "0")

    def test_every_variable_of_a_grid_has_its_degree(self):
        rng = random.Random(0)
        for _ in range(200):
            grid = mathematics_data._grid(rng, (2, 0, 3), 5.0)
            self.assertEqual(max(cell[0] for cell in grid), 2)
            self.assertEqual(max(cell[2] for cell in grid), 3)
            self.assertNotIn(0, grid.values())
            self.assertLessEqual(len(grid), 4)


class SplitsTest(absltest.TestCase):
    def test_no_question_comes_twice_in_train_and_validation(self):
        # Small questions come again within so many draws.
        found = mathematics_data.splits("sort", 2000, 1000, 0)
        self.assertEqual([*found], [*LEVELS])
        questions = []
        for split in found.values():
            self.assertLen(split.train, 2000)
            self.assertLen(split.validation, 1000)
            questions += [p.question for part in split for p in part]
        self.assertLen({*questions}, 9000)

    def test_too_few_questions_are_refused(self):
        def one_of_eight(rng, entropy):
            return mathematics_data.Problem(str(rng.randrange(8)), "0")

        fake = mock.patch.dict(
            mathematics_data._GENERATORS, {"collect": one_of_eight}
        )
        # Easy and medium have four each, which leaves none.
        message = (
            "collect has only 0 hard questions in 400 draws, not 2 to train "
            "on and 2 to validate"
        )
        with fake, self.assertRaisesRegex(ValueError, message):
            mathematics_data.splits("collect", 2, 2, 0)


class MainTest(absltest.TestCase):
    def run_main(self, *arguments):
        values = flags.FlagValues()
        mathematics_data.define_flags(values)
        values(["mathematics_data", *arguments])
        out = io.StringIO()
        with (
            mock.patch.object(flags, "FLAGS", values),
            contextlib.redirect_stdout(out),
        ):
            mathematics_data.main(["mathematics_data"])
        return out.getvalue()

    def test_prints_examples_of_every_level(self):
        said = self.run_main("--modules=sort,collect", "--write_examples=2")
        for level in LEVELS:
            self.assertEqual(said.count(level), 4)
        self.assertIn("Collect the", said)

    def test_an_unknown_module_ends_with_one_line(self):
        with self.assertRaisesRegex(
            SystemExit, "^Error: `module` must be one of .*, got 'add'.$"
        ):
            self.run_main("--modules=add")

    def test_no_module_and_one_given_twice_end_with_one_line(self):
        for chosen in ("", "sort,sort"):
            with self.assertRaisesRegex(
                SystemExit, f"^Error: `modules` must be .*got '{chosen}'.$"
            ):
                self.run_main(f"--modules={chosen}")


if __name__ == "__main__":
    absltest.main()
