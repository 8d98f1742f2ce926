"""Stage 5c: make the test of questions about code, out of packages that were not trained on.

    python code_questions.py --packages rich=DIR werkzeug=DIR … --each 100 --out testdata/eval/code.json.gz

Of every function with a comment: the comment's first sentence is the query, the function without its comment the one
right document. Python (docstrings) and Go (comments above functions). Writes [documents {id: text}, queries {id: text},
relevance {query: {document: 1}}]; ids are PACKAGE/FILE:FUNCTION. Sentences that several functions share, that name the
function's own name alone or that are no sentence of 4 to 40 words are left out. Deterministic.
"""

import argparse
import ast
import glob
import gzip
import hashlib
import json
import os
import re
import warnings

GO_FUNCTION = re.compile(r"((?:^//.*\n)+)^(func (?:\([^)]*\) )?(\w+)[^\n]*\{\n(?:.*\n)*?\}\n)", re.M)
END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
LONGEST = 6000  # characters of a function


def first_sentence(text, name):
    """The first sentence of a comment, without the name of the function before it; None if there is none fit to ask for."""
    text = " ".join(text.split("\n\n")[0].split())
    sentence = END.split(text)[0].strip()
    if sentence.startswith(name + " "):
        sentence = sentence[len(name) + 1 :]
    if not 4 <= len(sentence.split()) <= 40 or re.search(r"[{}<>|]|:param|https?:|Deprecated|^TODO|`{2}", sentence):
        return None
    return sentence


def python_functions(text):
    """(name, comment, function without comment)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        tree = ast.parse(text)
    lines = text.split("\n")
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or len(node.body) < 2:
            continue
        comment = ast.get_docstring(node)
        if not comment or node.name.startswith("__"):
            continue
        head = lines[node.lineno - 1 : node.body[0].lineno - 1]
        body = lines[node.body[0].end_lineno : node.end_lineno]
        kept = [x for x in head + body if x.strip()]
        margin = min(len(x) - len(x.lstrip()) for x in kept)
        yield node.name, comment, "\n".join(x[margin:] for x in kept)


def go_functions(text):
    for comment, function, name in GO_FUNCTION.findall(text):
        yield name, re.sub(r"^// ?", "", comment, flags=re.M), function.rstrip("\n")


def functions(package, folder):
    """(id, sentence, function) of every fit function of a package."""
    for path in sorted(glob.glob(os.path.join(folder, "**", "*"), recursive=True)):
        kind = {".py": python_functions, ".go": go_functions}.get(os.path.splitext(path)[1])
        if not kind or re.search(r"_test\.go$|/tests?/|/testing/|generated", path):
            continue
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for name, comment, function in kind(text):
            sentence = first_sentence(comment, name)
            if sentence and 3 <= function.count("\n") and len(function) <= LONGEST:
                yield f"{package}/{os.path.relpath(path, folder)}:{name}", sentence, function


def chosen(found, each):
    """Up to `each` of them, by a hash, none with a sentence or a body that another has."""
    count = {}
    for _, sentence, function in found:
        for part in (sentence.lower(), function):
            count[part] = count.get(part, 0) + 1
    alone = {k: (s, f) for k, s, f in found if count[s.lower()] == 1 and count[f] == 1}
    order = sorted(alone, key=lambda k: hashlib.sha256(k.encode()).hexdigest())
    return {k: alone[k] for k in sorted(order[:each])}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--packages", nargs="+", required=True, help="NAME=FOLDER")
    parser.add_argument("--each", type=int, default=100)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    documents, queries = {}, {}
    for part in args.packages:
        name, _, folder = part.partition("=")
        found = chosen(list(functions(name, folder)), args.each)
        print(f"{name}: {len(found)} functions")
        for key, (sentence, function) in found.items():
            documents[key], queries[key] = function, sentence
    out = [documents, queries, {k: {k: 1} for k in queries}]
    with open(args.out, "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
        z.write(json.dumps(out, ensure_ascii=False, separators=(",", ":")).encode())
    print(os.path.getsize(args.out), "bytes,", len(queries), "queries")


if __name__ == "__main__":
    main()
