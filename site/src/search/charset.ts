/** Turns bytes into text: which encoding they are in, and what cannot be text. */

export interface Decoded {
  text: string;
  /** How the bytes were read, in words, unless as plain UTF-8. */
  readAs?: string;
}

/** Encodings that are tried beside chardet's. */
const OTHERS = ['windows-1250', 'koi8-u', 'ibm866', 'macintosh', 'x-mac-cyrillic', 'cp850'];
/** The upper half of DOS's code page 850, which no browser knows. */
const CP850 = 'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0';
const NAMES: Record<string, string> = { cp850: 'DOS 850', 'utf-32le': 'UTF-32', 'utf-32be': 'UTF-32', 'utf-16le': 'UTF-16', 'utf-16be': 'UTF-16', 'iso-8859-1': 'Windows-1252', 'iso-8859-9': 'Windows-1254', 'windows-1252': 'Windows-1252', shift_jis: 'Shift-JIS', gb18030: 'GB18030', ibm866: 'IBM 866', macintosh: 'Mac Roman', 'x-mac-cyrillic': 'Mac Cyrillic' };
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
  const label = wide(bytes) ?? byMark(bytes) ?? withoutMark(bytes) ?? (valid('utf-8', bytes) && !escapes(bytes) ? 'utf-8' : await guess(bytes, declared));
  const raw = decodeAs(label, bytes);
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

/** Decodes also what browsers do not. */
function decodeAs(label: string, bytes: Uint8Array): string {
  if (label === 'cp850') {
    const parts: string[] = [];
    for (let at = 0; at < bytes.length; at += 4096) parts.push(Array.from(bytes.subarray(at, at + 4096), (byte) => (byte < 128 ? String.fromCharCode(byte) : CP850[byte - 128]!)).join(''));
    return parts.join('');
  }
  if (!label.startsWith('utf-32')) return new TextDecoder(label).decode(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: string[] = [];
  for (let at = 0; at + 3 < bytes.length; at += 4) {
    const point = view.getUint32(at, label === 'utf-32le');
    if (at > 0 || point !== 0xfeff) parts.push(point > 0x10ffff || (point >= 0xd800 && point < 0xe000) ? '\ufffd' : String.fromCodePoint(point));
  }
  return parts.join('');
}

/** UTF-32, with a mark or without: of each four bytes one is zero and the next to it nearly. */
function wide(bytes: Uint8Array): string | undefined {
  if (bytes.length < 8 || bytes.length % 4 !== 0) return undefined;
  const end = Math.min(bytes.length, SAMPLE);
  const all = (zero: number, small: number): boolean => {
    for (let at = 0; at < end; at += 4) if (bytes[at + zero] !== 0 || bytes[at + small]! > 0x10) return false;
    return true;
  };
  return all(3, 2) ? 'utf-32le' : all(0, 1) ? 'utf-32be' : undefined;
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
  const named = analyse(sample).map(({ name }) => name.toLowerCase());
  if (named[0]?.startsWith('iso-2022') && known(named[0])) return new TextDecoder(named[0]).encoding;
  // Where Latin letters read as well in several, Windows-1252 it is.
  const found = [...new Set(['windows-1252', ...named, ...OTHERS])].filter((name) => (name === 'cp850' || known(name)) && !/^utf|^ascii/.test(name));
  let best = 'windows-1252';
  let least = Infinity;
  for (const name of found) {
    const badness = oddness(decodeAs(name, sample));
    if (badness < least - 0.015) [best, least] = [name === 'cp850' ? name : new TextDecoder(name).encoding, badness];
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

const ODD = /[\u0080-\u009f\ufffd\u2500-\u259f\ue000-\uf8ff]|(?<=\p{L})[^\p{L}\p{M}\p{N}\p{P}\s\0-\x7f]|(?<=\p{L})[‰†‡•](?=\p{L})|(?<=\p{Ll})(?![A-Z])\p{Lu}|[\uff61-\uff9f](?=\p{Script=Han})|(?<=\p{Script=Latin})[\p{Script=Greek}\p{Script=Cyrillic}]|[ΰΐϋϊ]|[†‡‰](?=\p{L})|(?<=[a-z])\p{Script=Han}|\p{Script=Han}(?=[a-z])/gu;

/** The letters beyond ASCII of languages that are written in Latin ones. */
const ALPHABETS = ['àâæçèéêëîïôœùûüÿ', 'äöüß', 'áéíñóúü', 'áâãàçéêíóôõúü', 'àèéìíîòóùú', 'åäöéæø', 'áðéíóúýþæö', 'ąćęłńóśźż', 'áčďéěíňóřšťúůýž', 'áäčďéíĺľňóôŕšťúýž', 'áéíóöőúüű', 'ăâîșțşţ', 'čćđšž', 'çğıöşüâî', 'äõöüšž', 'āčēģīķļņšūž', 'ąčęėįšųūž'].map((letters) => new Set(letters));
/** Signs that stand in texts of any language. */
const SIGNS = /[’‘“”„«»‹›–—…•€£°§©®™¿¡·½¼¾×ºª\u00a0\u00ad]/u;

/** The share of the characters beyond ASCII that stand where no text has them. */
function oddness(text: string): number {
  const foreign = text.match(/[^\0-\x7f]/g) ?? [];
  if (foreign.length === 0) return 0;
  const odd = text.match(ODD)?.length ?? 0;
  const latin = foreign.filter((one) => /\p{Script=Latin}/u.test(one)).length;
  if (latin * 2 < foreign.filter((one) => /\p{L}/u.test(one)).length) return odd / foreign.length;
  // Latin letters: how many do not belong to one language, whichever fits best.
  const counts = new Map<string, number>();
  let others = 0;
  for (const one of foreign) {
    if (/\p{L}/u.test(one)) counts.set(one.toLowerCase(), (counts.get(one.toLowerCase()) ?? 0) + 1);
    else if (!SIGNS.test(one)) others++;
  }
  const strange = ALPHABETS.map((alphabet) => [...counts].reduce((sum, [letter, times]) => sum + (alphabet.has(letter) ? 0 : times), 0));
  return Math.min(1, (Math.min(...strange) + others + odd) / foreign.length);
}

/** The encoding that a page or a part of XML names in its first bytes. */
export function declaredCharset(bytes: Uint8Array): string | undefined {
  return /(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)/i.exec(new TextDecoder('latin1').decode(bytes.subarray(0, 1024)))?.[1];
}
