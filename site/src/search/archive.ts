/** Zip archives, with bounds: nothing is unpacked that a header merely claims. */

import { unzipSync, type UnzipFileInfo } from 'fflate';

/** Bytes of one file, and of all files together. */
const MOST = 64e6;
const MOST_TOGETHER = 256e6;
const MOST_FILES = 5000;
/** Deflate packs no tighter than 1:1032. */
const TIGHTEST = 1032;

/**
 * Unpacks the files that `wanted` names.
 * @throws Error with a sentence for the visitor
 */
export function unpack(bytes: Uint8Array, name: string, wanted: (path: string) => boolean): Map<string, Uint8Array> {
  // Bit 0 of the first entry's flags says that it is encrypted.
  if ((bytes[6] ?? 0) & 1) throw new Error(`${name} is locked with a password. Save it without one and drop it again.`);
  let sum = 0;
  let files = 0;
  const filter = ({ name: path, size, originalSize }: UnzipFileInfo): boolean => {
    if (path.endsWith('/') || !wanted(path)) return false;
    if (originalSize > MOST || originalSize > TIGHTEST * size + 64) throw new Error(`${name} holds a file that is larger than ${MOST / 1e6} MB, or claims to be (${path.slice(0, 80)}).`);
    sum += originalSize;
    if (sum > MOST_TOGETHER || ++files > MOST_FILES) throw new Error(`${name} holds more than ${MOST_FILES.toLocaleString('en')} files or ${MOST_TOGETHER / 1e6} MB. Split it.`);
    return true;
  };
  try {
    return new Map(Object.entries(unzipSync(bytes, { filter })));
  } catch (cause) {
    const { message } = cause as Error;
    if (message.startsWith(name)) throw cause;
    throw new Error(`${name} is damaged: it could not be unpacked (${message}).`, { cause });
  }
}
