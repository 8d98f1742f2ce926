// Puts the kernel module into the Go module: merge.mjs GO.WASM KERNELS.WASM OUT.WASM
// [ship]. A module to be shipped loses what only tracebacks print.
//
// The Go linker imports the kernels behind all other functions. A function
// defined first has the index that the last import had, so each kernel import
// is dropped and its body put at that place, and not one instruction of the Go
// code changes. (binaryen's wasm-merge gives the same module, but encodes the
// Go code anew: 100 KB more after gzip.) Kernels that others call are appended.
//
// The Go linker also cuts data at every eight zeros, into 40,000 segments;
// joined, they compress to 100 KB less.

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { dropTracebacks } from './tracebacks.mjs';

const SECTION = { type: 1, import: 2, function: 3, export: 7, code: 10, data: 11 };

class Reader {
  constructor(bytes, at = 0, end = bytes.length) {
    Object.assign(this, { bytes, at, end });
  }
  byte() {
    return this.bytes[this.at++];
  }
  /** Unsigned LEB128. */
  u32() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const b = this.byte();
      value += (b & 127) * 2 ** shift;
      if (b < 128) return value;
    }
  }
  /** Signed LEB128 of 32 bits. */
  s32() {
    let value = 0;
    for (let shift = 0; ; ) {
      const b = this.byte();
      value |= (b & 127) << shift;
      shift += 7;
      if (b < 128) return shift < 32 && b & 64 ? value | (-1 << shift) : value;
    }
  }
  take(n) {
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }
  name() {
    return new TextDecoder().decode(this.take(this.u32()));
  }
  list(read) {
    return Array.from({ length: this.u32() }, () => read());
  }
}

function u32(n) {
  const out = [];
  do {
    const more = n >= 128;
    out.push((n % 128) + (more ? 128 : 0));
    n = Math.floor(n / 128);
  } while (n > 0);
  return Buffer.from(out);
}

function s32(n) {
  const out = [];
  for (;;) {
    const b = n & 127;
    n >>= 7;
    if ((n === 0 && !(b & 64)) || (n === -1 && b & 64)) return Buffer.from([...out, b]);
    out.push(b | 128);
  }
}

const list = (items) => Buffer.concat([u32(items.length), ...items]);

function sections(bytes) {
  const found = new Map();
  const order = [];
  const r = new Reader(bytes, 8);
  while (r.at < r.end) {
    const id = r.byte();
    const body = r.take(r.u32());
    order.push({ id, body });
    if (id !== 0) found.set(id, body);
  }
  return { order, reader: (id) => new Reader(found.get(id) ?? Uint8Array.of(0)) };
}

function readTypes(reader) {
  return reader.list(() => {
    const start = reader.at;
    if (reader.byte() !== 0x60) throw new Error('a type that is no function');
    reader.take(reader.u32());
    reader.take(reader.u32());
    return Buffer.from(reader.bytes.subarray(start, reader.at));
  });
}

function readImports(reader) {
  return reader.list(() => {
    const start = reader.at;
    const module = reader.name();
    const name = reader.name();
    const kind = reader.byte();
    if (kind === 0) return { module, name, kind, type: reader.u32(), bytes: reader.bytes.subarray(start, reader.at) };
    if (kind === 2) {
      const flags = reader.byte();
      reader.u32();
      if (flags & 1) reader.u32();
    } else throw new Error(`import ${module}.${name}: neither a function nor a memory`);
    return { module, name, kind, bytes: reader.bytes.subarray(start, reader.at) };
  });
}

/** A kernel's body with its calls renumbered. */
function renumber(body, index) {
  const r = new Reader(body);
  for (let groups = r.u32(); groups > 0; groups--) {
    r.u32();
    r.byte();
  }
  const out = [];
  let copied = 0;
  while (r.at < r.end) {
    const op = r.byte();
    if (op === 0x10) {
      out.push(body.subarray(copied, r.at), u32(index[r.u32()]));
      copied = r.at;
    } else skipImmediates(r, op);
  }
  out.push(body.subarray(copied));
  const whole = Buffer.concat(out);
  return Buffer.concat([u32(whole.length), whole]);
}

/** Passes over what follows an opcode (WebAssembly core specification, 5.4). */
function skipImmediates(r, op) {
  const memory = () => (r.u32(), r.u32());
  if (op >= 0x02 && op <= 0x04) {
    if (r.byte() < 0x40) throw new Error('a block with a type of its own');
  } else if (op === 0x0c || op === 0x0d || (op >= 0x20 && op <= 0x22)) r.u32();
  else if (op === 0x0e) {
    r.list(() => r.u32());
    r.u32();
  } else if (op >= 0x28 && op <= 0x3e) memory();
  else if (op === 0x3f || op === 0x40) r.u32();
  else if (op === 0x41 || op === 0x42) while (r.byte() >= 128);
  else if (op === 0x43) r.take(4);
  else if (op === 0x44) r.take(8);
  else if (op === 0xfc) {
    const sub = r.u32();
    if (sub === 10) memory();
    else if (sub === 11) r.u32();
    else if (sub > 7) throw new Error(`opcode 0xfc ${sub} in a kernel`);
  } else if (op === 0xfd) {
    const sub = r.u32();
    if (sub <= 11 || sub === 92 || sub === 93) memory();
    else if (sub === 12 || sub === 13) r.take(16);
    else if (sub >= 21 && sub <= 34) r.byte();
    else if (sub >= 84 && sub <= 91) {
      memory();
      r.byte();
    }
  } else if (op === 0x11 || op === 0x23 || op === 0x24 || (op > 0xc4 && op !== 0xfc) || (op > 0x04 && op < 0x0b && op !== 0x05)) {
    throw new Error(`opcode 0x${op.toString(16)} in a kernel`);
  }
}

/** Data segments cut anew, where more zeros follow each other than a segment's head costs. */
function joinData(reader, change) {
  const segments = reader.list(() => {
    if (reader.byte() !== 0 || reader.byte() !== 0x41) throw new Error('a data segment without a constant address');
    const at = reader.s32();
    reader.byte();
    return { at, bytes: reader.take(reader.u32()) };
  });
  const memory = Buffer.alloc(Math.max(...segments.map(({ at, bytes }) => at + bytes.length)));
  for (const { at, bytes } of segments) memory.set(bytes, at);
  change(memory);
  const joined = [];
  for (let at = 0; at < memory.length; at++) {
    if (memory[at] === 0) continue;
    const last = joined.at(-1);
    if (last && at - last.end <= 512) last.end = at + 1;
    else joined.push({ at, end: at + 1 });
  }
  return list(joined.map(({ at, end }) => Buffer.concat([Buffer.from([0, 0x41]), s32(at), Buffer.from([0x0b]), u32(end - at), memory.subarray(at, end)])));
}

/** change may edit the image of the Go program's memory. */
export function merge(goBytes, kernelBytes, change = () => {}) {
  const go = sections(goBytes);
  const kernels = sections(kernelBytes);
  for (const { id } of kernels.order) if (![0, 1, 2, 3, 7, 10].includes(id)) throw new Error(`the kernel module has a section ${id}: kernels must be plain functions`);

  const types = readTypes(go.reader(SECTION.type));
  const imports = readImports(go.reader(SECTION.import));
  const functions = imports.filter((i) => i.kind === 0);
  const wanted = imports.filter((i) => i.module === 'kernels');
  if (wanted.length === 0 || functions.slice(-wanted.length).some((i, k) => i !== wanted[k])) throw new Error('the kernels are not the last functions that the Go module imports');

  const kernelTypes = readTypes(kernels.reader(SECTION.type));
  const kernelImports = readImports(kernels.reader(SECTION.import));
  if (kernelImports.length !== 1 || kernelImports[0].kind !== 2) throw new Error('the kernel module must import a memory and nothing else');
  const fr = kernels.reader(SECTION.function);
  const kernelFunctions = fr.list(() => fr.u32());
  const er = kernels.reader(SECTION.export);
  const exported = new Map(er.list(() => [er.name(), (er.byte(), er.u32())]));
  const cr = kernels.reader(SECTION.code);
  const bodies = cr.list(() => cr.take(cr.u32()));

  const gr = go.reader(SECTION.function);
  const goFunctions = gr.list(() => gr.u32());
  const first = functions.length - wanted.length;

  // Kernels that Go imports take the imports' numbers, the rest follow behind all.
  const index = new Array(bodies.length);
  wanted.forEach(({ name }, k) => {
    const at = exported.get(name);
    if (at === undefined) throw new Error(`no kernel is called ${name}`);
    index[at] = first + k;
  });
  const order = wanted.map(({ name }) => exported.get(name));
  const rest = bodies.map((_, i) => i).filter((i) => index[i] === undefined);
  rest.forEach((i, k) => (index[i] = functions.length + goFunctions.length + k));
  order.forEach((i, k) => {
    if (!types[wanted[k].type].equals(kernelTypes[kernelFunctions[i]])) throw new Error(`kernel ${wanted[k].name} has other parameters than Go declares`);
  });
  const typeOf = (i) => {
    const found = types.findIndex((t) => t.equals(kernelTypes[kernelFunctions[i]]));
    return found >= 0 ? found : types.push(kernelTypes[kernelFunctions[i]]) - 1;
  };
  const newFunctions = [...order.map(typeOf), ...goFunctions, ...rest.map(typeOf)];

  const cg = go.reader(SECTION.code);
  const count = cg.u32();
  const body = (i) => renumber(bodies[i], index);
  const code = Buffer.concat([u32(count + bodies.length), ...order.map(body), cg.bytes.subarray(cg.at), ...rest.map(body)]);

  const changed = new Map([
    [SECTION.type, list(types)],
    [SECTION.import, list(imports.filter((i) => i.module !== 'kernels').map((i) => i.bytes))],
    [SECTION.function, list(newFunctions.map(u32))],
    [SECTION.code, code],
    [SECTION.data, joinData(go.reader(SECTION.data), change)],
  ]);
  const parts = [goBytes.subarray(0, 8)];
  for (const { id, body: old } of go.order) {
    const content = changed.get(id) ?? old;
    parts.push(Buffer.from([id]), u32(content.length), content);
  }
  return Buffer.concat(parts);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [goFile, kernelFile, out, ship] = process.argv.slice(2);
  const merged = merge(readFileSync(goFile), readFileSync(kernelFile), ship === 'ship' ? dropTracebacks : undefined);
  if (!WebAssembly.validate(merged)) throw new Error('the merged module is not valid');
  writeFileSync(`${out}.part`, merged);
  renameSync(`${out}.part`, out);
}
