// Builds a user's project with every bundler from the packed tarballs, runs it in
// a real browser, workerd or runtime, and compares the vector with Node's:
//
//   bundlers.mjs [quick | NAME…]     prints a table; `quick` only those that need no download
//
// Expects wasm/build.sh pack to have run.
import { execFile, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cells } from './cells.mjs';
import { inExtension, inPage, inWorkerd, onDisk } from './look.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));
const out = join(here, '../build/bundlers');
const tarballs = join(here, '../build/tarballs');
const exec = promisify(execFile);
const programs = { bun: join(here, 'node_modules/bun/bin/bun.exe'), deno: join(here, 'node_modules/@deno/linux-x64-glibc/deno'), node: process.execPath };
const env = { ...process.env, NO_COLOR: '1', CI: '1', NEXT_TELEMETRY_DISABLED: '1', ASTRO_TELEMETRY_DISABLED: '1', WRANGLER_SEND_METRICS: 'false', NODE_OPTIONS: '' };

/** Starts a command of the project, or one that is there for all. */
function resolve(folder, [name, ...args]) {
  const local = join(folder, 'node_modules/.bin', name);
  return [programs[name] ?? (existsSync(local) ? local : join(folder, name)), args];
}

async function install(folder, cell) {
  mkdirSync(folder, { recursive: true });
  const mark = join(folder, 'installed');
  const wanted = JSON.stringify(cell.install);
  if (!existsSync(mark) || readFileSync(mark, 'utf8') !== wanted) {
    writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
    if (cell.install.length > 0) await exec('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', ...cell.install], { cwd: folder, env });
    writeFileSync(mark, wanted);
  }
  // The tarballs are unpacked as npm does it; they depend on nothing.
  for (const name of ['m2embed', 'm2embed-small', ...(cell.inline ? ['m2embed-inline'] : [])]) {
    const to = join(folder, 'node_modules', name);
    rmSync(to, { recursive: true, force: true });
    mkdirSync(to, { recursive: true });
    const tarball = readdirSync(tarballs).find((file) => new RegExp(`^${name}-\\d`).test(file));
    await exec('tar', ['xzf', join(tarballs, tarball), '-C', to, '--strip-components=1']);
  }
  for (const left of ['dist', '.next', '.astro', 'src', 'app', 'node_modules/.vite', '.parcel-cache']) rmSync(join(folder, left), { recursive: true, force: true });
  for (const [name, text] of Object.entries(cell.files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.on('listening', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Starts the server of a bundler and waits for its first answer. */
async function serving(folder, command, use) {
  const port = await freePort();
  const [file, args] = resolve(folder, command.map((arg) => (arg === 'PORT' ? String(port) : arg)));
  const child = spawn(file, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += data));
  try {
    for (let tries = 0; ; tries++) {
      // By name: some listen on ::1 only.
      const answer = await fetch(`http://localhost:${port}/`).catch(() => undefined);
      if (answer) break;
      if (tries > 900 || child.exitCode !== null) throw new Error(`the server did not start: ${said.slice(-800)}`);
      await new Promise((done) => setTimeout(done, 200));
    }
    return await use(`http://localhost:${port}`);
  } finally {
    if (child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
  }
}

async function run(cell) {
  const folder = join(out, cell.group.replace(/\W+/g, '-').toLowerCase());
  await install(folder, cell);
  if (cell.inline) await exec(process.execPath, [join(folder, 'node_modules/m2embed/bin.mjs'), 'copy', 'models'], { cwd: folder });
  if (cell.extension) for (const [name, inside] of [['m2embed', 'dist'], ['m2embed-small', '.']]) cpSync(join(folder, 'node_modules', name, inside), join(folder, name), { recursive: true });
  for (const command of cell.build ?? []) {
    const [file, args] = resolve(folder, command);
    await exec(file, args, { cwd: folder, env, maxBuffer: 1 << 26 });
  }
  if (cell.program) {
    const [file, args] = resolve(folder, cell.program);
    // A program that carries all that it needs runs without the packages.
    if (cell.away) rmSync(join(folder, 'node_modules'), { recursive: true });
    return JSON.parse((await exec(file, args, { cwd: folder, env, maxBuffer: 1 << 26 })).stdout);
  }
  if (cell.extension) return inExtension(folder);
  if (cell.file) return onDisk(folder, join(folder, 'models/m2embed-small'));
  if (cell.workerd) return inWorkerd(join(folder, cell.workerd));
  if (cell.site) return inPage(join(folder, cell.site));
  return serving(folder, cell.dev, async (url) => {
    const found = {};
    for (const path of cell.paths ?? ['/']) {
      const got = path === '/' && !cell.fetched ? await inPage(url) : await (await fetch(url + path)).json();
      Object.assign(found, Array.isArray(got) ? { worker: got } : got);
    }
    return found;
  });
}

const want = await (async () => {
  const { M2Embed } = await import('m2embed');
  const model = await M2Embed.load(join(here, '../build/packages/m2embed-small'));
  return JSON.stringify(Array.from(await model.embed('A text')));
})();

const only = process.argv.slice(2);
let failed = 0;
console.log('| | result | with |\n| --- | --- | --- |');
for (const cell of cells) {
  if (only[0] === 'quick' ? !cell.quick : only.length > 0 && !only.some((name) => cell.name.startsWith(name))) continue;
  let result;
  try {
    const found = await run(cell);
    const wrong = Object.entries(found).filter(([, vector]) => JSON.stringify(vector) !== want);
    result = wrong.length === 0 ? `same bits in ${Object.keys(found).join(', ')}` : `FAILED ${wrong.map(([name, got]) => `${name}: ${typeof got === 'string' ? got : 'other bits'}`).join('; ')}`;
  } catch (error) {
    result = `FAILED ${String(error.stderr || error.stdout || error.stack).trim().slice(0, 1500)}`;
  }
  if (result.startsWith('FAILED')) failed++;
  console.log(`| ${cell.name} | ${result} | ${cell.note ?? 'nothing'} |`);
}
process.exit(failed > 0 ? 1 : 0);
