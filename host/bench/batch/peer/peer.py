# Embeds the texts of JSON lines with a model of MiniLM's shape (6 layers, 384, 1536,
# 12 heads) and random weights on two processors, and writes Parquet:
# peer.py pool|ray INPUT OUTPUT TOKENIZER FOLDER. The model is made in FOLDER once.
# The last line of output has the number of documents.
import json
import os
import sys

way, source, target, tokenizer, folder = sys.argv[1:]
workers, batch = 2, 32


def make():
    """A model for sentence-transformers: BERT, mean pooling, unit length."""
    if os.path.exists(os.path.join(folder, "modules.json")):
        return
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    bert = folder + "-bert"
    BertModel(BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)).save_pretrained(bert)
    PreTrainedTokenizerFast(tokenizer_file=tokenizer, model_max_length=512, **special).save_pretrained(bert)
    words = models.Transformer(bert, max_seq_length=256)
    SentenceTransformer(modules=[words, models.Pooling(384, "mean"), models.Normalize()], device="cpu").save(folder)


class Embedder:
    """One worker of Ray's."""

    def __init__(self):
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(1)
        self.model = SentenceTransformer(folder, device="cpu")

    def __call__(self, rows):
        rows["vector"] = self.model.encode(list(rows.pop("text")), batch_size=batch)
        return rows


def pool():
    """sentence-transformers' own pool of processes."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from sentence_transformers import SentenceTransformer

    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that are started below
    with open(source) as f:
        rows = [json.loads(line) for line in f]
    model = SentenceTransformer(folder, device="cpu")
    processes = model.start_multi_process_pool(["cpu"] * workers)
    vectors = model.encode([r["text"] for r in rows], pool=processes, batch_size=batch, chunk_size=8 * batch)
    model.stop_multi_process_pool(processes)
    os.makedirs(target)
    columns = {"id": [r["id"] for r in rows], "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])}
    pq.write_table(pa.table(columns), os.path.join(target, "part.parquet"))
    return len(vectors)


def ray_data():
    import ray

    ray.init(num_cpus=workers + 1, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = ray.data.read_json(source, lines=True)
    rows.map_batches(Embedder, batch_size=8 * batch, compute=ray.data.ActorPoolStrategy(size=workers), num_cpus=1).write_parquet(target)
    return ray.data.read_parquet(target).count()


if __name__ == "__main__":
    if way == "make":
        make()
    else:
        print("documents", pool() if way == "pool" else ray_data())
