"""Tests of the stages on a CPU: small, with a made-up teacher, but every option's own code runs.

    python -m unittest test_train          needs torch, tokenizers, safetensors and numpy
"""

import contextlib
import gzip
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import compare
import evaluate
import mix
import pool
import prepare
import quantise
import train
from model import Config, M2Bert
from test_texts import run

torch.set_num_threads(1)  # these are small matrices, and other tests run beside
HERE = os.path.dirname(os.path.abspath(__file__))
TOKENIZER = os.path.join(HERE, "../../testdata/tokenizer/bert-base-uncased.json")
WORDS = "river stone market garden engine letter winter teacher bridge signal copper number seven forty".split()
COMMON = ["--shares", "minilm=1", "--query-shares", "minilm=1", "--teacher-width", "160", "--hidden", "136", "--window", "64",
          "--inner", "272", "--short-count", "128", "--device", "cpu", "--no-compile", "--minutes", "0.001"]  # fmt: skip


class FakeTeacher:
    width = 160


def fake_vectors(teacher, ids, budget=0):
    """Vectors that depend on the words alone, so that texts of the same words are alike."""
    table = torch.randn(30528, teacher.width, generator=torch.Generator().manual_seed(5))
    return F.normalize((table[ids.long()] * (ids != 0)[..., None]).sum(1), dim=1).half()


def small_model(layers=2, seed=1):
    torch.manual_seed(seed)
    model = M2Bert(Config(hidden_size=16, num_hidden_layers=layers, intermediate_size=32, monarch_mlp_nblocks=2, long_conv_l_max=24, vocab_size=50))
    for name, p in model.named_parameters():
        torch.nn.init.normal_(p, std=0.3)
        if name.endswith("layernorm.weight"):
            p.data += 1
    return model


class Growing(unittest.TestCase):
    def test_computes_the_same(self):
        model, ids = small_model(), torch.randint(1, 50, (3, 20))
        mask = torch.ones(3, 20)
        mask[1, 11:] = 0
        want = model(ids, mask)
        for layers in (2, 3, 4, 7):
            grown = model.grown(layers)
            self.assertEqual(len(grown.layers), layers)
            self.assertLess((grown(ids, mask) - want).abs().max().item(), 1e-5, f"{layers} layers")
        with self.assertRaises(ValueError):
            model.grown(1)

    def test_learns(self):
        grown = small_model().grown(3)
        optimizer = torch.optim.SGD(grown.parameters(), 0.1)
        before = {k: v.clone() for k, v in grown.state_dict().items()}
        for _ in range(3):  # what multiplies a zero has no gradient at first
            optimizer.zero_grad()
            (grown(torch.randint(1, 50, (3, 20))) * torch.randn(3, 16)).sum().backward()
            optimizer.step()
        for name, p in grown.named_parameters():
            if name.startswith("layers.1."):
                self.assertFalse(torch.equal(p, before[name]), name + " is dead")
        self.assertFalse(torch.equal(grown.filters.w0[1], before["filters.w0"][1]))

    def test_mix(self):
        one, two = small_model(seed=1), small_model(seed=2)
        half = mix.mixed([one, two], [1, 3]).state_dict()
        for name, value in half.items():
            want = 0.25 * one.state_dict()[name] + 0.75 * two.state_dict()[name]
            self.assertTrue(torch.allclose(value, want, atol=1e-6), name)
        ids = torch.randint(1, 50, (2, 20))
        same = mix.mixed([one, one.grown(4)], [0.5, 0.5])
        self.assertLess((same(ids) - one(ids)).abs().max().item(), 1e-5)
        with self.assertRaises(ValueError):
            mix.mixed([one, M2Bert(Config(hidden_size=32, num_hidden_layers=2, long_conv_l_max=24, vocab_size=50))], [1, 1])


class Comparing(unittest.TestCase):
    def test_ranking(self):
        queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        documents = torch.tensor([[0.6, 0.8], [0.9, 0.1], [0.0, 0.5]])
        self.assertEqual(compare.ranking(queries, documents, [1, 2]), {"ndcg": 81.5, "recall": 50.0})
        owner = torch.tensor([0, 0, 1])  # of two documents the first has two chunks
        self.assertEqual(compare.ranking(queries, documents, [0, 1], owner), {"ndcg": 81.5, "recall": 50.0})
        self.assertEqual(compare.ranking(queries, documents, [0, 0], owner), {"ndcg": 100.0, "recall": 100.0})

    def test_chunked(self):
        class Teacher(FakeTeacher):
            device = "cpu"
            vectors = staticmethod(lambda ids, mask: F.one_hot(mask.sum(1), 9).float())

        vectors, owner = compare.chunked(Teacher(), [[5] * 7, [], [6] * 3], size=3)
        self.assertEqual(owner.tolist(), [0, 0, 0, 1, 2])
        self.assertEqual(vectors.argmax(1).tolist(), [5, 5, 3, 2, 5])


class Losses(unittest.TestCase):
    def test_topics(self):
        """A loss within topics counts what the batch as a whole does not."""
        target = F.normalize(torch.randn(16, 160), dim=1)
        student = F.normalize(torch.randn(16, 136), dim=1)
        plain, topical = (train.losses(student, torch.randn(16, 160), target, 8, t) for t in (0, 2))
        self.assertGreater(topical[2].item(), plain[2].item())
        self.assertEqual(topical[3].item(), plain[3].item())
        perfect = train.losses(target[:, :136] / target[:, :136].norm(dim=1, keepdim=True), target, target, 8, 2)
        self.assertLess(perfect[0].item(), 1e-5)

    def test_searches(self):
        target = F.normalize(torch.randn(12, 160), dim=1)
        self.assertLess(train.divergence(target[:4] @ target[4:].T, target[:4] @ target[4:].T).item(), 1e-5)
        self.assertGreater(train.searches(torch.randn(12, 136), target, 4).item(), 0.01)


class Stages(unittest.TestCase):
    """prepare, pool and train, one after the other, on texts of a few words."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        path = lambda name: os.path.join(cls.folder.name, name)
        cls.path = staticmethod(path)
        rng = random.Random(3)
        sentence = lambda: " ".join(rng.choices(WORDS, k=rng.randint(5, 12))).capitalize() + "."
        cls.known = "The copper bridge stands over the winter river near the stone market."
        os.mkdir(path("corpus"))
        with open(path("corpus/toy.jsonl"), "w", encoding="utf-8") as f:
            for i in range(40):
                text = " ".join(sentence() for _ in range(30)) + (" " + cls.known if i == 5 else "")
                f.write(json.dumps({"source": "toy", "title": f"Chapter {WORDS[i % 14]}", "text": text}) + "\n")
        with open(path("sts.tsv"), "w", encoding="utf-8") as f:
            for i in range(8):
                f.write(f"{2012 + i % 2}.toy\t{i % 5}\t{sentence()}\t{sentence()}\n")
        os.mkdir(path("sets"))
        for name in (*evaluate.SETS, evaluate.LONG):
            documents = {str(i): cls.known if i == 0 else " ".join(sentence() for _ in range(4)) for i in range(12)}
            content = [documents, {"q": "copper bridge", "r": "garden letter"}, {"q": {"0": 1}, "r": {"3": 2, "4": 1}}]
            with gzip.open(path(f"sets/{name}.json.gz"), "wt") as f:
                json.dump(content, f)
        cls.call(prepare.main, "--corpus", path("corpus"), "--tokenizer", TOKENIZER, "--sts", path("sts.tsv"), "--retrieval", path("sets"),
                 "--out", path("data"), "--processes", "1")  # fmt: skip
        pool.load_teacher, pool.embed = lambda *a: FakeTeacher, fake_vectors
        cls.pools = {}
        for name, options in (("pool", []), ("even", ["--even"])):
            cls.call(pool.main, "--data", path("data"), "--teachers", "none", "--tokenizer", TOKENIZER, "--out", path(name), "--augmented", "300",
                     "--names", "minilm", "--device", "cpu", *options)  # fmt: skip

    @staticmethod
    def call(main, *args):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            run(main, *args)
        return out.getvalue()

    def train(self, out, *options, main=None):
        args = ["--data", self.path("data"), "--pool", self.path("even"), "--tokenizer", TOKENIZER, "--sts", self.path("sts.tsv"),
                "--out", self.path(out), *COMMON, *options]  # fmt: skip
        return args if main else self.call(train.main, *args)

    def folder_of(self, run_name, name):
        self.call(quantise.main, "--weights", self.path(run_name + "/final.rest.pt"), "--word", self.path(run_name + "/final.word.pt"),
                  "--tokenizer", TOKENIZER, "--out", self.path(name))  # fmt: skip
        return self.path(name)

    def test_prepare(self):
        with open(self.path("data/prepare.json"), encoding="utf-8") as f:
            about = json.load(f)
        self.assertIn(self.known, about["dropped"], "a sentence of a retrieval set was not dropped")
        self.assertLess(len(about["dropped"]), 60, "sentences that merely share words were dropped, too")

    def test_even(self):
        """Words that no text holds are among the changed sentences, and keywords begin as questions."""
        seen = torch.bincount(torch.from_numpy(pool.Corpus([self.path("data")]).tokens).long(), minlength=30522)
        fresh = {}
        for name in ("pool", "even"):
            ids = torch.load(self.path(name + "/augmented.0of1.pt"))["ids"].long()
            fresh[name] = len({int(i) for i in ids.unique() if i >= pool.FIRST_WORD and seen[i] == 0})
        self.assertGreater(fresh["even"], 10 * fresh["pool"] + 50)
        pieces = pool.Pieces(TOKENIZER, "cpu")
        keywords = torch.load(self.path("even/keyword.0of1.pt"))
        text = pieces.tokenizer.decode_batch([x[x != 0][1:-1].tolist() for x in keywords.long()])
        asked = sum(any(t.startswith(a) for a in pool.ASKED) for t in text)
        self.assertGreater(asked, len(text) / 4)
        self.assertLess(asked, len(text) * 3 / 4)

    def test_train(self):
        """Every kind of step, growing in two processes, and a folder that can be scored at the end."""
        said = self.train("short", "--layers", "1", "--middle", "0", "--long", "0", "--topics")
        self.assertIn("end: 1 steps", said)
        start = self.folder_of("short", "start")
        grown = self.train("grown", "--layers", "2", "--middle", "20", "--long", "0", "--topics", "--start", start, main=True)
        processes = []
        for rank in range(2):
            environment = {**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29613", "OMP_NUM_THREADS": "1"}
            processes.append(subprocess.Popen([sys.executable, "train.py", *grown], cwd=HERE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        said = self.train("long", "--layers", "1", "--middle", "0", "--long", "20", "--questions", "2", "--best", "2", "--quantised", "1",
                          "--retrieval", self.path("sets"), "--report-every", "0", "--start", start)  # fmt: skip
        self.assertIn("long, best span, marked", said)
        self.assertTrue(os.path.exists(self.path("long/best.rest.pt")))
        for p in processes:
            text = p.communicate(timeout=120)[0].decode()
            self.assertEqual(p.returncode, 0, text)
        folder = self.folder_of("grown", "model")
        self.assertEqual(Config.read(os.path.join(folder, "config.json")).num_hidden_layers, 2)
        state = torch.load(self.path("grown/final.rest.pt"))["model"]
        self.assertGreater(state["layers.1.wo"].abs().max().item(), 0, "the new layer has learnt nothing")
        said = self.call(evaluate.main, "--model", folder, "--tokenizer", TOKENIZER, "--sts", self.path("sts.tsv"), "--retrieval", self.path("sets"), "--int8")
        self.assertIn("retrieval, marked, 64", said)
        self.call(mix.main, "--models", f"{start}=1", f"{folder}=1", "--tokenizer", TOKENIZER, "--out", self.path("mixed"))
        self.assertIn("bert.encoder.layer.1.mlp.wo.weight_scale", load_file(self.path("mixed/model.safetensors")))

    def test_refused(self):
        for options in (["--short-count", "100"], ["--short-count", "0"]):
            with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as said:
                self.train("refused", *options)
            self.assertIn("want a multiple of 128", said.getvalue())
        with self.assertRaisesRegex(ValueError, "--teacher-width says 161"):
            self.train("refused", "--teacher-width", "161")


if __name__ == "__main__":
    unittest.main()
