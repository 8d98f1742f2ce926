// Takes out of a Go program's memory image what only tracebacks print: names
// of functions and files, and the tables from addresses to lines. A fault's
// message stays; where it arose nobody could look up in a shipped module. That
// is a tenth of the module after gzip, and the linker has no option for it.
//
// The layout is that of Go 1.20 to 1.27: runtime/symtab.go (pcHeader) and
// runtime/runtime2.go (_func). Tables that the collector and panics walk the
// stack by stay as they are.

const MAGIC = 0xfffffff1;
const HEADER = 72;
const FUNCTION = 44; // bytes of _func before its lists

/** Clears the tables in a memory image, in place. */
export function dropTracebacks(memory) {
  const head = findHeader(memory);
  const word = (i) => Number(memory.readBigUInt64LE(head + 8 * i));
  const count = word(1);
  const [names, units, files, table, functions] = [4, 5, 6, 7, 8].map((i) => head + word(i));
  const uses = new Uint8Array(functions - table); // 1: needed, 2: for lines alone
  for (let i = 0; i < count; i++) {
    const f = functions + memory.readUInt32LE(functions + 8 * i + 4);
    if (memory.readUInt32LE(f) !== memory.readUInt32LE(functions + 8 * i)) throw new Error(`function ${i} of the Go program is not where its table says`);
    const lists = memory.readUInt32LE(f + 28);
    mark(memory, table, memory.readUInt32LE(f + 16), uses, 1);
    for (let k = 0; k < lists; k++) mark(memory, table, memory.readUInt32LE(f + FUNCTION + 4 * k), uses, 1);
    for (const lines of [20, 24]) mark(memory, table, memory.readUInt32LE(f + lines), uses, 2);
    // nameOff, pcfile, pcln, cuOffset, startLine
    for (const field of [4, 20, 24, 32, 36]) memory.writeUInt32LE(0, f + field);
  }
  uses.forEach((use, i) => use === 2 && (memory[table + i] = 0));
  memory.fill(0, names, units);
  memory.fill(0, units, table);
}

function findHeader(memory) {
  const found = [];
  for (let at = 0; at + HEADER <= memory.length; at += 8) {
    // magic, two zeros, the smallest instruction's size, a pointer's size
    if (memory.readUInt32LE(at) !== MAGIC || memory.readUInt32LE(at + 4) !== 0x08010000) continue;
    const offsets = [4, 5, 6, 7, 8].map((i) => Number(memory.readBigUInt64LE(at + 8 * i)));
    if (offsets[0] === HEADER && offsets.every((offset, i) => i === 0 || offset > offsets[i - 1]) && at + offsets[4] < memory.length) found.push(at);
  }
  if (found.length !== 1) throw new Error(`${found.length} function tables in the Go program, want 1: its layout is another`);
  return found[0];
}

/** Marks the bytes of a table of pairs (difference of a value, of an address), which a zero ends. */
function mark(memory, table, offset, uses, use) {
  if (offset === 0) return;
  let at = table + offset;
  const number = () => {
    const start = at;
    let zero = true;
    for (;;) {
      const byte = memory[at++];
      zero &&= (byte & 127) === 0;
      if (byte < 128) break;
    }
    for (let i = start; i < at; i++) uses[i - table] |= use;
    return zero;
  };
  for (let first = true; ; first = false) {
    if (number() && !first) return;
    number();
  }
}
