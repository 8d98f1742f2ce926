/** Numbers in as few bytes as they need, seven bits each (unsigned varints), and texts, one after the other. */

const decoder = new TextDecoder();

export class Reader {
  private at = 0;
  constructor(private readonly data: Uint8Array) {}

  get more(): boolean {
    return this.at < this.data.length;
  }

  number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.data[this.at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  bytes(length: number): Uint8Array {
    return this.data.subarray(this.at, (this.at += length));
  }

  text(length: number): string {
    return decoder.decode(this.bytes(length));
  }
}

export class Writer {
  readonly bytes: number[] = [];

  number(value: number): void {
    for (; value >= 128; value = Math.floor(value / 128)) this.bytes.push((value % 128) + 128);
    this.bytes.push(value);
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.number(bytes.length);
    for (const byte of bytes) this.bytes.push(byte);
  }
}
