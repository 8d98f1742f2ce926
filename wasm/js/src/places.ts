/** Places in a text: in UTF-16 code units, as JavaScript counts, and in bytes of UTF-8, as the module does. */

/** A place that moves through a text; near places are found quickly. */
export class Place {
  private unit = 0;
  private byte = 0;

  constructor(private readonly text: string) {}

  /** The code unit at a byte, or the next one where that is inside of a character. */
  unitAt(byte: number): number {
    while (this.byte < byte && this.unit < this.text.length) this.byte += width(this.text, this.unit++);
    while (this.unit > 0 && this.byte - width(this.text, this.unit - 1) >= byte) this.byte -= width(this.text, --this.unit);
    return this.unit;
  }

  /** The byte at a code unit. */
  byteAt(unit: number): number {
    while (this.unit < unit) this.byte += width(this.text, this.unit++);
    while (this.unit > unit) this.byte -= width(this.text, --this.unit);
    return this.byte;
  }
}

/** Bytes of a code unit: half of a pair has two of its four; alone it is written as U+FFFD. */
function width(text: string, unit: number): number {
  const code = text.charCodeAt(unit);
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  const high = (c: number): boolean => c >= 0xd800 && c < 0xdc00;
  const low = (c: number): boolean => c >= 0xdc00 && c < 0xe000;
  const paired = (high(code) && low(text.charCodeAt(unit + 1))) || (low(code) && high(text.charCodeAt(unit - 1)));
  return paired ? 2 : 3;
}
