"""Stage 2: the training pool, texts with the teachers' vectors.

    python pool.py --data DIR --teachers DIR --tokenizer F --out DIR [--shard K/N] [--augmented COUNT] [--wait]

--data holds prepare.py's files, --teachers the packed weights of teacher.py; with --wait, each is waited for. Each
teacher's vectors go into a file of their own. Four kinds of text:

    base       sentences of 3 to 38 word pieces, as they stand
    augmented  changed sentences: pieces left out, a span cut out, a splice with the following sentence, pieces
               replaced by random words, two pieces exchanged, shuffled order, bags of random words, other numbers, "not" after the first auxiliary verb; the teachers label the changed text itself, so a pair of a
               sentence and its change has a graded similarity
    chunk      consecutive pieces of the whole corpus, 64 to 254 long; longer texts are made of several in a row,
               and their target is the mean of the chunks' vectors
    keyword    of every chunk, two to eight of its rarer words, in their order

With --even, rarer words of changed sentences are also exchanged for words drawn evenly, the bags are of such words, and
half of the keywords stand after the beginning of a question (ASKED).

A teacher in INSTRUCTIONS reads queries after an instruction: its vectors of the base sentences as queries are `query`,
and its vectors of keywords are those of queries, too. And `vocab`, the vectors of all vocabulary entries alone, is what
the student's word table starts from. A shard holds every N-th part of the work; the trainer reads all shards.
"""

import argparse
import lzma
import math
import os
import time

import numpy as np
import torch
from tokenizers import Tokenizer

from teacher import CLS, NAMES, SEP, load_teacher

WIDTH = 40  # of short texts, [CLS] and [SEP] included
CHUNK = 254
FIRST_WORD = 1996  # ids below are special, unused or single characters
INSTRUCTIONS = {"bge": "Represent this sentence for searching relevant passages: "}
ASKED = """what is
what are
how does
how do i
how to
why
which
what causes
what is known about
what methods are there for
articles about
papers dealing with
information on
i am interested in
find discussions of
any work on
the theory of
an introduction to
problems of
applications of
definition of
the difference between
list of
who works on""".split("\n")
AUXILIARIES = "is are was were can could will would should must may has have had do does did".split()


def read(path, dtype):
    with lzma.open(path) as f:
        return np.frombuffer(f.read(), dtype)


class Corpus:
    """Token stream with the boundaries of sentences and documents."""

    def __init__(self, folders):
        joined = lambda name, dtype: np.concatenate([read(os.path.join(f, name), dtype) for f in folders])
        self.tokens = joined("tokens.u16.xz", np.uint16).astype(np.int16)
        self.lengths = joined("lengths.u8.xz", np.uint8).astype(np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        docs = joined("docs.u32.xz", np.uint32).reshape(-1, 2).astype(np.int64)
        self.doc_starts = np.concatenate([[0], np.cumsum(docs[:, 0])])
        self.doc_titled = docs[:, 1] == 1
        self.base = np.nonzero((self.lengths >= 3) & (self.lengths <= WIDTH - 2))[0]  # sentence numbers

    def chunks(self, seed=7):
        """Boundaries of consecutive chunks of the token stream, 64 to 254 long."""
        sizes = np.random.default_rng(seed).integers(64, CHUNK + 1, size=len(self.tokens) // 100)
        ends = np.cumsum(sizes)
        ends = ends[ends < len(self.tokens)]
        return np.concatenate([[0], ends])


class Pieces:
    """What the vocabulary says of each id, as tensors on the device."""

    def __init__(self, tokenizer, device):
        self.tokenizer, self.device = Tokenizer.from_file(tokenizer), device
        names = [self.tokenizer.id_to_token(i) for i in range(self.tokenizer.get_vocab_size())]
        to = lambda x: torch.tensor(x, device=device)
        self.inner = to([n.startswith("##") for n in names])  # goes on a word
        self.number = to([n.isdigit() for n in names])
        self.word = to([n.isalpha() and n.isascii() and len(n) > 2 for n in names])
        self.auxiliary = to([n in AUXILIARIES for n in names])
        self.negation = self.tokenizer.token_to_id("not")

    def ids(self, text):
        return torch.tensor(self.tokenizer.encode(text, add_special_tokens=False).ids, dtype=torch.int16, device=self.device)


def prefixed(prefix, ids):
    """Texts (count, width) with the ids of `prefix` after [CLS]."""
    return torch.cat([ids[:, :1], prefix.expand(len(ids), -1), ids[:, 1:]], 1)


def rows(tokens, starts, lengths, width):
    """(count, width) ids: [CLS], tokens[start : start + length], [SEP], zeros."""
    at = torch.arange(width, device=tokens.device)
    place = (starts[:, None] + at[None, :] - 1).clamp(0, len(tokens) - 1)
    ids = tokens[place]
    ids = torch.where(at[None, :] <= lengths[:, None], ids, torch.zeros_like(ids))
    ids[:, 0] = CLS
    ids[torch.arange(len(ids), device=ids.device), lengths + 1] = SEP
    return ids


def compact(body, keep):
    """Moves the kept entries of each row to its front; returns ids with [CLS] and [SEP], width + 2."""
    order = torch.argsort((~keep).to(torch.int8), dim=1, stable=True)
    body = torch.gather(body, 1, order)
    n = keep.sum(1)
    at = torch.arange(body.shape[1] + 2, device=body.device)
    ids = torch.zeros(len(body), body.shape[1] + 2, dtype=body.dtype, device=body.device)
    ids[:, 1:-1] = body
    ids = torch.where(at[None, :] <= n[:, None], ids, torch.zeros_like(ids))
    ids[:, 0] = CLS
    ids[torch.arange(len(ids), device=ids.device), n + 1] = SEP
    return ids


def keywords(chunk, rarity, pieces, asked, generator):
    """(count, WIDTH) two to eight words of each chunk, in their order, drawn by the `rarity` of their first pieces."""
    body = chunk[:, 1:-1]
    inner = pieces.inner[body.long()] & (body != SEP)
    weight = rarity[body.long()].masked_fill(inner, 0)
    noise = torch.rand(body.shape, device=body.device, generator=generator)
    rank = torch.argsort(torch.argsort(noise.log() / weight, dim=1, descending=True), dim=1)
    count = torch.randint(2, 9, (len(body), 1), device=body.device, generator=generator)
    kept = (rank < count) & (weight > 0)
    for _ in range(4):  # the rest of each word
        kept[:, 1:] |= kept[:, :-1] & inner[:, 1:]
    kept &= kept.cumsum(1) <= WIDTH - 6
    kept[:, 0] |= ~kept.any(1)
    kept = compact(body, kept)[:, :WIDTH]
    for k, begin in enumerate(ASKED if asked else []):  # a row in two begins as a question
        at = torch.nonzero(torch.randint(0, 2 * len(ASKED), (len(kept),), device=body.device, generator=generator) == k).flatten()
        begin = pieces.ids(begin)
        at = at[kept[at, -len(begin) - 3] == 0]  # with room for a mark
        kept[at] = prefixed(begin, kept[at])[:, :WIDTH]
    return kept


def drawn(shape, weight, generator):
    """Ids of that shape, drawn by `weight` over the vocabulary."""
    reach = weight.double().cumsum(0)
    place = torch.rand(shape, device=weight.device, generator=generator, dtype=torch.float64) * reach[-1]
    return torch.searchsorted(reach, place).clamp(max=len(weight) - 1).to(torch.int16)


def augment(base, words, even, rarity, count, pieces, generator):
    """(count, WIDTH) changed sentences and the row of `base` each was made from. `even`: weights of whole words, or None."""
    device = base.device
    rand = lambda *shape: torch.rand(*shape, device=device, generator=generator)
    parent = torch.randint(0, len(base) - 1, (count,), device=device, generator=generator)
    body, follow = base[parent, 1:-1].clone(), base[parent + 1, 1:-1]
    real = (body != 0) & (body != SEP)
    n = real.sum(1)
    at = torch.arange(body.shape[1], device=device)[None, :]
    kind = rand(count)[:, None]

    keep = real & (rand(*body.shape) > (0.05 + 0.5 * rand(count, 1)))  # leave pieces out
    length = (2 + (rand(count) * 12).long()).minimum(n)
    first = (rand(count) * (n - length + 1)).long()
    span = (at >= first[:, None]) & (at < (first + length)[:, None])  # cut a span out
    half = (n * (0.3 + 0.4 * rand(count))).long()[:, None]
    splice = torch.where(at < half, body, follow)  # this sentence's beginning, the next one's end
    random_words = words[torch.randint(0, len(words), body.shape, device=device, generator=generator)]
    replace = torch.where(real & (rand(*body.shape) < 0.25 * rand(count, 1)), random_words, body)
    content = real & (rarity[body.long()] > 0) & ~pieces.inner[body.long()]
    rest = pieces.inner[body.long()] & real
    taken = content & (rand(*body.shape) < 0.1 + 0.7 * rand(count, 1))
    flat = random_words if even is None else drawn(body.shape, even, generator)
    exchange, lost = torch.where(taken, flat, body), torch.zeros_like(real)
    lost[:, 1:] = taken[:, :-1] & rest[:, 1:]
    for _ in range(4):  # the rest of an exchanged word goes with it
        lost[:, 1:] |= lost[:, :-1] & rest[:, 1:]
    shuffled = torch.gather(body, 1, torch.argsort(rand(*body.shape) + (~real), dim=1))
    one, two = ((rand(count) * n).long()[:, None] for _ in range(2))
    exchanged = body.scatter(1, one, body.gather(1, two)).scatter(1, two, body.gather(1, one))
    bag = (1 + (rand(count) * 6).long())[:, None]
    number = real & pieces.number[body.long()]
    numbers = torch.nonzero(pieces.number).flatten().to(body.dtype)
    renumbered = torch.where(number, numbers[torch.randint(0, len(numbers), body.shape, device=device, generator=generator)], body)
    verb = real & pieces.auxiliary[body.long()]
    after = verb.int().argmax(1)[:, None] + 1
    negated = torch.where(at < after, body, body.roll(1, 1)).masked_fill(at == after, pieces.negation)
    plain = body.gather(1, after.clamp(max=body.shape[1] - 1)) != pieces.negation

    out, mask = body, keep
    spliced = (splice != 0) & (splice != SEP)
    plainly = (
        (kind < 0.75, body, span),
        (kind < 0.50, splice, spliced),
        (kind < 0.35, replace, real),
        (kind < 0.18, exchanged, real),
        (kind < 0.12, shuffled, real),
        (kind < 0.06, random_words, at < bag),
    )
    evenly = (
        (kind < 0.85, body, span),
        (kind < 0.65, splice, spliced),
        (kind < 0.50, exchange, real & ~lost),
        (kind < 0.26, replace, real),
        (kind < 0.18, exchanged, real),
        (kind < 0.13, shuffled, real),
        (kind < 0.08, flat, at < bag),
        (kind < 0.02, random_words, at < bag),
    )
    for chosen, ids, kept in (
        *(plainly if even is None else evenly),
        (number.any(1, keepdim=True) & (rand(count, 1) < 0.25), renumbered, real),
        (verb.any(1, keepdim=True) & plain & (rand(count, 1) < 0.15), negated, at <= n[:, None]),
    ):
        out, mask = torch.where(chosen, ids, out), torch.where(chosen, kept, mask)
    mask[:, 0] |= ~mask.any(1)
    return compact(out, mask), parent


@torch.no_grad()
def embed(teacher, ids, budget=48_000):
    """Teacher vectors (count, width) in float16, in batches of texts of like length."""
    lengths = (ids != 0).sum(1)
    order = torch.argsort(lengths, descending=True)
    out = torch.empty(len(ids), teacher.width, dtype=torch.float16, device=ids.device)
    at = 0
    sizes = lengths[order].tolist()
    while at < len(order):
        width = min((sizes[at] + 7) // 8 * 8, ids.shape[1])
        count = max(1, budget // width)
        pick = order[at : at + count]
        batch = ids[pick, :width].long()
        out[pick] = teacher.vectors(batch, (batch != 0).long()).half()
        at += count
    return out


def arrive(path, wait):
    """path, once it is there."""
    while wait and not os.path.exists(path):
        time.sleep(0.2)
    return path


def keep(value, path):
    torch.save(value, path + ".tmp")
    os.replace(path + ".tmp", path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--teachers", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--shard", default="0/1")
    parser.add_argument("--augmented", type=int, default=2_000_000)
    parser.add_argument("--even", action="store_true", help="cover the vocabulary evenly")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--wait", action="store_true", help="for the files `complete` in --data and of each teacher")
    parser.add_argument("--names", nargs="*", default=NAMES, help="teachers, in this order")
    parser.add_argument("--limit", type=int, default=0, help="only this many texts of each kind, for a trial")
    args = parser.parse_args()
    shard, shards = (int(x) for x in args.shard.split("/"))
    os.makedirs(args.out, exist_ok=True)
    began = time.time()
    device = torch.device(args.device)
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    for folder in args.data:
        arrive(os.path.join(folder, "complete"), args.wait)
    corpus = Corpus(args.data)
    print(f"read {len(corpus.tokens)} tokens, {len(corpus.base)} base sentences, {time.time() - began:.0f} s", flush=True)

    tokens = torch.from_numpy(corpus.tokens).to(device)
    starts = torch.from_numpy(corpus.starts[corpus.base]).to(device)
    lengths = torch.from_numpy(corpus.lengths[corpus.base]).to(device)
    base = rows(tokens, starts, lengths, WIDTH)
    bounds = torch.from_numpy(corpus.chunks()).to(device)
    chunk = rows(tokens, bounds[:-1], bounds[1:] - bounds[:-1], CHUNK + 2)
    vocabulary = torch.arange(30522, device=device, dtype=torch.int16)
    special = torch.full_like(vocabulary, CLS), torch.full_like(vocabulary, SEP)
    vocab = torch.stack([special[0], vocabulary, special[1]], 1)

    generator = torch.Generator(device).manual_seed(1000 + shard)
    pieces = Pieces(args.tokenizer, device)
    seen = torch.bincount(tokens.long(), minlength=30522)
    rarity = (math.log(len(tokens)) - (seen + 1).log() - 6).clamp(min=0).square()
    rarity[:FIRST_WORD] = 0
    words = torch.nonzero(seen[FIRST_WORD:] > 0).flatten().to(torch.int16) + FIRST_WORD
    even = pieces.word * (seen + 1).float().pow(0.3) if args.even else None
    made, parents = augment(base, words, even, rarity, args.augmented // shards, pieces, generator)

    limit = args.limit or None
    part = lambda x: x[shard::shards][:limit].contiguous()
    made, parents = made[:limit], parents[:limit]
    keep({"ids": made.cpu(), "parent": parents.cpu()}, os.path.join(args.out, f"augmented.{shard}of{shards}.pt"))
    kinds = {"vocab": vocab[shard::shards].contiguous(), "base": part(base), "chunk": part(chunk), "augmented": made}
    kinds["keyword"] = torch.cat([keywords(x, rarity, pieces, args.even, generator) for x in kinds["chunk"].split(50_000)])
    keep(kinds["keyword"].cpu(), os.path.join(args.out, f"keyword.{shard}of{shards}.pt"))
    del base, chunk, vocab, made
    budget = 131_072 if device.type == "cuda" else 4096
    for name in args.names:
        arrive(os.path.join(args.teachers, name + ".npz.xz"), args.wait)
        teacher = load_teacher(args.teachers, name, device, dtype)
        vectors, texts = {}, kinds
        if name in INSTRUCTIONS:
            instruction = pieces.ids(INSTRUCTIONS[name])
            texts = {**kinds, "query": prefixed(instruction, kinds["base"]), "keyword": prefixed(instruction, kinds["keyword"])}
        for kind, ids in texts.items():
            vectors[kind] = torch.cat([embed(teacher, x, budget).cpu() for x in ids.split(400_000)])
            print(f"{name}: {kind} {len(ids)} texts, {int((ids != 0).sum())} tokens, {time.time() - began:.0f} s", flush=True)
        keep(vectors, os.path.join(args.out, f"{name}.{shard}of{shards}.pt"))
    keep({}, os.path.join(args.out, f"complete.{shard}of{shards}"))
    print(f"saved, {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
