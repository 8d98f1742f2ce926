"""Queries over the vectors that `go run ./host/bench/search -export` writes, by other programs, on one core.

    python peers.py FOLDER [--postgres postgres://…]

With pip install faiss-cpu sqlite-vec apsw psycopg[binary] numpy: FAISS (IndexFlatIP, float32), sqlite-vec (vec0, int8 and float32) and pgvector (exact scan, halfvec where it has it). Their tables
are made by the first run and kept in FOLDER or the database. Each query asks for the first ten, from a vector that is there already.
"""

import argparse
import os
import time

os.environ["OMP_NUM_THREADS"] = "1"
import apsw
import faiss
import numpy as np
import sqlite_vec


def show(name, queries, ask):
    for q in queries[:20]:
        ask(q)
    took = []
    for q in queries:
        start = time.perf_counter()
        ask(q)
        took.append(1000 * (time.perf_counter() - start))
    took.sort()
    print(f"{name}: median {took[len(took) // 2]:.1f} ms, p95 {took[len(took) * 95 // 100]:.1f} ms, best {took[0]:.1f} ms", flush=True)


def integers(x):
    return np.round(x / np.abs(x).max(axis=1, keepdims=True) * 127).astype(np.int8)


def sqlite(path, kind, vectors, queries):
    db = apsw.Connection(path)
    db.enable_load_extension(True)
    db.load_extension(sqlite_vec.loadable_path())
    wrap = "vec_int8(?)" if kind == "int8" else "?"
    if not db.execute("SELECT count(*) FROM sqlite_schema WHERE name='v'").fetchone()[0]:
        with db:
            db.execute(f"CREATE VIRTUAL TABLE v USING vec0(x {kind}[{vectors.shape[1]}] distance_metric=cosine)")
            db.executemany(f"INSERT INTO v(rowid, x) VALUES(?, {wrap})", ((i, row.tobytes()) for i, row in enumerate(vectors)))
    ask = f"SELECT rowid, distance FROM v WHERE x MATCH {wrap} AND k=10 ORDER BY distance"
    show(f"sqlite-vec, {kind}", queries, lambda q: db.execute(ask, (q.tobytes(),)).fetchall())


def postgres(address, vectors, queries):
    import psycopg

    with psycopg.connect(address, autocommit=True) as db:
        db.execute("CREATE EXTENSION IF NOT EXISTS vector")
        kind = "halfvec" if db.execute("SELECT to_regtype('halfvec') IS NOT NULL").fetchone()[0] else "vector"
        if not db.execute("SELECT to_regclass('bench_v') IS NOT NULL").fetchone()[0]:
            db.execute(f"CREATE TABLE bench_v(id bigint, x {kind}({vectors.shape[1]}))")
            with db.cursor().copy("COPY bench_v FROM STDIN") as copy:
                for i, row in enumerate(vectors):
                    copy.write_row((i, "[" + ",".join(f"{x:.5f}" for x in row) + "]"))
            db.execute("VACUUM ANALYZE bench_v")
        db.execute("SET max_parallel_workers_per_gather=0")
        texts = ["[" + ",".join(map(str, q)) + "]" for q in queries]
        ask = f"SELECT id FROM bench_v ORDER BY x <=> %s::{kind} LIMIT 10"
        show(f"pgvector, {kind}", texts, lambda q: db.execute(ask, (q,)).fetchall())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--postgres")
    args = parser.parse_args()
    queries = np.load(os.path.join(args.folder, "queries.npy"))
    vectors = np.load(os.path.join(args.folder, "vectors.npy"), mmap_mode="r")
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    show("FAISS flat, f32", queries, lambda q: index.search(q[None], 10))
    del index
    sqlite(os.path.join(args.folder, "vec-int8.db"), "int8", integers(vectors), integers(queries))
    sqlite(os.path.join(args.folder, "vec-f32.db"), "float", vectors, queries)
    if args.postgres:
        postgres(args.postgres, vectors, queries)


main()
