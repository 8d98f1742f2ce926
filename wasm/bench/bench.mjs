// Speed, memory and size of the WebAssembly module beside onnxruntime-web, one
// thread, in turns: bench.mjs [quick] [lengths=128,512,32768] [rounds=3] writes
// testdata/bench/wasm.json and wasm.md (quick: writes nothing); bench.mjs first
// measures the first vector in a page alone. wasm/build.sh bench builds what it needs.
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { chromium, firefox } from '../js/test/browsers.mjs';
import { serve } from '../js/test/serve.mjs';
import { workerd } from '../js/test/workerd.mjs';

const quick = process.argv.includes('quick');
const root = fileURLToPath(new URL('../..', import.meta.url));
const here = (path) => join(root, 'wasm/bench', path);
const build = join(root, 'wasm/build');
const cache = join(root, '.cache/bench');
const option = (name) => process.argv.find((a) => a.startsWith(`${name}=`))?.slice(name.length + 1);
const lengths = (option('lengths') ?? (quick ? '128,512' : '128,512,2048,8192,32768')).split(',').map(Number);
const roundsFor = (length) => Number(option('rounds') ?? (length <= 512 ? 5 : length <= 2048 ? 3 : 1));
const median = (list) => list.slice().sort((a, b) => a - b)[list.length >> 1];
const say = (text) => process.stderr.write(`${text}\n`);

/** A program that answers a line with a line; its first line says that it is ready. */
class Engine {
  static async start(name, file, args, o = {}) {
    const e = new Engine();
    e.name = name;
    e.process = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'], ...o });
    e.lines = createInterface({ input: e.process.stdout })[Symbol.asyncIterator]();
    e.ready = await e.answer();
    return e;
  }
  async answer() {
    const { value, done } = await this.lines.next();
    if (done) return { error: 'the program ended' };
    return JSON.parse(value);
  }
  ask(request) {
    this.process.stdin.write(`${JSON.stringify(request)}\n`);
    return this.answer();
  }
  stop() {
    this.process.stdin.end();
    this.process.kill();
  }
}

function peerFolder() {
  const folder = join(cache, 'peer-web');
  mkdirSync(folder, { recursive: true });
  for (const name of ['package.json', 'run.mjs']) copyFileSync(here(`peer/${name}`), join(folder, name));
  if (!existsSync(join(folder, 'node_modules/onnxruntime-web'))) execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder, stdio: 'inherit' });
  return folder;
}

async function speed() {
  const peer = peerFolder();
  const module = join(root, 'wasm/module/m2embed.wasm');
  const node = process.execPath;
  const engines = [
    await Engine.start('m2embed f32', node, [here('ours.mjs'), join(cache, 'f32')]),
    await Engine.start('m2embed int8', node, [here('ours.mjs'), join(cache, 'int8')]),
    await Engine.start('m2embed f32, wazero', join(build, 'wazero-bench'), [module, join(cache, 'f32'), join(build, 'cache')]),
    await Engine.start('onnxruntime-web f32', node, ['run.mjs', join(cache, 'peer/bert-f32.onnx')], { cwd: peer }),
    await Engine.start('onnxruntime-web int8', node, ['run.mjs', join(cache, 'peer/bert-int8.onnx')], { cwd: peer }),
    await Engine.start('m2-bert-small', node, [here('ours.mjs'), join(root, 'host/small')]),
  ];
  const rows = [];
  for (const length of lengths) {
    const rounds = roundsFor(length);
    const found = new Map(engines.map((e) => [e.name, { seconds: [], cpu: [], memory: 0, error: undefined }]));
    for (let round = length >= 8192 ? 1 : 0; round <= rounds; round++) {
      for (const engine of engines) {
        const row = found.get(engine.name);
        // Slow ones need no more than a few turns; errors repeat themselves.
        if (row.error || (engine.name.includes('wazero') && (length > 2048 || round > 3)) || (length >= 8192 && engine.name.startsWith('onnx'))) continue;
        const { seconds, cpu, memory, error } = await engine.ask({ length });
        if (error) row.error = error;
        else {
          row.memory = memory;
          if (round > 0) {
            // the first round warms up
            row.seconds.push(seconds);
            row.cpu.push(cpu);
          }
        }
      }
    }
    for (const engine of engines) {
      const { seconds, cpu, memory, error } = found.get(engine.name);
      if (error) rows.push({ engine: engine.name, length, error });
      else if (seconds.length > 0) rows.push({ engine: engine.name, length, rounds: seconds.length, median: length / median(seconds), best: length / Math.min(...seconds), cpu: length / median(cpu), memory, weights: engine.ready.weights });
      const last = rows.at(-1);
      say(`${engine.name} ${length}: ${last?.engine === engine.name && last.length === length ? (last.error ?? `${last.median.toFixed(0)} tokens/s`) : '-'}`);
    }
  }
  const open = engines.map((e) => ({ engine: e.name, seconds: e.ready.open, memory: e.ready.memory, weights: e.ready.weights }));
  engines.forEach((e) => e.stop());
  return { rows, open };
}

const row = (runtime, { times, memory, compile }) => ({ runtime, compile, first: times[0], median: median(times), memory });

/** The start in a page: the browser compiles while it downloads. */
async function inPage(start, url) {
  const browser = await start(`${url}/wasm/js/parity/page.html`);
  try {
    const found = await browser.evaluate(async () => {
      const { Instance } = await import('/wasm/js/dist/abi.js');
      const begun = performance.now();
      const module = await WebAssembly.compileStreaming(fetch('/wasm/js/dist/m2embed.wasm'));
      const compile = performance.now() - begun;
      const times = [];
      let memory = 0;
      for (let i = 0; i < 9; i++) {
        const start = performance.now();
        memory = (await Instance.create(module)).memory;
        times.push(performance.now() - start);
      }
      return { times, memory, compile };
    });
    return { version: browser.version, ...found };
  } finally {
    await browser.close();
  }
}

/** The start in a Worker. Its clock stands still while it computes, so requests are timed from outside. */
async function inWorkerd() {
  const script = here('starts-worker.mjs');
  const worker = await workerd(
    script,
    `import module from 'm2embed/m2embed.wasm';
     import { Instance } from './m2embed/abi.js';
     export default { async fetch(request) {
       const n = Number(new URL(request.url).searchParams.get('n'));
       let memory = 0;
       for (let i = 0; i < n; i++) memory = (await Instance.create(module)).memory;
       return Response.json({ memory });
     } };`,
  );
  try {
    const ask = async (n) => {
      const begun = performance.now();
      const { memory } = await (await worker.dispatchFetch(`http://localhost/?n=${n}`)).json();
      return { took: performance.now() - begun, memory };
    };
    await ask(0);
    const times = [];
    let memory = 0;
    for (let i = 0; i < 9; i++) {
      const without = (await ask(0)).took;
      const one = await ask(1);
      times.push(one.took - without);
      memory = one.memory;
    }
    return { times, memory };
  } finally {
    await worker.dispose();
  }
}

/**
 * From the first request of a script to the first vector, with nothing in any
 * cache: a fresh profile each time. `bundled` is the script as people deploy it,
 * in one file beside the module; without it each file of dist is fetched by itself.
 */
async function firstVectors(server) {
  const folder = join(build, 'first');
  rmSync(folder, { recursive: true, force: true });
  execFileSync(join(root, 'wasm/js/node_modules/bun/bin/bun.exe'), ['build', join(root, 'wasm/js/dist/index.js'), '--target=browser', '--minify', '--splitting', '--outdir', folder]);
  copyFileSync(join(root, 'wasm/js/dist/m2embed.wasm'), join(folder, 'm2embed.wasm'));
  const places = { bundled: '/wasm/build/first/index.js', 'file by file': '/wasm/js/dist/index.js' };
  const found = Object.fromEntries(Object.keys(places).map((name) => [name, []]));
  for (let i = 0; i < (quick ? 3 : 15); i++) {
    for (const [name, script] of Object.entries(places)) {
      const fresh = await chromium(`${server.url}/wasm/js/parity/blank.html`);
      found[name].push(
        await fresh.evaluate(async (script) => {
          const start = performance.now();
          const { M2Embed } = await import(script);
          const model = await M2Embed.load('/host/small/');
          await model.embed('The first text of a visitor.');
          return performance.now() - start;
        }, script),
      );
      await fresh.close();
    }
  }
  return Object.entries(found).map(([name, times]) => ({ runtime: `Chromium, empty cache, from the script's request to the first vector of m2-bert-small, script ${name}`, first: times[0], median: median(times), times }));
}

async function starts() {
  const rows = [];
  const bin = (path) => join(root, 'wasm/js/node_modules', path);
  const script = (file, args) => JSON.parse(execFileSync(file, [...args, here('starts.mjs')], { encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } }));
  const server = await serve();
  const version = (name) => JSON.parse(readFileSync(bin(`${name}/package.json`), 'utf8')).version;
  const places = {
    Node: () => row(`Node ${process.version}`, script(process.execPath, ['--no-warnings'])),
    Deno: () => row(`Deno ${version('@deno/linux-x64-glibc')}`, script(bin('@deno/linux-x64-glibc/deno'), ['run', '--allow-all', '--no-lock', '--node-modules-dir=none'])),
    Bun: () => row(`Bun ${version('bun')}`, script(bin('bun/bin/bun.exe'), ['run'])),
    workerd: async () => row(`workerd ${version('workerd')}, by the request's time`, await inWorkerd()),
    Chromium: async () => {
      const found = await inPage(chromium, server.url);
      return row(`Chromium ${found.version}`, found);
    },
    Firefox: async () => {
      const found = await inPage(firefox, server.url);
      return row(`Firefox ${found.version}`, found);
    },
    wazero: async () => {
      const times = [];
      let memory = 0;
      for (let i = 0; i < 5; i++) {
        const engine = await Engine.start('wazero', join(build, 'wazero-bench'), [join(root, 'wasm/module/m2embed.wasm'), join(root, 'host/small'), join(build, 'cache')]);
        times.push(engine.ready.open * 1000);
        memory = engine.ready.memory;
        engine.stop();
      }
      return row('wazero, compiled module from disk, with m2-bert-small opened', { times, memory });
    },
  };
  for (const [name, measure] of Object.entries(places)) {
    try {
      rows.push(await measure());
    } catch (error) {
      say(`${name}: ${error.message}`);
    }
  }
  try {
    rows.push(...(await firstVectors(server)));
  } catch (error) {
    say(`Chromium: ${error.message}`);
  }
  await server.close();
  return rows;
}

function sizes() {
  const bytes = readFileSync(join(root, 'wasm/module/m2embed.wasm'));
  return { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes).length };
}

const mb = (n) => (n / 1e6).toFixed(1);

function markdown({ machine, seconds, size, starts, products, shares, speed }) {
  const out = [
    `${machine}. One run of ${Math.round(seconds / 60)} minutes, one thread, engines in turns, medians.`,
    '',
    `m2embed.wasm: ${mb(size.raw)} MB raw, ${(size.gzip / 1000).toFixed(0)} KB gzip -9, ${(size.brotli / 1000).toFixed(0)} KB brotli.`,
    '',
    '| start | compile ms | first ms | median ms | linear memory MB |',
    '| --- | --- | --- | --- | --- |',
    ...starts.map((r) => `| ${r.runtime} | ${r.compile?.toFixed(0) ?? ''} | ${r.first.toFixed(0)} | ${r.median.toFixed(0)} | ${r.memory ? mb(r.memory) : ''} |`),
    '',
    'The rows of the first vector: a fresh profile of Chromium, a server on localhost without compression, both sharing the cores; from the request of the script (one file of `bun build`, or the 22 of the package by themselves) over module and model to the vector; medians of 15.',
    '',
    '| product in Node | shape | bare kernel | through the module | ratio | best |',
    '| --- | --- | --- | --- | --- | --- |',
    ...products.map((r) => `| ${r.dtype} | ${r.shape} | ${r.bare.toFixed(1)} | ${r.merged.toFixed(1)} | ${r.ratio.toFixed(2)} | ${r.best.toFixed(1)} |`),
    '',
    'GFLOP/s (Gop/s for int8); through the module with packing, quantisation of rows and tails.',
    '',
    "The long convolution's share of a pass in Node, f32:",
    '',
    shares,
    '',
    '| tokens/s | tokens | median | best | per processor second | memory MB | above weights MB |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...speed.rows.map((r) =>
      r.error ? `| ${r.engine} | ${r.length} | fails: ${r.error} | | | | |` : `| ${r.engine} | ${r.length} | ${r.median.toFixed(0)} | ${r.best.toFixed(0)} | ${r.cpu.toFixed(0)} | ${mb(r.memory)} | ${r.weights ? mb(r.memory - r.weights) : ''} |`,
    ),
    '',
    'm2embed: the 80M shape with generated weights (golden generator); memory is linear memory. onnxruntime-web: a BERT-base-shaped encoder with random weights; memory is that of the process. Processor seconds leave out most of what other programs on the machine take.',
    '',
  ];
  return out.join('\n');
}

if (process.argv.includes('first')) {
  const server = await serve();
  for (const { runtime, median, times } of await firstVectors(server)) console.log(`${runtime}: median ${median.toFixed(0)} ms (${times.map((t) => t.toFixed(0)).join(', ')})`);
  process.exit(0);
}
const begun = performance.now();
const result = { machine: `${cpus()[0].model.trim()}, ${cpus().length} cores, Node ${process.version}`, date: new Date().toISOString().slice(0, 10), quick };
result.size = sizes();
say('products');
result.products = JSON.parse(execFileSync(process.execPath, ['--no-warnings', here('products.mjs'), join(build, 'kernels.wasm'), join(build, 'product.wasm')], { maxBuffer: 1 << 24 }));
say('shares');
result.shares = execFileSync(process.execPath, ['--no-warnings', here('shares.mjs'), join(build, 'product.wasm'), quick ? '2048' : '32768'], { encoding: 'utf8' }).trim();
say('starts');
result.starts = await starts();
say('speed');
result.speed = await speed();
result.seconds = (performance.now() - begun) / 1000;
const text = markdown(result);
if (!quick) {
  mkdirSync(join(root, 'testdata/bench'), { recursive: true });
  writeFileSync(join(root, 'testdata/bench/wasm.json'), `${JSON.stringify(result, null, 1)}\n`);
  writeFileSync(join(root, 'testdata/bench/wasm.md'), text);
}
console.log(text);
process.exit(0);
