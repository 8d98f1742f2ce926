"""Stage 3: train the student on the pool.

    python train.py --data DIR --pool DIR --tokenizer F --sts F --out DIR --minutes M [--shares ...] [--hidden ...]
    torchrun --nproc-per-node 2 train.py ...          the same on two GPUs: --short-count texts on each, gradients averaged

Three kinds of step, about as many tokens each:

    short   groups of four short texts: a changed sentence, its original, a near neighbour of that (by the
            teachers), and the sentence that follows it or a second neighbour
    middle  pairs of consecutive chunks of up to 254 pieces, each chunk with one of its sentences, its document's
            title and some of its rarer words
    long    texts of up to 1,024, 4,096 or 8,192 pieces, each with --questions of its sentences; their chunks are read off the
            same pass, as the means of the hidden states

With --topics, half of the groups, pairs and long texts of a step come in topics: those near one text by the teachers, so
that texts of one field are told apart, as a search in a collection must.

A share of the short texts begins with the query mark. Their targets are the teachers' vectors of the text as a query.

Loss: vectors (1 - cosine of projected student and teacher), similarity of all pairs of the batch and of the
related pairs (squared difference), and each text's ranking of the batch (cross-entropy of softmaxed
similarities). The last three are taken of the first NESTED numbers of the student's vectors, too. With --topics, the
similarities within a topic count once more, and middle steps add the short texts' ranking of the chunks. Long steps add
the losses of the chunks and, at --best, the sentences' ranking of the long texts by their best chunks.

The learning rate follows the clock, so that a run ends in --minutes whatever the machine. The last --quantised share of
the run rounds weights and activations to int8 in the forward pass. --start goes on from a finished model; where it has
fewer layers than --layers says, it is grown (model.py) and computes the same at first.
"""

import argparse
import json
import math
import os
import time

import torch
import torch._inductor.config
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F

from evaluate import Pairs, Retrieval
from model import NESTED, PROMPTS, Config, M2Bert
from pool import CHUNK, INSTRUCTIONS, WIDTH, Corpus, Pieces, prefixed, rows
from quantise import quantised

TEMPERATURE = 0.05
NESTED_WEIGHT = 0.25
TOPICS = 32  # of a short step; half of them are random texts
SLACK = 8  # channels that at the start only keep a token's weight through LayerNorm
CENTRED = ("bge",)


def read_pool(folder, device, shares, query_shares):
    """The shards of all teachers {name: share} as one pool: their vectors side by side, scaled so that the dot product
    of two rows is the mean of the teachers' cosines, weighted by share. Queries have shares of their own.

    base, chunk, keyword and vocab were dealt round-robin, augmented texts stand one shard after another. A teacher in CENTRED
    crowds its vectors into a cone: the mean of its texts is taken off, and the rest brought to length 1.
    """
    shards = len([f for f in os.listdir(folder) if f.startswith("complete.")])
    read = lambda name, shard: torch.load(os.path.join(folder, f"{name}.{shard}of{shards}.pt"), map_location=device)

    def dealt(parts):
        whole = torch.empty(sum(map(len, parts)), parts[0].shape[1], dtype=parts[0].dtype, device=device)
        for i, part in enumerate(parts):
            whole[i::shards] = part
        return whole

    pool = {}
    for name, share in shares.items():
        parts = [read(name, shard) for shard in range(shards)]
        joined = {}
        for kind in ("vocab", "base", "chunk", "augmented", "keyword", *(["query"] if name in INSTRUCTIONS else [])):
            if kind == "augmented":
                joined[kind] = torch.cat([p[kind] for p in parts])
                continue
            joined[kind] = dealt([p[kind] for p in parts])
        del parts
        if name in CENTRED:
            mean = torch.cat([joined["base"][::7], joined["chunk"][::7]]).float().mean(0)
            centre = lambda x: F.normalize(x.float() - mean, dim=-1).half()
            joined = {kind: torch.cat([centre(x) for x in v.split(200_000)]) for kind, v in joined.items()}
        joined.setdefault("query", joined["base"])
        for kind, v in joined.items():
            of = query_shares if kind in ("query", "keyword") else shares
            pool.setdefault(kind, []).append(v * math.sqrt(of[name] / sum(of.values())))
    pool = {kind: torch.cat(v, 1) for kind, v in pool.items()}
    pool["keyword_ids"] = dealt([read("keyword", shard) for shard in range(shards)])
    made = [read("augmented", shard) for shard in range(shards)]
    return {**pool, "augmented_ids": torch.cat([m["ids"] for m in made]), "augmented_parent": torch.cat([m["parent"] for m in made])}


@torch.no_grad()
def neighbours(vectors, generator, candidates=160_000, count=8):
    """For each row its `count` nearest among a random share of all rows, duplicates left out."""
    device = vectors.device
    found = []
    for block in vectors.split(8192):
        if len(found) % 12 == 0:
            pick = torch.randperm(len(vectors), device=device, generator=generator)[:candidates]
            share = vectors[pick]
        similarity = block @ share.T
        similarity.masked_fill_(similarity > 0.985, -1)
        found.append(pick[similarity.topk(count, dim=1).indices].to(torch.int32))
    return torch.cat(found)


class Batches:
    """Draws the three kinds of batch, all on the device."""

    def __init__(self, corpus, pool, mark, topical, questions, device, seed):
        """`mark`: ids that a query begins with; `questions`: sentences of a long text."""
        self.mark, self.topical, self.questions = mark, topical, questions
        self.g = torch.Generator(device).manual_seed(seed)
        self.device = device
        self.pool = pool
        self.tokens = torch.from_numpy(corpus.tokens).to(device)
        to = lambda x: torch.from_numpy(x).to(device)
        self.base_sentence = to(corpus.base)
        self.base = rows(self.tokens, to(corpus.starts[corpus.base]), to(corpus.lengths[corpus.base]), WIDTH)
        self.bounds = to(corpus.chunks())
        self.sentence_starts = to(corpus.starts)
        self.base_of = torch.full((len(corpus.lengths),), -1, dtype=torch.long, device=device)
        self.base_of[self.base_sentence] = torch.arange(len(self.base), device=device)
        self.doc_starts, self.doc_titled = to(corpus.doc_starts), to(corpus.doc_titled)
        lengths = (self.bounds[1:] - self.bounds[:-1]).double()[:, None]
        sums = (pool["chunk"].double() * lengths).cumsum(0)
        self.chunk_sums = torch.cat([torch.zeros_like(sums[:1]), sums])  # mean of a run of chunks = difference
        self.near = neighbours(pool["base"], self.g)

    def topics(self, kind, count, size, candidates, nearest):
        """(count * size) numbers of texts of a kind, topic after topic; each odd topic is random texts, each even one
        `size` of the `nearest` to a text among as many random candidates."""
        vectors = self.pool[kind]
        pick = self.integers(len(vectors) - 2, count, size)
        if not self.topical:
            return pick.flatten()
        share = self.integers(len(vectors) - 2, candidates)
        near = (vectors[pick[::2, 0]] @ vectors[share].T).topk(nearest, dim=1).indices
        chosen = torch.rand(near.shape, device=self.device, generator=self.g).argsort(1)[:, :size]
        pick[::2] = share[near.gather(1, chosen)]
        return pick.flatten()

    def integers(self, high, *shape):
        return torch.randint(0, high, shape, device=self.device, generator=self.g)

    def uniform(self, *shape):
        return torch.rand(*shape, device=self.device, generator=self.g)

    def marked(self, ids):
        return prefixed(self.mark, ids)[:, :WIDTH]

    def read(self, base, share):
        """ids and targets of base sentences, of which about `share` are marked as queries, where they have room for it."""
        query = (self.uniform(len(base)) < share) & (self.base[base, -len(self.mark)] == 0)
        ids = torch.where(query[:, None], self.marked(self.base[base]), self.base[base])
        return ids, torch.where(query[:, None], self.pool["query"][base], self.pool["base"][base])

    def short(self, count):
        """ids (count, WIDTH) and targets; rows i, i + count/4, ... are one group of related texts."""
        size = count // 4 // TOPICS
        pick = self.topics("augmented", TOPICS, size, 250_000, 8 * size)
        original = self.pool["augmented_parent"][pick]
        near = self.near[original].long()
        one = near.gather(1, self.integers(near.shape[1], len(near), 1))[:, 0]
        two = near.gather(1, self.integers(near.shape[1], len(near), 1))[:, 0]
        follow = (original + 1).clamp(max=len(self.base) - 1)
        fourth = torch.where(self.uniform(len(near)) < 0.4, follow, two)
        ids, target = self.read(torch.cat([original, one, fourth]), 0.3)
        return torch.cat([self.pool["augmented_ids"][pick], ids]), torch.cat([self.pool["augmented"][pick], target])

    def sentence_in(self, start, end):
        """A base sentence that begins at or before a random place of [start, end); a random one if it is too long."""
        place = start + (self.uniform(len(start)) * (end - start)).long()
        sentence = torch.searchsorted(self.sentence_starts, place, right=True) - 1
        base = self.base_of[sentence.clamp(0, len(self.base_of) - 1)]
        return torch.where(base < 0, self.integers(len(self.base), len(base)), base)

    def title_of(self, start, instead):
        """The title of the document that `start` lies in, if it has one, else `instead`."""
        sentence = torch.searchsorted(self.sentence_starts, start, right=True) - 1
        doc = (torch.searchsorted(self.doc_starts, sentence, right=True) - 1).clamp(0, len(self.doc_titled) - 1)
        base = self.base_of[self.doc_starts[doc]]
        return torch.where(self.doc_titled[doc] & (base >= 0), base, instead)

    def middle(self, count):
        """Chunks (count, CHUNK + 2), short texts (3 count, WIDTH), targets of both in this order."""
        topics = TOPICS // 4
        size = count // 2 // topics
        chunk = self.topics("chunk", topics, size, 120_000, 6 * size)
        chunk = torch.stack([chunk, chunk + 1], 1).flatten()
        start, end = self.bounds[chunk], self.bounds[chunk + 1]
        inside = self.sentence_in(start, end)
        title = self.title_of(start, self.sentence_in(start, end))
        short, target = self.read(torch.cat([inside, title]), 0.5)
        short = torch.cat([short, self.marked(self.pool["keyword_ids"][chunk])])
        ids = rows(self.tokens, start, end - start, CHUNK + 2)
        return ids, short, torch.cat([self.pool["chunk"][chunk], target, self.pool["keyword"][chunk]])

    def long(self, count, width):
        """Runs of chunks (count, width), `questions` short texts each, targets of both; of each chunk: its text, its first place
        in that, the place after its last, its target."""
        first = self.topics("chunk", 2, (count + 1) // 2, 120_000, 4 * count)[:count]
        length = (width * 0.25 + self.uniform(count) * (width * 0.75 - 2)).long()
        last = torch.searchsorted(self.bounds, self.bounds[first] + length, right=True) - 1
        last = torch.maximum(last, first + 1).clamp(max=len(self.bounds) - 1)
        start, end = self.bounds[first], self.bounds[last]
        target = F.normalize((self.chunk_sums[last] - self.chunk_sums[first]).float(), dim=1).half()
        short, short_target = self.read(self.sentence_in(start.repeat(self.questions), end.repeat(self.questions)), 0.5)
        ids = rows(self.tokens, start, end - start, width)
        text = torch.repeat_interleave(last - first)
        chunk = torch.cat([torch.arange(a, b, device=self.device) for a, b in zip(first.tolist(), last.tolist())])
        places = [1 + self.bounds[chunk + i] - start[text] for i in (0, 1)]
        return ids, short, torch.cat([target, short_target]), (text, *places, self.pool["chunk"][chunk])


def divergence(s, t):
    """Of two matrices of similarities: how far the rankings of s are from those of t, by row."""
    s, t = s / TEMPERATURE, t / TEMPERATURE
    return (t.softmax(1) * (t.log_softmax(1) - s.log_softmax(1))).sum(1).mean()


def searches(student, target, asked):
    """The rankings that the last `asked` texts make of the others."""
    target = target.float()
    found = target[-asked:] @ target[:-asked].T
    total = student.new_zeros(())
    for size, weight in ((student.shape[1], 1.0), *((size, NESTED_WEIGHT) for size in NESTED)):
        part = F.normalize(student[:, :size], dim=-1)
        total = total + weight * divergence(part[-asked:] @ part[:-asked].T, found)
    return total


def losses(student, projected, target, groups, topics=0):
    """student (N, d) unit rows, target (N, w) unit rows, N = groups * related texts, groups side by side; the groups of
    a topic stand together."""
    target = target.float()
    vector = (1 - F.cosine_similarity(projected, target, dim=-1)).mean()
    n, t = len(student), target @ target.T
    i = torch.arange(n, device=student.device)
    self_ = torch.eye(n, dtype=torch.bool, device=student.device)
    every = related = ranking = student.new_zeros(())
    for size, weight in ((student.shape[1], 1.0), *((size, NESTED_WEIGHT) for size in NESTED)):
        part = F.normalize(student[:, :size], dim=-1)
        s = part @ part.T
        difference = (s - t).square()
        every = every + weight * difference.mean()
        for k in range(1, n // groups):
            related = related + weight / (n // groups - 1) * difference[i, (i + groups * k) % n].mean()
        if topics:
            inside = difference.view(n // groups, topics, groups // topics, n // groups, topics, groups // topics)
            related = related + weight * inside.diagonal(dim1=1, dim2=4).mean()
        ranking = ranking + weight * divergence(s.masked_fill(self_, -1), t.masked_fill(self_, -1))
    return vector, every, related, ranking


@torch.no_grad()
def initialise(model, projection, pool, counts, generator):
    """Word table from the teachers' vectors of single tokens, weighted by rarity; layers close to the identity.

    LayerNorm would undo the weights, so SLACK channels hold the rest of each row's norm and the last LayerNorm makes
    them small: at the start the model is nearly a weighted mean of token vectors. Small, not zero: where both a channel
    and its column of the projection are zero no gradient reaches either, and the channel would stay dead.
    """
    c, device = model.c, projection.weight.device
    d, content = c.hidden_size, c.hidden_size - SLACK
    sample = pool["base"][torch.randperm(len(pool["base"]), device=device, generator=generator)[:200_000]].float()
    values, basis = torch.linalg.eigh(sample.T @ sample / len(sample))
    basis = basis.flip(1)[:, :content]
    vocab = pool["vocab"].float()
    vocab = (vocab - vocab.mean(0)) @ basis
    share = (counts[: len(vocab)].float() + 1) / counts.sum()
    weight = 3e-4 / (3e-4 + share) * vocab.norm(dim=1)
    weight = 0.95 * (weight / weight.quantile(0.9)).clamp(max=1)
    weight[[100, 101, 102]] = 0.01
    table = model.word.data.zero_()
    table[: len(vocab), :content] = F.normalize(vocab, dim=1) * weight[:, None]
    signs = torch.tensor([1.0, -1.0], device=device).repeat(SLACK // 2) / math.sqrt(SLACK)
    table[: len(vocab), content:] = (1 - weight.square()).sqrt()[:, None] * signs
    table *= 0.3 * math.sqrt(d)
    model.token_type.data.zero_()
    projection.weight.data.zero_()
    projection.weight.data[:, :content] = basis
    projection.weight.data[:, content:] = torch.randn(len(basis), SLACK, device=device, generator=generator) * 0.02

    f, (n, o, e, w) = model.filters, (c.num_hidden_layers, c.hyena_filter_order, c.hyena_emb_dim, c.long_conv_l_max)
    normal = lambda p, std: p.data.copy_(torch.randn(p.shape, device=device, generator=generator) * std)
    # Position features on a logarithmic scale: single steps near the token, coarse ones far away.
    at = torch.log1p(torch.arange(w, device=device).float()) / math.log(w)
    features = [at] + [fn(2 * math.pi * k * at) for k in range(1, (e - 1) // 2 + 1) for fn in (torch.cos, torch.sin)]
    f.z.data.copy_(torch.stack(features, 1).expand_as(f.z))
    f.freq.data.fill_(c.hyena_w / 5)
    for p, fan in ((f.w0, e), (f.b0, e), (f.w2, o), (f.b2, o), (f.w4, o), (f.b4, o)):
        normal(p, 1 / math.sqrt(fan))
    normal(f.w6, 0.02 / math.sqrt(o))
    f.w6.data[:, 0] *= 5
    # Reach of the taps: from two tokens to the whole window, spread over the channels in random order.
    reach = torch.logspace(math.log10(2), math.log10(w), d, device=device)
    for i in range(n):
        for j in range(2):
            order = torch.randperm(d, device=device, generator=generator)
            f.deltas[i, j] = (math.log(100) * (w - 1) / (3 * reach))[order]
    for layer in model.layers:
        normal(layer.in_linear.weight, 1 / math.sqrt(d))
        layer.in_linear.bias.data.zero_()
        normal(layer.short_filter.weight, 0.1)
        layer.short_filter.weight.data[:, 0, 2] += 1
        layer.short_filter.bias.data.zero_()
        layer.out_linear.weight.data.copy_(torch.eye(d, device=device))
        layer.out_linear.bias.data.zero_()
        layer.filter_bias.data[0] = 0.05
        layer.filter_bias.data[1] = 1
        normal(layer.gated_layers, 1 / math.sqrt(layer.gated_layers.shape[-1]))
        normal(layer.wo, 0.05 / math.sqrt(layer.wo.shape[-1]))
        layer.wo_bias.data.zero_()
    model.layers[-1].layernorm.weight.data[content:] = 0.1


@torch.no_grad()
def resume(model, projection, batches, folder):
    """The weights of a model folder, grown to the model's layers, and the projection that fits them best."""
    from safetensors.torch import load_file

    start = M2Bert(Config.read(os.path.join(folder, "config.json")))
    start.load(load_file(os.path.join(folder, "model.safetensors")))
    model.load_state_dict(start.grown(model.c.num_hidden_layers).state_dict())
    pick = batches.integers(len(batches.base), min(100_000, len(batches.base))).split(4096)
    a = torch.cat([model(batches.base[i].long(), (batches.base[i] != 0).float()) for i in pick])
    b = torch.cat([batches.pool["base"][i].float() for i in pick])
    eye = torch.eye(a.shape[1], device=a.device)
    projection.weight.copy_(torch.linalg.solve(a.T @ a + len(a) / 1e5 * eye, a.T @ b).T)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", nargs="+", required=True)
    for name in ("pool", "tokenizer", "sts", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--until", type=float, help="instead of --minutes: seconds since 1970 at which to end")
    parser.add_argument("--hidden", type=int, default=224)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--inner", type=int, default=0, help="MLP width, default 4 times --hidden")
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--order", type=int, default=32)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--word-rate", type=float, default=4e-3)
    parser.add_argument("--short-count", type=int, default=4096)
    parser.add_argument("--quantised", type=float, default=0.35, help="share of the run with rounding")
    parser.add_argument("--weights", type=float, nargs=4, default=[1.0, 10.0, 5.0, 0.3], help="of the four losses")
    parser.add_argument("--topics", action="store_true", help="draw half of each step by topic")
    parser.add_argument("--questions", type=int, default=1, help="sentences of each long text")
    parser.add_argument("--best", type=float, default=1.0, help="weight of the ranking of long texts by their best chunks, beside the others' rankings")
    parser.add_argument("--start", help="folder of a model of the same sizes, or of fewer layers, to go on from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shares", nargs="*", default=["minilm=1", "mpnet=1", "bge=1"], help="TEACHER=SHARE of the target")
    parser.add_argument("--query-shares", nargs="*", default=["minilm=1", "mpnet=1", "bge=1"], help="the same of queries")
    parser.add_argument("--retrieval", help="folder of retrieval sets to score and to choose the best checkpoint by")
    parser.add_argument("--middle", type=int, default=3, help="of 20 steps, those on chunks")
    parser.add_argument("--long", type=int, default=1, help="of 20 steps, those on long texts")
    parser.add_argument("--teacher-width", type=int, default=1536)
    parser.add_argument("--wait", action="store_true", help="wait for the file `complete` in --pool")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--report-every", type=float, default=45, help="seconds between scores and checkpoints")
    args = parser.parse_args()
    if args.short_count < 1 or args.short_count % (4 * TOPICS):
        parser.error(f"--short-count {args.short_count}, want a multiple of {4 * TOPICS}")

    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    if world > 1:
        dist.init_process_group("nccl" if args.device == "cuda" else "gloo")
    if world > 1 and args.device == "cuda":
        torch.cuda.set_device(rank)
    device = torch.device("cuda", torch.cuda.current_device()) if args.device == "cuda" else torch.device("cpu")
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(args.seed)
    os.makedirs(args.out, exist_ok=True)
    log = open(os.path.join(args.out, "log.txt"), "a") if rank == 0 else open(os.devnull, "w")

    def say(*words):
        if rank == 0:
            print(*words, flush=True)
        print(*words, file=log, flush=True)

    began = time.time()
    config = Config(
        hidden_size=args.hidden, num_hidden_layers=args.layers, intermediate_size=args.inner or 4 * args.hidden,
        hyena_filter_order=args.order, long_conv_l_max=args.window, matryoshka_dimensions=NESTED, prompts=PROMPTS,
    )
    model = M2Bert(config).to(device)
    projection = nn.Linear(args.hidden, args.teacher_width, bias=False).to(device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    quantise = torch.zeros((), device=device)
    topics = TOPICS if args.topics else 0
    if hasattr(torch._inductor.config.triton, "mix_order_reduction"):
        torch._inductor.config.triton.mix_order_reduction = False  # fails on the backward pass of version 2.11
    measure = losses if args.no_compile else torch.compile(losses, dynamic=False)
    compiled = model.forward if args.no_compile else torch.compile(model.forward, dynamic=False)
    passages = 16 * max(1, args.short_count // 205)  # of a middle step
    plain = set()  # shapes of `ids` that are faster uncompiled

    def encode(ids):
        """Vectors of short texts and chunks, by whichever way is faster for the shape."""
        way = model.forward if ids.shape in plain else compiled
        return way(ids.long(), (ids != 0).float(), quantise, dtype)

    if not args.no_compile:  # while another process may still be building the pool
        target = F.normalize(torch.randn(args.short_count, args.teacher_width, device=device), dim=1).half()
        for shape in ((args.short_count, WIDTH), (passages, CHUNK + 2), (3 * passages, WIDTH)):
            ids, laps = torch.randint(1, 30522, shape, device=device), {}
            ready = shape[0] < args.short_count and args.wait and os.path.exists(os.path.join(args.pool, "complete"))
            for way in ("plain",) if ready else ("compiled", "plain"):  # the compiler takes a minute a shape
                (plain.add if way == "plain" else plain.discard)(ids.shape)
                try:
                    for _ in range(4):
                        lap = time.time()
                        student = encode(ids)
                        (student * student.detach().roll(1, 0)).sum().backward()
                        torch.cuda.synchronize()
                        laps[way] = min(laps.get(way, math.inf), time.time() - lap)
                except Exception as e:
                    say(f"{shape} not compiled: {str(e)[:2000]}")
            if laps.get("compiled", math.inf) < laps.get("plain", math.inf):
                plain.discard(ids.shape)
            say(f"{shape}, seconds a pass and its gradient", {k: round(v, 4) for k, v in laps.items()}, f"{time.time() - began:.0f} s")
        try:
            student = F.normalize(torch.randn(args.short_count, args.hidden, device=device), dim=1).requires_grad_()
            sum(measure(student, projection(student), target, args.short_count // 4, topics)).backward()
        except Exception as e:
            measure = losses
            say(f"losses not compiled: {str(e)[:2000]}")
        torch.cuda.synchronize()
        say(f"compiled, {time.time() - began:.0f} s")
    while args.wait and not os.path.exists(os.path.join(args.pool, "complete")):
        time.sleep(0.2)
    corpus = Corpus(args.data)
    shares, query_shares = ({k: float(v) for k, v in (s.split("=") for s in x)} for x in (args.shares, args.query_shares))
    pool = read_pool(args.pool, device, shares, query_shares)
    if pool["base"].shape[1] != args.teacher_width:
        raise ValueError(f"the pool's vectors are {pool['base'].shape[1]} wide, --teacher-width says {args.teacher_width}")
    mark = Pieces(args.tokenizer, device).ids(PROMPTS["query"])
    batches = Batches(corpus, pool, mark, args.topics, args.questions, device, args.seed + 100 * rank)
    pairs = Pairs(args.sts, args.tokenizer)
    pairs.ids = pairs.ids.to(device)
    retrieval = Retrieval(args.retrieval, args.tokenizer, device, PROMPTS["query"]) if args.retrieval else None
    say(f"pool: {len(pool['base'])} base, {len(pool['augmented_ids'])} augmented, {len(pool['chunk'])} chunks, {time.time() - began:.0f} s")

    counts = torch.bincount(batches.tokens.long(), minlength=30522)
    initialise(model, projection, pool, counts, torch.Generator(device).manual_seed(args.seed))
    if args.start:
        resume(model, projection, batches, args.start)
    with open(os.path.join(args.out, "config.json"), "w") as f:
        json.dump(config.published(), f, indent=1)

    matrices = [p for n, p in model.named_parameters() if p.dim() >= 2 and n != "word" and "filters" not in n] + [projection.weight]
    rest = [p for n, p in model.named_parameters() if n != "word" and not any(p is q for q in matrices)]
    groups = [
        {"params": [model.word], "lr": args.word_rate, "weight_decay": 0.0},
        {"params": matrices, "lr": args.rate, "weight_decay": 0.01},
        {"params": rest, "lr": args.rate, "weight_decay": 0.0},
    ]
    peaks = [g["lr"] for g in groups]
    parameters = [p for g in groups for p in g["params"]]
    if world > 1:  # what each computed for itself may differ
        for value in (*model.state_dict().values(), projection.weight.data):
            dist.broadcast(value, 0)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-9, fused=device.type == "cuda")

    def real(ids):
        return ids.long(), (ids != 0).float()

    def step(kind):
        if kind == "short":
            ids, target = batches.short(args.short_count)
            student = encode(ids)
            return measure(student, projection(student), target, args.short_count // 4, topics)
        if kind == "middle":
            ids, short, target = batches.middle(passages)
            student = torch.cat([encode(ids), encode(short)])
            values = losses(student, projection(student), target, len(ids), topics // 4)
            return *values[:3], values[3] + (searches(student, target, len(short)) if topics else 0)
        width = {"long1k": 1024, "long4k": 4096, "long8k": 8192}[kind]
        ids, short, target, (text, begin, end, chunk) = batches.long(max(2, 24 * args.short_count // width), width)
        n, (ids, mask) = len(ids), real(ids)
        sums = F.pad((model.hidden(ids, mask, quantise, dtype).float() * mask[..., None]).cumsum(1), (0, 0, 1, 0))
        short = model(*real(short), quantise, dtype)
        student = torch.cat([F.normalize(sums[:, -1], dim=-1), short])
        inside = torch.cat([F.normalize(sums[text, end] - sums[text, begin], dim=-1), short])
        wholes = losses(student, projection(student), target, n)
        chunks = losses(inside, projection(inside), torch.cat([chunk, target[n:]]), len(inside))
        best = torch.full((len(short), n), -1.0, device=device)
        best.scatter_reduce_(1, text.expand(len(short), -1), (target[n:] @ chunk.T).float(), "amax")
        values = [a + b for a, b in zip(wholes, chunks)]
        return *values[:3], values[3] + args.best * divergence(short @ student[:n].T, best)

    def score(rounding, long):
        encode = lambda ids, mask: model(ids, mask, rounding)
        found = {k: v for k, v in pairs.scores(encode).items() if "." not in k}
        cut = pairs.scores(lambda ids, mask: F.normalize(encode(ids, mask)[:, : NESTED[0]], dim=-1))["mean of sets"]
        found[f"mean of sets, {NESTED[0]}"] = cut
        hidden = lambda ids, mask: model.hidden(ids, mask, rounding)
        return {**found, **(retrieval.scores(encode, hidden if long else None, NESTED[0]) if retrieval else {})}

    def save(name):
        """The word table as rounded rows apart from the rest, whose matrices are halves: files small enough to be carried."""
        if rank != 0:
            return
        state = model.state_dict()
        word = quantised("word", state.pop("word"))
        state = {k: v.half() if v.numel() > 50_000 else v for k, v in state.items()}
        for part, value in (("word", word), ("rest", {"model": state})):
            path = os.path.join(args.out, f"{name}.{part}.pt")
            torch.save(value, path + ".tmp")
            os.replace(path + ".tmp", path)

    say("start", score(0.0, False))
    mixture = ["short"] * (20 - args.middle - args.long) + ["middle"] * args.middle + ["long1k"] * args.long
    chooser = torch.Generator().manual_seed(args.seed)
    start = reported = time.time()
    if args.until:
        args.minutes = (args.until - start) / 60
    steps, sums, laps, best = 0, {}, {}, 0.0
    while True:
        if world == 1:
            done = (time.time() - start) / (60 * args.minutes)
        elif steps % 8 == 0:  # by the first one's clock
            clock = torch.tensor((time.time() - start) / (60 * args.minutes), device=device)
            dist.broadcast(clock, 0)
            done = clock.item()
        if done >= 1:
            break
        heat = min(1.0, (steps + 1) / 300) * (1 - done) ** 0.9
        for g, peak in zip(optimizer.param_groups, peaks):
            g["lr"] = peak * max(heat, 0.002)
        quantise.fill_(float(done > 1 - args.quantised))
        kind = mixture[int(torch.randint(len(mixture), (), generator=chooser))]
        if kind == "long1k":
            kind = ("long1k", "long4k", "long8k")[int(torch.randint(3, (), generator=chooser))]
        timed = 40 < steps <= 200 and device.type == "cuda"
        if timed:
            torch.cuda.synchronize()
            lap = time.time()
        values = step(kind)
        loss = sum(w * v for w, v in zip(args.weights, values))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if world > 1:
            flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters])
            dist.all_reduce(flat, op=dist.ReduceOp.AVG)
            at = 0
            for p in parameters:
                p.grad = flat[at : at + p.numel()].view_as(p)
                at += p.numel()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if timed:
            torch.cuda.synchronize()
            laps.setdefault(kind, []).append(time.time() - lap)
        steps += 1
        entry = sums.setdefault(kind, [0, torch.zeros(4, device=device)])
        entry[0] += 1
        entry[1] += torch.stack([v.detach() for v in values])
        if rank == 0 and (time.time() - reported > args.report_every or steps in (20, 200)):
            reported = time.time()
            means = {k: [round(x, 4) for x in (v / n).tolist()] + [n] for k, (n, v) in sums.items()}
            sums = {}
            if steps == 200:
                say("median seconds a step", {k: round(sorted(v)[len(v) // 2], 4) for k, v in laps.items()})
            say(f"step {steps} {reported - start:.0f} s rounding {quantise.item():.0f}", means)
            scores = score(1.0, done > 1 - args.quantised)
            say(f"    int8 ({time.time() - reported:.0f} s)", scores)
            save("checkpoint")
            reached = scores["mean of sets"] + scores.get("retrieval, marked", 0)
            if done > 1 - args.quantised and reached > best:
                best = reached
                save("best")
    save("final")
    say(f"end: {steps} steps, {time.time() - start:.0f} s, int8", score(1.0, True))
    say("float", score(0.0, False))
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
