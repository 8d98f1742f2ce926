#!/usr/bin/env node
// npx m2embed copy DIR [PACKAGE…]: copies models' files, those of the installed packages m2embed-*, into DIR/PACKAGE/.
import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

const FILES = ['config.json', 'tokenizer.json', 'model.safetensors'];

/** Where packages may lie: node_modules of this folder and those above it. */
function* places() {
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    yield join(folder, 'node_modules');
    if (folder === dirname(folder)) return;
  }
}

const isModel = (folder) => FILES.every((name) => existsSync(join(folder, name)));

function fail(message) {
  console.error(`m2embed: ${message}`);
  process.exit(1);
}

const [verb, to, ...names] = process.argv.slice(2);
if (verb !== 'copy' || to === undefined) fail('usage: npx m2embed copy DIR [PACKAGE…]');
const found = new Map();
for (const place of places()) {
  if (!existsSync(place)) continue;
  for (const name of names.length > 0 ? names : readdirSync(place).filter((name) => name.startsWith('m2embed-'))) {
    if (!found.has(name) && isModel(join(place, name))) found.set(name, join(place, name));
  }
}
const missing = names.find((name) => !found.has(name));
if (missing !== undefined) fail(`no model in a package ${missing}: npm install ${missing}`);
if (found.size === 0) fail('no package with a model is installed: npm install m2embed-small');
for (const [name, folder] of found) {
  try {
    mkdirSync(join(to, name), { recursive: true });
    for (const file of FILES) cpSync(join(folder, file), join(to, name, file), { dereference: true });
  } catch (error) {
    fail(`copy ${name}: ${error.message}`);
  }
  console.log(join(to, name));
}
