import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Sha256 } from '../dist/sha256.js';

test('equals the runtime, for every short length and in pieces', () => {
  const bytes = randomBytes(100_003);
  for (let n = 0; n <= 200; n++) {
    const sum = new Sha256();
    sum.update(bytes.subarray(0, n));
    assert.equal(sum.hex(), createHash('sha256').update(bytes.subarray(0, n)).digest('hex'));
  }
  const sum = new Sha256();
  for (let at = 0, n = 0; at < bytes.length; at += n++) sum.update(bytes.subarray(at, at + n));
  assert.equal(sum.hex(), createHash('sha256').update(bytes).digest('hex'));
});
