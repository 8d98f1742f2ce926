/** What a visitor's model consists of: which dropped file is what, and what may be missing. */

import { store } from './storage.js';

/** The files of a model that is about to be loaded. */
export interface Candidate {
  name: string;
  /** The weights: a file, or addresses of which the first that exists is fetched. */
  weights: File | string[];
  config: string | undefined;
  tokenizer: Uint8Array | undefined;
  /** The folder of a broken download that is to be gone on with. */
  id?: string;
}

/** Configurations of the published 80M retrieval models, for weights without a config.json. */
export const PUBLISHED = [2048, 8192, 32768] as const;

export function publishedConfig(length: number): string {
  return JSON.stringify({
    model_type: 'm2_bert',
    vocab_size: 30528,
    hidden_size: 768,
    num_hidden_layers: 12,
    intermediate_size: 3072,
    max_position_embeddings: length,
    long_conv_l_max: length,
    type_vocab_size: 2,
    layer_norm_eps: 1e-12,
    hyena_emb_dim: 5,
    hyena_filter_order: 128,
    hyena_w: 10,
    hyena_w_mod: 1,
    monarch_mlp_nblocks: 4,
    bidirectional: true,
    residual_long_conv: true,
    use_positional_encodings: true,
    hyena_training_additions: false,
    use_glu_mlp: true,
    use_monarch_mlp: true,
    monarch_mixer_sequence_mixing: true,
    pool_all: false,
    padding: 'max_length',
  });
}

/** Guesses the trained length from names like m2-bert-80M-32k-retrieval. */
export function guessLength(name: string): number {
  const found = /(?:^|[^0-9])(2|8|32)k(?:[^a-z0-9]|$)/i.exec(name)?.[1];
  return found === undefined ? 2048 : 1024 * Number(found);
}

const WEIGHTS = /\.(safetensors|bin|pt|pth|ckpt)$/i;

/** Sorts dropped files by what they are. */
export async function readFiles(files: readonly File[]): Promise<Candidate> {
  const weights = files.filter((file) => WEIGHTS.test(file.name)).sort((a, b) => b.size - a.size)[0];
  if (!weights) throw new Error('There are no weights among these files. Choose a .safetensors, .bin or .pt file, and config.json and tokenizer.json with it if you have them.');
  const config = files.find((file) => /config.*\.json$/i.test(file.name) && !/tokenizer/i.test(file.name));
  const tokenizer = files.find((file) => /tokenizer\.json$/i.test(file.name)) ?? files.find((file) => /vocab\.txt$/i.test(file.name));
  return {
    name: weights.name.replace(WEIGHTS, ''),
    weights,
    config: await config?.text(),
    tokenizer: tokenizer && new Uint8Array(await tokenizer.arrayBuffer()),
  };
}

/**
 * Finds a model's files at an address: a folder, a weights file, or the page
 * of a repository on a hub.
 */
export async function readAddress(text: string, signal: AbortSignal): Promise<Candidate> {
  let url: URL;
  try {
    url = new URL(text.trim(), document.baseURI);
  } catch {
    throw new Error(`“${text}” is not an address. It should begin with https:// and name a folder with config.json and model.safetensors, or a weights file.`);
  }
  if (!/^https?:$/.test(url.protocol)) throw new Error(`Addresses begin with https://, this one with ${url.protocol}//.`);
  if (/^huggingface\.co$/.test(url.hostname) && /^\/[^/]+\/[^/]+\/?$/.test(url.pathname)) url.pathname = `${url.pathname.replace(/\/$/, '')}/resolve/main/`;
  const isFile = WEIGHTS.test(url.pathname);
  if (!isFile && !url.pathname.endsWith('/')) url.pathname += '/';
  const folder = new URL('./', url);
  const small = async (name: string): Promise<Uint8Array | undefined> => {
    try {
      return await store({ task: 'read', url: new URL(name, folder).href }, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      return undefined;
    }
  };
  const config = await small('config.json');
  if (!config && !isFile) throw new Error(`There is no config.json at ${folder.href}, or the server does not let pages of other sites read it. Download the files and drop them here instead.`);
  const tokenizer = (await small('tokenizer.json')) ?? (await small('vocab.txt'));
  const parts = folder.pathname.split('/').filter((part) => part && part !== 'main' && part !== 'resolve');
  return {
    name: parts.at(-1) ?? folder.hostname,
    weights: isFile ? [url.href] : ['model.safetensors', 'pytorch_model.bin', 'model.bin'].map((name) => new URL(name, folder).href),
    config: config && new TextDecoder().decode(config),
    tokenizer,
  };
}

/** Reads what the configuration says that matters here. */
export function parseConfig(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error(`config.json is not JSON: ${(cause as Error).message}. Take the file that lies beside the weights.`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('config.json is not an object. Take the file that lies beside the weights.');
  return value as Record<string, unknown>;
}

const UNCASED_ROWS = [30522, 30528];

/**
 * The tokenizer to use. Published retrieval weights were trained with the
 * vocabulary of bert-base-uncased, but a cased one of 28,996 entries lies
 * beside them.
 */
export async function tokenizerFor(config: Record<string, unknown>, given: Uint8Array | undefined): Promise<{ bytes: Uint8Array; note: string | undefined }> {
  const uncased = UNCASED_ROWS.includes(Number(config['vocab_size']));
  if (given && !(uncased && entries(given) === 28996)) return { bytes: given, note: undefined };
  if (!uncased) throw new Error('This model needs its tokenizer.json or vocab.txt: drop it together with the weights.');
  const response = await fetch(new URL('./models/bert-base-uncased.json', document.baseURI));
  if (!response.ok) throw new Error(`The vocabulary of bert-base-uncased could not be fetched: the server answered ${response.status}. Drop tokenizer.json together with the weights.`);
  const note = given
    ? 'The tokenizer that came along is for cased text and has too few entries; the model was trained with bert-base-uncased, which is used instead.'
    : 'No tokenizer came along; bert-base-uncased is used, as the published models were trained with it.';
  return { bytes: new Uint8Array(await response.arrayBuffer()), note };
}

function entries(tokenizer: Uint8Array): number {
  const text = new TextDecoder().decode(tokenizer);
  try {
    const vocab = (JSON.parse(text) as { model?: { vocab?: object } }).model?.vocab;
    return vocab ? Object.keys(vocab).length : 0;
  } catch {
    return text.trimEnd().split('\n').length;
  }
}
