/** Files that visitors might drop, made here so that they are small and known. */

import { readFileSync } from 'node:fs';

const island = 'The ferry brings bread and lemons to the island before seven in the morning.';
const oven = 'The baker lights her oven with olive wood because it burns slowly.';

/** A PDF with one line of text a page, written by hand. */
export function pdf(lines) {
  const objects = ['<< /Type /Catalog /Pages 2 0 R >>', '', '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>'];
  const kids = [];
  for (const line of lines) {
    const stream = `BT /F1 12 Tf 72 700 Td (${line.replace(/[()\\]/g, '\\$&')}) Tj ET`;
    objects.push(`<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`);
    objects.push(`<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents ${objects.length} 0 R >>`);
    kids.push(`${objects.length} 0 R`);
  }
  objects[1] = `<< /Type /Pages /Kids [${kids.join(' ')}] /Count ${kids.length} >>`;
  let text = '%PDF-1.4\n';
  const places = objects.map((object, i) => {
    const at = text.length;
    text += `${i + 1} 0 obj\n${object}\nendobj\n`;
    return at;
  });
  const start = text.length;
  text += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${places.map((at) => `${String(at).padStart(10, '0')} 00000 n \n`).join('')}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${start}\n%%EOF\n`;
  return Buffer.from(text, 'latin1');
}

/** One file of each kind that holds plain text. */
export const texts = [
  { name: 'ferry.txt', mimeType: 'text/plain', buffer: Buffer.from(island) },
  { name: 'bakery.md', mimeType: 'text/markdown', buffer: Buffer.from(`# Bakery\n\n${oven}\n`) },
  { name: 'school.html', mimeType: 'text/html', buffer: Buffer.from('<!doctype html><title>School</title><script>document.title = "wrong"</script><style>p{}</style><p>Eleven pupils learn mathematics with fish.<p>Their teacher stayed for nineteen years.<img src="https://example.com/tracker.png">') },
  { name: 'lighthouse.pdf', mimeType: 'application/pdf', buffer: pdf(['Nobody has lived in the lighthouse for thirty years.', 'A technician cleans the lens twice a year.']) },
];

export const table = { name: 'wells.csv', mimeType: 'text/csv', buffer: Buffer.from('id,note\n1,"The first well gives less water, every year."\n2,"The second ""deep"" well\nis dry."\n3,\n4,Rain fills the cisterns in winter.\n') };

export const lines = { name: 'storms.jsonl', mimeType: 'application/jsonl', buffer: Buffer.from('{"id": 1, "text": "Storms cut the cable from the mainland."}\n{"id": 2, "text": "The radio stands in the chapel."}\n') };

/** An exported library of n passages with vectors (n, D) of unit length. */
export function libraryFile(model, n, dimension) {
  const parts = [];
  const spans = new Int32Array(3 * n);
  let at = 0;
  for (let i = 0; i < n; i++) {
    const text = `Passage number ${i}, about ${['rivers', 'bread', 'engines', 'painting'][i % 4]} and other things.`;
    spans.set([at, at + text.length, 12], 3 * i);
    parts.push(text);
    at += text.length + 2;
  }
  const vectors = new Float32Array(n * dimension);
  let state = 42;
  const next = () => (state = (state * 48271) % 2147483647) / 2147483647 - 0.5;
  for (let i = 0; i < n; i++) {
    let norm = 0;
    for (let j = 0; j < dimension; j++) norm += (vectors[i * dimension + j] = next() + (j % 4 === i % 4 ? 0.6 : 0)) ** 2;
    for (let j = 0; j < dimension; j++) vectors[i * dimension + j] /= Math.sqrt(norm);
  }
  const about = [{ name: 'big.csv', text: parts.join('\n\n'), mode: 'passages', model, dimension, added: 1 }];
  let header = JSON.stringify({
    __metadata__: { format: 'm2embed library 1', documents: JSON.stringify(about) },
    'vectors.0': { dtype: 'F32', shape: [n, dimension], data_offsets: [0, vectors.byteLength] },
    'passages.0': { dtype: 'I32', shape: [n, 3], data_offsets: [vectors.byteLength, vectors.byteLength + spans.byteLength] },
  });
  header = Buffer.from(header.padEnd(Math.ceil(Buffer.byteLength(header) / 8) * 8));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([size, header, Buffer.from(vectors.buffer), Buffer.from(spans.buffer)]);
}

/** The page's own short text. */
export const sample = { name: 'A day on the island', text: /text: `([^`]*)`/.exec(readFileSync(new URL('../src/search/sample.ts', import.meta.url), 'utf8'))[1] };
