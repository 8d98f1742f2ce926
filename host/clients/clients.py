"""Python clients of other servers, against m2embed serve: clients.py URL.

The server runs with --alias text-embedding-3-small. Each client's vectors are
compared with those of a plain request.
"""

import base64
import json
import math
import os
import struct
import sys
import urllib.error
import urllib.request

URL = sys.argv[1].rstrip("/")
MODEL = "text-embedding-3-small"
TEXTS = ["one", "two words", "and three more, naïve café 東京"]
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["OPENAI_API_KEY"] = "none"


def request(path, body):
    r = urllib.request.Request(URL + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(r) as answer:
        return json.load(answer)


WANT = [d["embedding"] for d in request("/v1/embeddings", {"input": TEXTS})["data"]]


def same(got, want=WANT, unit=False):
    """Lists of float32 that came as text are equal to the bit; unit ones nearly."""
    assert len(got) == len(want), (len(got), len(want))
    for a, b in zip(got, want):
        if unit:
            n = math.sqrt(sum(x * x for x in b))
            b = [x / n for x in b]
        assert len(a) == len(b) and all(abs(x - y) <= 1e-6 for x, y in zip(a, b)), "another vector"


def test_openai():
    from openai import BadRequestError, NotFoundError, OpenAI

    client = OpenAI(base_url=URL + "/v1", max_retries=0)
    answer = client.embeddings.create(model=MODEL, input=TEXTS)  # base64 by default
    same([d.embedding for d in answer.data])
    assert answer.usage.total_tokens > 0 and [d.index for d in answer.data] == [0, 1, 2]
    same([d.embedding for d in client.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float").data])
    raw = client.embeddings.with_raw_response.create(model=MODEL, input="one", encoding_format="base64").text
    text = json.loads(raw() if callable(raw) else raw)["data"][0]["embedding"]
    same([list(struct.unpack("<%df" % len(WANT[0]), base64.b64decode(text)))], WANT[:1])
    assert MODEL in [m.id for m in client.models.list()]
    assert client.models.retrieve(MODEL).id == MODEL
    for error, arguments in [
        (NotFoundError, {"model": "other", "input": "x"}),
        (BadRequestError, {"model": MODEL, "input": []}),
        (BadRequestError, {"model": MODEL, "input": "x", "dimensions": 7}),
        (BadRequestError, {"model": MODEL, "input": [[1, 2, 3]]}),
    ]:
        try:
            client.embeddings.create(**arguments)
        except error as e:
            assert e.body["message"], e
        else:
            raise AssertionError(f"{arguments} is answered")


def test_openai_async():
    import asyncio

    from openai import AsyncOpenAI

    async def ask():
        async with AsyncOpenAI(base_url=URL + "/v1") as client:
            answers = await asyncio.gather(*(client.embeddings.create(model=MODEL, input=t) for t in TEXTS * 20))
        for i, a in enumerate(answers):
            same([a.data[0].embedding], WANT[i % 3 : i % 3 + 1])

    asyncio.run(ask())


def test_langchain():
    from langchain_openai import OpenAIEmbeddings

    texts = OpenAIEmbeddings(model=MODEL, base_url=URL + "/v1", check_embedding_ctx_length=False)
    same(texts.embed_documents(TEXTS))
    same([texts.embed_query("one")], WANT[:1])
    # By default it sends ids of OpenAI's tokenizer. tiktoken fetches its table, so
    # here are the ids that it makes of "hello world".
    try:
        request("/v1/embeddings", {"model": MODEL, "input": [[15339, 1917]]})
    except urllib.error.HTTPError as e:
        message = json.load(e)["error"]["message"]
        assert e.code == 400 and "check_embedding_ctx_length=False" in message, message
    else:
        raise AssertionError("ids of another tokenizer are answered")


def test_llama_index():
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding

    model = OpenAILikeEmbedding(model_name=MODEL, api_base=URL + "/v1", api_key="none", embed_batch_size=2)
    same(model.get_text_embedding_batch(TEXTS))
    same([model.get_query_embedding("one")], WANT[:1])


def test_litellm():
    import litellm

    answer = litellm.embedding(model="openai/" + MODEL, input=TEXTS, api_base=URL + "/v1", api_key="none")
    same([d["embedding"] for d in answer.data])
    ranked = litellm.rerank(model="jina_ai/" + MODEL, query="two", documents=TEXTS, api_base=URL + "/v1/rerank", api_key="none", top_n=2)
    assert ranked.results[0]["index"] == 1 and len(ranked.results) == 2, ranked


def test_cohere():
    import cohere

    for client in cohere.Client("none", base_url=URL), cohere.ClientV2("none", base_url=URL):
        answer = client.rerank(model=MODEL, query="two", documents=TEXTS, top_n=2)
        assert answer.results[0].index == 1 and len(answer.results) == 2, answer


def test_huggingface():
    from huggingface_hub import InferenceClient

    client = InferenceClient(model=URL)
    same([list(map(float, v)) for v in client.feature_extraction(TEXTS)], unit=True)
    cosines = client.sentence_similarity("one", other_sentences=["one", "two words"])
    assert abs(cosines[0] - 1) < 1e-6 and cosines[1] < 1, cosines


def test_ollama():
    import ollama

    client = ollama.Client(host=URL)
    same([list(v) for v in client.embed(model=MODEL, input=TEXTS).embeddings], unit=True)
    same([list(client.embeddings(model=MODEL, prompt="one").embedding)], WANT[:1], unit=False)
    assert any(m.model.startswith(MODEL) for m in client.list().models)
    assert client.show(MODEL).capabilities == ["embedding"]
    try:
        client.embed(model="other", input="x")
    except ollama.ResponseError as e:
        assert e.status_code == 404, e
    else:
        raise AssertionError("another model is answered")


if __name__ == "__main__":
    failed = 0
    for name, test in [x for x in globals().items() if x[0].startswith("test_")]:
        try:
            test()
            print("ok  ", name[5:])
        except Exception as e:  # the others are tried all the same
            failed += 1
            print("FAIL", name[5:], type(e).__name__, e)
    sys.exit(failed > 0)
