# Runs bert-f32.onnx and bert-int8.onnx for host/bench where run.mjs cannot. The
# first line of output names the runtime. Each line of input, {"dtype",
# "threads", "length"}, is answered by {"seconds", "processor"} or {"error"}.
import json
import platform
import sys
import time

import numpy as np
import onnxruntime as ort

sessions = {}


def session(dtype, threads):
    key = (dtype, threads)
    if key not in sessions:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        sessions[key] = ort.InferenceSession(f"bert-{dtype}.onnx", options, providers=["CPUExecutionProvider"])
    return sessions[key]


def run(dtype, threads, length):
    s = session(dtype, threads)
    positions = np.arange(length, dtype=np.int64)[None]
    feeds = {"input_ids": 1000 + positions * 7919 % 29000, "position_ids": positions}
    before, start = time.process_time(), time.perf_counter()
    hidden = s.run(None, feeds)[0]
    seconds, used = time.perf_counter() - start, time.process_time() - before
    if hidden.shape[1] != length or not np.isfinite(hidden.flat[0]):
        raise ValueError(f"strange output {hidden.shape}")
    return {"seconds": seconds, "processor": used}


print(f"onnxruntime {ort.__version__} in Python {platform.python_version()}", flush=True)
for line in sys.stdin:
    try:
        reply = run(**json.loads(line))
    except Exception as error:
        reply = {"error": str(error)}
    print(json.dumps(reply), flush=True)
