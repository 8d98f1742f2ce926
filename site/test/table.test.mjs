/** Tables without a page: what is nested too deep, and what is too wide. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJson, parseJsonLines } from './parts.mjs';

test('JSON that is nested too deep is told in a sentence', () => {
  const deep = 100_000;
  const arrays = `${'['.repeat(deep)}"x"${']'.repeat(deep)}`;
  const objects = `${'{"a":'.repeat(deep)}1${'}'.repeat(deep)}`;
  for (const read of [() => parseJson(arrays, 'a.json'), () => parseJson(objects, 'a.json'), () => parseJson(`[{"more": ${arrays}}]`, 'a.json'), () => parseJsonLines(`{"text": ${objects}}\n`, 'a.json')]) {
    assert.throws(read, /^Error: a\.json is nested too deep to be read/);
  }
  // Brackets within texts nest nothing.
  const text = '[{'.repeat(2000);
  assert.deepEqual(parseJson(JSON.stringify([{ text, quote: '\\"' }]), 'b.json'), { columns: ['text', 'quote'], rows: [[text, '\\"']] });
  assert.deepEqual(parseJson('['.repeat(900) + ']'.repeat(900), 'c.json').rows.length, 1);
});

test('of a table with very many columns the first 200 are read', () => {
  const record = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`key ${i}`, 'soup']));
  const { columns, rows } = parseJson(JSON.stringify([record, { other: 'tea' }, record]), 'wide.json');
  assert.deepEqual([columns.length, columns[199], rows.map((row) => row.length)], [200, 'key 199', [200, 200, 200]]);
});
