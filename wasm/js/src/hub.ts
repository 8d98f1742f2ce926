/**
 * Models from a hub of the Hugging Face kind:
 *
 * ```js
 * const model = await M2Embed.load('togethercomputer/m2-bert-80M-2k-retrieval');
 * const files = await hubFiles('togethercomputer/m2-bert-80M-2k-retrieval'); // or in two steps
 * ```
 *
 * Small files are fetched at once; the weights stream into memory when the model
 * loads, checked against the sum that the hub tells. All are kept: in a page's
 * cache, or on disk. Where the hub cannot be reached, what is kept is used.
 */

import { onDisk, openStore } from './cache.js';
import { body, checkStatus, discard, request } from './download.js';
import { isPage, read } from './stream.js';
import { readAll } from './source.js';
import { M2EmbedError, type Integrity, type ModelFiles, type Source } from './types.js';

export interface HubOptions {
  /** Branch, tag or commit; default `main`. */
  revision?: string;
  /** Address of the hub; default `https://huggingface.co`. */
  hub?: string | URL;
  /** For repositories that are not public. It is sent to the hub alone, by https or to this machine. */
  token?: string;
  /** Where the tokenizer of bert-base-uncased comes from; default `google-bert/bert-base-uncased` of the same hub. */
  tokenizer?: Source;
  /** Hears what the user should know, in one sentence. */
  onWarning?: (message: string) => void;
  /** Where files are kept; default the page's Cache API or the folder of M2EMBED_CACHE (else `~/.cache/m2embed`), `false` nowhere. */
  cache?: boolean | string;
  signal?: AbortSignal;
  fetch?: typeof globalThis.fetch;
}

/** The files of a model, and the sums that M2Embed.load checks them by. */
export interface HubFiles extends ModelFiles {
  sha256: Integrity;
  cache?: boolean | string;
}

interface Listed {
  path: string;
  lfs?: { oid?: string };
}

/** Where sentence-transformers keeps a model's prompts. */
const PROMPTS = 'config_sentence_transformers.json';

const WEIGHTS = ['model.safetensors', 'pytorch_model.bin', 'model.bin'];

/** The files of a repository, for M2Embed.load. A config without padding gets `max_length`. */
export async function hubFiles(repo: string, options: HubOptions = {}): Promise<HubFiles> {
  if (!/^\w[\w.-]*(\/\w[\w.-]*)?$/.test(repo) || repo.includes('..')) throw new M2EmbedError('bad_argument', `${JSON.stringify(repo)}: want a repository as owner/model`);
  const hub = checkHub(options);
  const revision = encodeURIComponent(options.revision ?? 'main');
  const at = (repo: string, name: string, revision: string): Request =>
    new Request(`${hub}/${repo}/resolve/${revision}/${name}`, { headers: options.token === undefined ? {} : { Authorization: `Bearer ${options.token}` } });
  const cache = options.cache ?? (onDisk ? true : undefined);
  const all = async (answer: Response): Promise<Uint8Array> => readAll({ total: 0, hint: 0, ...read(body(answer), options.signal) });
  const get = async <T>(source: Request, what: string, parse: (bytes: Uint8Array) => T): Promise<T> => {
    const store = await openStore(cache, source.url);
    const kept = await store?.match();
    const tag = onDisk ? kept?.headers.get('etag') : undefined; // a page's browser asks by itself
    let answer: Response | undefined;
    try {
      answer = await request(source, what, tag ? { headers: { 'If-None-Match': tag } } : {}, options);
    } catch (error) {
      if (!kept || options.signal?.aborted) throw error;
    }
    if (kept && (!answer || answer.status === 304 || answer.status >= 500)) {
      if (answer) discard(answer);
      try {
        return parse(await all(kept));
      } catch (error) {
        await store!.delete();
        throw error;
      }
    }
    if (kept) discard(kept);
    if (!answer!.ok) checkStatus(answer!, what, step(answer!.status, options));
    const bytes = await all(answer!);
    if (isPage(bytes)) throw new M2EmbedError('network', `fetch ${what}: the hub answered with a page of HTML; is ${hub} the address of a hub?`);
    const parsed = parse(bytes);
    const writer = store?.writer(bytes.length, answer!.headers);
    await writer?.write(bytes);
    await writer?.close();
    return parsed;
  };
  const json = <T>(source: Request, what: string): Promise<T> =>
    get(source, what, (bytes) => {
      try {
        return JSON.parse(new TextDecoder().decode(bytes)) as T;
      } catch (cause) {
        throw new M2EmbedError('network', `fetch ${what}: the answer is not JSON: ${(cause as Error).message}`, { cause });
      }
    });
  const whole = (bytes: Uint8Array): Uint8Array => bytes;

  const headers = at(repo, '', revision).headers;
  const listed = await json<Listed[]>(new Request(`${hub}/api/models/${repo}/tree/${revision}`, { headers }), `the files of ${repo}`);
  if (!Array.isArray(listed)) throw new M2EmbedError('network', `the files of ${repo}: want a list of files`);
  const find = (name: string): Listed | undefined => listed.find((file) => file?.path === name);
  const name = WEIGHTS.find(find);
  if (!find('config.json')) throw new M2EmbedError('bad_config', `${repo} has no config.json`);
  if (name === undefined) throw new M2EmbedError('bad_weights', `${repo} has none of ${WEIGHTS.join(', ')}`);
  const sum = find(name)!.lfs?.oid;

  const config = await json<Record<string, unknown>>(at(repo, 'config.json', revision), `config.json of ${repo}`);
  if (typeof config !== 'object' || config === null || Array.isArray(config)) throw new M2EmbedError('bad_config', `config.json of ${repo}: want an object`);
  config['padding'] ??= 'max_length';
  if (find(PROMPTS) && config['prompts'] == null) {
    const others = await json<{ prompts?: unknown } | null>(at(repo, PROMPTS, revision), `${PROMPTS} of ${repo}`);
    config['prompts'] = others?.prompts ?? null;
  }
  let tokenizer: Source | undefined;
  if (find('tokenizer.json')) {
    const bytes = await get(at(repo, 'tokenizer.json', revision), `tokenizer.json of ${repo}`, whole);
    const why = unfit(bytes, Number(config['vocab_size'] ?? 30528));
    if (why === undefined) tokenizer = bytes;
    else options.onWarning?.(`the tokenizer.json of ${repo} does not fit its weights: ${why}; the tokenizer of bert-base-uncased is used instead`);
  }
  // The token is for this repository, and not sent for another.
  tokenizer ??= options.tokenizer ?? (await get(new Request(`${hub}/google-bert/bert-base-uncased/resolve/main/tokenizer.json`), 'the tokenizer of bert-base-uncased', whole));
  return {
    config: new TextEncoder().encode(JSON.stringify(config)),
    tokenizer,
    weights: at(repo, name, revision),
    sha256: typeof sum === 'string' && /^[0-9a-f]{64}$/i.test(sum) ? { weights: sum } : {},
    ...(cache !== undefined && { cache }),
  };
}

/** The hub's address without a slash at its end. */
function checkHub({ hub = 'https://huggingface.co', token }: HubOptions): string {
  let url: URL;
  try {
    url = new URL(hub);
  } catch (cause) {
    throw new M2EmbedError('bad_argument', `hub ${JSON.stringify(String(hub))}: want an address of http or https`, { cause });
  }
  if (!/^https?:$/.test(url.protocol)) throw new M2EmbedError('bad_argument', `hub ${url.href}: want an address of http or https`);
  const here = /^(localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname);
  if (token !== undefined && url.protocol !== 'https:' && !here) throw new M2EmbedError('bad_argument', `hub ${url.href}: a token is sent by https only`);
  return url.href.replace(/\/+$/, '');
}

/** The next step after an answer without a file. */
function step(status: number, { token }: HubOptions): string | undefined {
  if (status === 401 || status === 403) return token === undefined ? 'pass a { token } that may read the repository' : 'the token may not read the repository, or its terms are not accepted yet';
  if (status === 404) return 'check the name and the revision; private repositories need a { token }; the address of a folder begins with ./ or / or ends with /';
  if (status === 429) return 'too many requests: wait, or pass a { token }';
  return undefined;
}

/** Why a tokenizer cannot be the uncased one that the weights were trained with. */
function unfit(bytes: Uint8Array, rows: number): string | undefined {
  try {
    const { normalizer, model } = JSON.parse(new TextDecoder().decode(bytes)) as { normalizer?: { lowercase?: boolean; type?: string; normalizers?: { type?: string; lowercase?: boolean }[] }; model?: { vocab?: object } };
    const all = normalizer ? [normalizer, ...(normalizer.normalizers ?? [])] : [];
    if (!all.some((n) => n.lowercase === true || n.type === 'Lowercase')) return 'it keeps upper case';
    const tokens = Object.keys(model?.vocab ?? {}).length;
    return tokens > rows ? `it has ${tokens} tokens, the weights ${rows}` : undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
