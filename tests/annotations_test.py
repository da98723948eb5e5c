"""Every public function and method of the library says its types."""

import importlib
import inspect
import pkgutil

from absl.testing import absltest

import modularity_tf as mtf


def functions():
    """Yields the public functions and methods, by path; not Keras's own."""
    for info in pkgutil.walk_packages(mtf.__path__, "modularity_tf."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if name[0] == "_" or value.__class__.__module__ == "typing":
                continue
            if getattr(value, "__module__", None) != info.name:
                continue
            if inspect.isfunction(value):
                yield f"{info.name}.{name}", value
            elif inspect.isclass(value):
                for key, method in methods(value):
                    yield f"{info.name}.{name}.{key}", method


def methods(cls):
    """Yields the public methods that a class adds to Keras's."""
    bases = [b for b in cls.__mro__[1:] if b.__module__.startswith("keras")]
    for name, member in vars(cls).items():
        member = getattr(member, "__func__", member)
        member = member.fget if isinstance(member, property) else member
        is_public = name[0] != "_" or name in ("__init__", "__call__")
        is_kerass = any(hasattr(b, name) for b in bases) and name != "__init__"
        if inspect.isfunction(member) and is_public and not is_kerass:
            yield name, member


class AnnotationsTest(absltest.TestCase):
    def test_every_public_function_says_its_types(self):
        lacking = {}
        for path, function in functions():
            signature = inspect.signature(function)
            unknown = [
                p.name
                for p in signature.parameters.values()
                if p.annotation is p.empty and p.name not in ("self", "cls")
            ]
            is_made = function.__name__ == "__init__"
            if signature.return_annotation is signature.empty and not is_made:
                unknown.append("return")
            if unknown and function.__module__.startswith("modularity_tf"):
                lacking[path] = unknown
        self.assertEmpty(lacking)


if __name__ == "__main__":
    absltest.main()
