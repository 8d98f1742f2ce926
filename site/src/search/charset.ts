/** Turns bytes into text: which encoding they are in, and what cannot be text. */

export interface Decoded {
  text: string;
  /** How the bytes were read, in words, unless as plain UTF-8. */
  readAs?: string;
}

/** Encodings that chardet does not know, tried where its answer reads badly. */
const OTHERS = ['koi8-u', 'ibm866', 'macintosh', 'x-mac-cyrillic'];
const NAMES: Record<string, string> = { 'utf-16le': 'UTF-16', 'utf-16be': 'UTF-16', 'iso-8859-1': 'Windows-1252', 'iso-8859-9': 'Windows-1254', 'windows-1252': 'Windows-1252', shift_jis: 'Shift-JIS', gb18030: 'GB18030', ibm866: 'IBM 866', macintosh: 'Mac Roman', 'x-mac-cyrillic': 'Mac Cyrillic' };
/** Bytes that are looked at to recognise an encoding. */
const SAMPLE = 1 << 18;
/** The share of characters that may be controls in a text. */
const CONTROLS = 0.005;

const called = (label: string): string => NAMES[label] ?? label.replace(/^windows/, 'Windows').replace(/^(iso|koi8-.|euc-..|big5)/, (name) => name.toUpperCase());

/**
 * Decodes a text file. `declared` is the encoding that the file itself names.
 * @throws Error with a sentence for the visitor where the bytes are no text
 */
export async function decode(bytes: Uint8Array, name: string, declared?: string): Promise<Decoded> {
  const label = byMark(bytes) ?? withoutMark(bytes) ?? (valid('utf-8', bytes) && !escapes(bytes) ? 'utf-8' : await guess(bytes, declared));
  const raw = new TextDecoder(label).decode(bytes);
  // A few stray control characters are left out; many mean that this is no text.
  let controls = 0;
  const text = raw.replace(/[\0-\x08\x0e-\x1a\x1c-\x1f]/g, () => (controls++, ''));
  if (controls > Math.max(16, CONTROLS * raw.length) || (controls > 0 && controls * 4 > raw.length)) throw new Error(`${name} is not a text file. Drop text, HTML, PDF, Office, EPUB, e-mail, subtitle, table or zip files.`);
  const said = [label !== 'utf-8' && called(label), controls > 0 && `without ${controls} control character${controls > 1 ? 's' : ''}`].filter(Boolean).join(' ');
  return { text, ...(said !== '' && { readAs: said.startsWith('without') ? `UTF-8 ${said}` : said }) };
}

function valid(label: string, bytes: Uint8Array): boolean {
  try {
    new TextDecoder(label, { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** The encoding of a byte order mark. */
function byMark(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  return undefined;
}

/** ISO-2022 is made of ASCII bytes and switches by escapes. */
function escapes(bytes: Uint8Array): boolean {
  for (let i = 0; i + 1 < Math.min(bytes.length, SAMPLE); i++) if (bytes[i] === 0x1b && (bytes[i + 1] === 0x24 || bytes[i + 1] === 0x28)) return true;
  return false;
}

/**
 * UTF-16 without a mark: spaces, line ends and Latin letters have a zero byte
 * on one side, Chinese and Japanese stops have their block's byte there.
 */
function withoutMark(bytes: Uint8Array): string | undefined {
  const pairs = Math.min(bytes.length, SAMPLE) >> 1;
  if (pairs < 2 || bytes.length % 2 !== 0) return undefined;
  const signs = [0, 0];
  for (let i = 0; i < 2 * pairs; i += 2) {
    const [a, b] = [bytes[i]!, bytes[i + 1]!];
    if (likely(a, b)) signs[0]!++;
    if (likely(b, a)) signs[1]!++;
  }
  const [little, big] = signs as [number, number];
  const label = little > big ? 'utf-16le' : 'utf-16be';
  return Math.max(little, big) > 0.04 * pairs && Math.max(little, big) > 8 * Math.min(little, big) && valid(label, bytes) && (bytes.includes(0) || !valid('utf-8', bytes)) ? label : undefined;
}

const likely = (low: number, high: number): boolean => (high === 0 && (low === 0x0a || low === 0x0d || low === 0x09 || (low >= 0x20 && low < 0x7f))) || (high === 0x30 && (low === 0x01 || low === 0x02)) || (high === 0xff && low === 0x0c);

/** The likeliest encoding of bytes that are not UTF-8. */
async function guess(bytes: Uint8Array, declared?: string): Promise<string> {
  if (declared !== undefined && known(declared) && valid(declared, bytes) && !/^utf/i.test(declared)) return new TextDecoder(declared).encoding;
  const { analyse } = (await import('chardet')).default;
  const sample = bytes.length > SAMPLE ? around(bytes) : bytes;
  const found = [...analyse(sample).map(({ name }) => name), ...OTHERS].filter((name) => known(name) && !/^utf|^ascii/i.test(name));
  let best = 'windows-1252';
  let least = Infinity;
  // The first that reads well; chardet's own first unless another reads far better.
  for (const name of found) {
    const badness = oddness(new TextDecoder(name).decode(sample));
    if (badness < least - 0.04) [best, least] = [new TextDecoder(name).encoding, badness];
    if (least < 0.04) break;
  }
  return best;
}

/** The part of long bytes where they first leave ASCII. */
function around(bytes: Uint8Array): Uint8Array {
  const at = bytes.findIndex((byte) => byte > 0x7f);
  const from = Math.max(0, Math.min(at - 64, bytes.length - SAMPLE));
  return bytes.subarray(from, from + SAMPLE);
}

function known(label: string): boolean {
  try {
    new TextDecoder(label);
    return true;
  } catch {
    return false;
  }
}

const ODD = /[\u0080-\u009f\ufffd\u2500-\u259f\ue000-\uf8ff]|(?<=\p{L})[^\p{L}\p{M}\p{N}\p{P}\s\0-\x7f]|(?<=\p{L})[‰†‡•](?=\p{L})|(?<=\p{Ll})(?![A-Z])\p{Lu}|[\uff61-\uff9f](?=\p{Script=Han})|(?<=\p{Script=Latin})[\p{Script=Greek}\p{Script=Cyrillic}]/gu;

/** The share of the characters beyond ASCII that stand where no text has them. */
function oddness(text: string): number {
  const foreign = text.match(/[^\0-\x7f]/g)?.length ?? 0;
  return foreign === 0 ? 0 : (text.match(ODD)?.length ?? 0) / foreign;
}
