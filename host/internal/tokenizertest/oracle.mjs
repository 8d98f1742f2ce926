// Answers requests with the reference tokenizer library: one JSON object a line
// on standard input, one a line on standard output.
//
//   {"load": "<text of a tokenizer.json>"}            → {}
//   {"encode": ["text", …], "special": true}          → {"ids": [[…], …], "offsets": [[start, end, start, …], …]}
//   {"decode": [[id, …], …], "skip": true}            → {"texts": ["…", …]}
//   {"time": ["text", …], "rounds": 3}                → {"seconds": [one a round]}
//
// Offsets count characters (Unicode scalar values) of the text.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const { Tokenizer } = createRequire(import.meta.url)("tokenizers");
let tokenizer;

async function answer(request) {
  if (request.load !== undefined) {
    tokenizer = Tokenizer.fromString(request.load);
    return {};
  }
  if (request.encode) {
    const encodings = await tokenizer.encodeBatch(request.encode, { addSpecialTokens: request.special });
    return { ids: encodings.map((e) => e.getIds()), offsets: encodings.map((e) => e.getOffsets().flat()) };
  }
  if (request.decode) return { texts: await tokenizer.decodeBatch(request.decode, request.skip) };
  if (request.time) {
    const seconds = [];
    for (let round = 0; round < request.rounds; round++) {
      const start = process.hrtime.bigint();
      for (const text of request.time) (await tokenizer.encode(text)).getLength();
      seconds.push(Number(process.hrtime.bigint() - start) / 1e9);
    }
    return { seconds };
  }
  throw new Error("unknown request");
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  let reply;
  try {
    reply = await answer(JSON.parse(line));
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(reply) + "\n");
}
