r"""Writes outputs.json: what the packages themselves answer to some texts.

Run it where deepcut 0.7.0.0 and chars2vec 0.1.7 lie unpacked, with Keras 2:

TF_USE_LEGACY_KERAS=1 PYTHONPATH=DEEPCUT:CHARS2VEC \
    python -m tests.reproduce.pretrained.write_outputs

DEEPCUT is the folder that holds the package's `deepcut/`, CHARS2VEC the one
that holds `chars2vec/`. deepcut's own model gets the windows that its own
`create_feature_array` makes; chars2vec's own class makes its vectors, at the
12 steps that `LENGTH` says. TensorFlow 2.21, tf-keras 2.21.
"""

import importlib
import json
import pathlib
import sys
import types

import numpy as np

FILE = pathlib.Path(__file__).with_name("outputs.json")
TEXTS = (
    "ตัดคำได้ดีมาก",
    "การของที่และHelloโดยabcในให้ได้",
    "the quick brown fox jumps over 12 3456",
    "การ 123 ของ456ที่ \u2018a\u2019 \u00e9",
)
WORDS = ("list", "of", "words", "3141", "un-known", "characteristic")


def deepcut_outputs() -> dict[str, list[float]]:
    """Returns the chance that a word begins, for each character of texts."""
    sys.modules.setdefault("pandas", types.ModuleType("pandas"))  # for training
    package = importlib.import_module("deepcut.deepcut")
    model = package.DeepcutTokenizer().model
    return {
        text: _rounded(model(list(package.create_feature_array(text))))
        for text in TEXTS
    }


def chars2vec_outputs() -> dict[str, list[float]]:
    """Returns the first ten numbers of the vectors of words."""
    sys.modules.setdefault("keras", importlib.import_module("tf_keras"))
    package = importlib.import_module("chars2vec")
    model = package.load_model("eng_50")
    vectors = {}
    for word in WORDS:
        rows = np.zeros((1, 12, model.vocab_size), "float32")
        for step, character in enumerate(reversed(word[-12:]), 1):
            rows[0, -step, model.char_to_ix[character]] = 1
        vectors[word] = _rounded(model.embedding_model(rows))[:10]
    return vectors


def _rounded(tensor):
    return np.round(np.ravel(tensor).astype("float64"), 6).tolist()


if __name__ == "__main__":
    found = {"deepcut": deepcut_outputs(), "chars2vec": chars2vec_outputs()}
    FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
