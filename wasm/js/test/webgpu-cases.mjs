// The webgpu back end against the wasm one, in any runtime: each case loads
// through the package, asserts, and returns figures to be shown.

// All in one bucket of lengths: the software adapter takes seconds to compile one.
const TEXTS = ['a', 'hello world', '', 'word '.repeat(12), 'x y z '.repeat(10), 'hello world', 'again and again'];

/** The first layer of the test model, which pads by itself no text: a software adapter takes half a second for each. */
async function unpadded(base, changes = {}) {
  const folder = `${base}/testdata/tiny/`;
  const config = { ...(await (await fetch(`${folder}config.json`)).json()), num_hidden_layers: 1, padding: 'none', ...changes };
  const read = async (name) => new Uint8Array(await (await fetch(`${folder}${name}`)).arrayBuffer());
  const [tokenizer, weights] = [await read('tokenizer.json'), await read('model.safetensors')];
  const unused = config.use_positional_encodings ? /position_ids/ : /position_/;
  // Bytes: while a software adapter computes in Node, connections wait too long.
  return { config: new TextEncoder().encode(JSON.stringify(config)), tokenizer, weights: inFloat32(weights, 1, unused) };
}

/** Largest of 1 - cosine that counts as the same, by what differs. */
const LIMITS = {
  f32: 1e-6, // rounding of another order of sums
  f16: 1e-3, // matrices rounded to 11 bits
  int8: 1e-3, // the module multiplies 8-bit activations, the GPU 32-bit ones
};

function assert(ok, message) {
  if (!ok) throw new Error(message);
}

async function fails(work, code, name) {
  try {
    await work;
  } catch (error) {
    assert(error.code === code || error.name === name, `${error.name} ${error.code}: ${error.message}; wanted ${code ?? name}`);
    return error;
  }
  throw new Error(`no error, wanted ${code ?? name}`);
}

/** Compares reports, and gives the largest 1 - cosine. */
function compare(cosine, got, want, limit) {
  assert(got.length === want.length, `${got.length} vectors of ${want.length}`);
  let most = 0;
  got.forEach((g, i) => {
    const w = want[i];
    for (const key of ['tokens', 'length', 'truncated']) assert(g[key] === w[key], `text ${i}: ${key} ${g[key]}, want ${w[key]}`);
    most = Math.max(most, 1 - cosine(g.vector, w.vector));
    assert(g.spans?.length === w.spans?.length, `text ${i}: ${g.spans?.length} spans`);
    w.spans?.forEach(({ vector, tokens }, k) => {
      assert(g.spans[k].tokens === tokens && (g.spans[k].vector === null) === (vector === null), `text ${i}: span ${k} has ${g.spans[k].tokens} tokens`);
      if (vector) most = Math.max(most, 1 - cosine(g.spans[k].vector, vector));
    });
    const ratio = Math.hypot(...g.vector) / Math.hypot(...w.vector);
    assert(Math.abs(ratio - 1) < 0.02, `text ${i}: length of the vector is off by ${ratio}`);
  });
  assert(most <= limit, `1 - cosine ${most}, want at most ${limit}`);
  return most;
}

/** A GPU object that is watched, and whose adapter may pass for hardware. */
function watched(gpu, { hardware = false } = {}) {
  const seen = { pipelines: 0, devices: [] };
  const info = { vendor: 'test', architecture: '', device: '', description: 'disguised', isFallbackAdapter: false };
  seen.gpu = {
    async requestAdapter(options) {
      const adapter = await gpu.requestAdapter(options);
      const requestDevice = async (descriptor) => {
        const device = await adapter.requestDevice(descriptor);
        const compile = device.createComputePipelineAsync.bind(device);
        device.createComputePipelineAsync = (d) => (seen.pipelines++, compile(d));
        seen.devices.push(device);
        return device;
      };
      return { requestDevice, limits: adapter.limits, info: hardware ? info : adapter.info, ...(!hardware && { isFallbackAdapter: adapter.isFallbackAdapter }) };
    },
  };
  return seen;
}

/** Lets the device report that memory ran out, `times` times. */
function runOut(device, times) {
  const pop = device.popErrorScope.bind(device);
  let calls = 0;
  // The scope of memory lies inside that of validation.
  device.popErrorScope = async () => {
    const found = await pop();
    return calls++ % 2 === 0 && calls <= 2 * times ? { message: 'no room' } : found;
  };
}

/** The shortest: the module's vectors, a device that goes away, disposal, and no software for auto. */
export async function brief({ M2Embed, cosine, gpu, base }) {
  const seen = watched(gpu);
  const tiny = await unpadded(base);
  const cpu = await M2Embed.load(tiny);
  const model = await M2Embed.load(tiny, { backend: 'webgpu', gpu: seen.gpu });
  const texts = TEXTS.slice(0, 3);
  const found = compare(cosine, await model.embedDetailed(texts), await cpu.embedDetailed(texts), LIMITS.f32);
  await fails(model.embed(texts, { onProgress: () => seen.devices[0].destroy() }), 'gpu_lost');
  await model.dispose();
  await fails(model.embed('a'), 'bad_handle');
  const auto = await M2Embed.load(tiny, { backend: 'auto', gpu });
  assert(auto.info.backend === 'wasm' && /software/.test(auto.info.fallback), JSON.stringify(auto.info));
  await auto.dispose();
  await cpu.dispose();
  return found;
}

/** Options, errors, caches, abort, lack of memory, loss of the device and disposal, on the test model. */
export async function options({ M2Embed, cosine, gpu, base }) {
  const seen = watched(gpu);
  const stages = new Set();
  const tiny = await unpadded(base);
  const cpu = await M2Embed.load(tiny);
  const model = await M2Embed.load(tiny, { backend: 'webgpu', gpu: seen.gpu, onProgress: (p) => stages.add(p.stage) });
  assert(model.info.backend === 'webgpu' && model.info.adapter && model.info.fallback === undefined, JSON.stringify(model.info));
  assert(stages.has('gpu') && stages.has('ready'), [...stages].join());
  assert(model.gpuMemory > model.info.weightBytes / 2, `${model.gpuMemory} bytes on the GPU`);
  assert(cpu.gpuMemory === 0, 'a model in the module has GPU memory');

  const found = {};
  for (const o of [
    {},
    { pooling: 'mean', normalize: true },
    { padding: 50, pooling: 'cls_hidden', normalize: true, maxLength: 20 }, // pads
    { padding: 'longest', pooling: 'mean_hidden', maxLength: 40, truncation: 'drop-sep' },
  ]) {
    found[JSON.stringify(o)] = compare(cosine, await model.embedDetailed(TEXTS, o), await cpu.embedDetailed(TEXTS, o), LIMITS.f32);
  }
  const ids = [1, 2, 17, 64].map((length) => Int32Array.from({ length }, (_, i) => 5 + ((i * 37) % 900)));
  found.ids = compare(cosine, await model.embedDetailed(ids), await cpu.embedDetailed(ids), LIMITS.f32);
  const spanned = ['word '.repeat(12), { text: 'x y z '.repeat(10), spans: [{ start: 3, end: 20 }, { start: 1, end: 2 }] }, { ids: ids[2], spans: [{ start: 0, end: 9 }] }];
  for (const o of [{}, { pooling: 'none' }]) {
    found[`spans ${JSON.stringify(o)}`] = compare(cosine, await model.embedDetailed(spanned, o), await cpu.embedDetailed(spanned, o), LIMITS.f32);
  }
  assert((await model.embed([])).length === 0, 'no texts');
  assert((await model.tokenize('a text')).tokens[0] === '[CLS]', 'tokenize');
  await fails(model.embed('word '.repeat(2000), { truncation: 'refuse' }), 'too_long');
  await fails(model.embed(Int32Array.of(5000)), 'bad_argument');
  await fails(model.embed('x', { padding: 513 }), 'bad_argument');

  // A length that was not run before compiles nothing in a bucket that was.
  const compiled = seen.pipelines;
  const memory = model.gpuMemory;
  await model.embed('five more words than before');
  assert(seen.pipelines === compiled, `${seen.pipelines - compiled} pipelines compiled again`);
  assert(model.gpuMemory - memory < 1e6, 'weights were uploaded again');

  // Progress runs to 1; calls at once wait for each other.
  const shares = [];
  const [a, b] = await Promise.all([model.embed(TEXTS, { onProgress: (p) => shares.push(p.done / p.total) }), model.embed('a')]);
  assert(shares.every((s, i) => s >= (shares[i - 1] ?? 0) - 1e-9 && s <= 1 + 1e-9) && Math.abs(shares.at(-1) - 1) < 1e-6, `progress ${shares}`);
  assert(cosine(a[0], b) > 1 - 1e-6, 'a call among others');

  await fails(model.embed('x', { signal: AbortSignal.abort(new DOMException('before', 'AbortError')) }), undefined, 'AbortError');
  const stop = new AbortController();
  await fails(model.embed(TEXTS, { signal: stop.signal, onProgress: () => stop.abort(new DOMException('stop', 'AbortError')) }), undefined, 'AbortError');
  compare(cosine, await model.embedDetailed(['a']), await cpu.embedDetailed(['a']), LIMITS.f32);

  // Once without memory: other plans go, and it works. For good: a code.
  const three = [1, 2, 3].map((first) => Int32Array.of(first, 20, 30, 40));
  const want = await cpu.embedDetailed(three);
  runOut(seen.devices[0], 2);
  compare(cosine, await model.embedDetailed(three), want, LIMITS.f32);
  runOut(seen.devices[0], 100);
  await fails(model.embed(three), 'gpu_out_of_memory');
  delete seen.devices[0].popErrorScope;

  // Lost: a code, in this call and in later ones.
  await fails(model.embed(TEXTS, { onProgress: () => seen.devices[0].destroy() }), 'gpu_lost');
  await fails(model.embed('a'), 'gpu_lost');
  assert((await model.tokenize('a')).tokens.length > 2, 'tokenize after the loss');
  await model.dispose();
  await fails(model.embed('a'), 'bad_handle');
  await cpu.dispose();
  return found;
}

/** Back end auto: what it does not choose, and how it goes on when the GPU goes away. */
export async function auto({ M2Embed, cosine, gpu, base }) {
  const tiny = await unpadded(base);
  const cpu = await M2Embed.load(tiny);
  const want = await cpu.embedDetailed(TEXTS);
  const same = (got, what) => got.forEach((g, i) => assert(g.vector.every((v, k) => v === want[i].vector[k]), `${what}: text ${i} has other bits`));
  const none = { requestAdapter: async () => null };
  const refused = { requestAdapter: async () => Promise.reject(new Error('blocked')) };
  const reasons = [];
  for (const [given, reason] of [[none, /no adapter/], [refused, /blocked/], [gpu, /software/]]) {
    if (given !== gpu) await fails(M2Embed.load(tiny, { backend: 'webgpu', gpu: given }), 'gpu_unsupported');
    const model = await M2Embed.load(tiny, { backend: 'auto', gpu: given });
    assert(model.info.backend === 'wasm' && reason.test(model.info.fallback), JSON.stringify(model.info));
    reasons.push(model.info.fallback);
    same(await model.embedDetailed(TEXTS), model.info.fallback);
    await model.dispose();
  }

  const seen = watched(gpu, { hardware: true });
  const model = await M2Embed.load(tiny, { backend: 'auto', gpu: seen.gpu });
  assert(model.info.backend === 'webgpu' && model.info.adapter === 'disguised', JSON.stringify(model.info));
  compare(cosine, await model.embedDetailed(TEXTS), want, LIMITS.f32);
  // The first texts come from the GPU, the rest from the module.
  const shares = [];
  const half = await model.embedDetailed(TEXTS, { onProgress: ({ done }) => (shares.push(done), done > 0.3 && seen.devices[0].destroy()) });
  compare(cosine, half, want, LIMITS.f32);
  assert(model.info.backend === 'wasm' && /lost|destroy/.test(model.info.fallback) && model.info.adapter === undefined, JSON.stringify(model.info));
  assert(model.gpuMemory === 0, 'the GPU is still held');
  assert(Math.abs(shares.at(-1) - 1) < 1e-6, `progress ends at ${shares.at(-1)}`);
  same(await model.embedDetailed(TEXTS), 'after the loss');
  reasons.push(model.info.fallback);
  await model.dispose();

  // Disposed in the middle of a text: the call ends, and the device with it.
  const other = watched(gpu, { hardware: true });
  const left = await M2Embed.load(tiny, { backend: 'auto', gpu: other.gpu, precision: 'f16' });
  compare(cosine, await left.embedDetailed(TEXTS.slice(0, 3)), want.slice(0, 3), LIMITS.f16);
  let disposal;
  await fails(left.embed(TEXTS, { onProgress: () => (disposal ??= left.dispose()) }), 'bad_handle');
  await disposal;
  assert((await other.devices[0].lost).reason === 'destroyed', 'the device was not freed');
  await fails(left.embed('a'), 'bad_handle');
  await cpu.dispose();
  return reasons;
}

/**
 * The embedded model; and, since a software adapter is slow, the first layer of the
 * test model at the lengths between which the convolution changes.
 */
export async function lengths({ M2Embed, cosine, gpu, base }) {
  const folder = `${base}/host/small/`;
  const eight = new Uint8Array(await (await fetch(`${folder}model.safetensors`)).arrayBuffer());
  const small = { config: `${folder}config.json`, tokenizer: `${folder}tokenizer.json` };
  const long = await unpadded(base, { use_positional_encodings: false, max_seq_len: 2049 });
  const found = {};
  for (const [kind, files, all, words] of [
    ['f32', { ...small, weights: inFloat32(eight, 2) }, [1, 17, 64], 20000],
    ['f32', long, [2048, 2049], 900],
    ['int8', { ...small, weights: eight }, [17], 20000],
  ]) {
    const cpu = await M2Embed.load(files);
    const model = await M2Embed.load(files, { backend: 'webgpu', gpu });
    for (const length of all) {
      const ids = [Int32Array.from({ length }, (_, i) => 100 + ((i * 7919) % words))];
      found[`${kind}, ${length}`] = compare(cosine, await model.embedDetailed(ids), await cpu.embedDetailed(ids), LIMITS[kind]);
    }
    await model.dispose();
    await cpu.dispose();
  }
  return found;
}

/** The same weights as 32-bit floats, of the first layers and without those that a pattern names. */
function inFloat32(bytes, layers, unused = /^$/) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const start = 8 + Number(view.getBigUint64(0, true));
  const { __metadata__, ...tensors } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const read = ({ dtype, data_offsets: [from, to] }) => {
    const part = bytes.slice(start + from, start + to).buffer;
    return dtype === 'I8' ? new Int8Array(part) : new Float32Array(part);
  };
  const head = {};
  const parts = [];
  let size = 0;
  for (const [name, tensor] of Object.entries(tensors)) {
    if (Number(/encoder\.layer\.(\d+)/.exec(name)?.[1] ?? 0) >= layers || unused.test(name)) continue;
    if (tensor.dtype !== 'I8' && name.endsWith('_scale') && tensors[name.slice(0, -6)]) continue;
    const scales = tensor.dtype === 'I8' ? read(tensors[`${name}_scale`]) : undefined;
    const values = Float32Array.from(read(tensor));
    if (scales) values.forEach((v, i) => (values[i] = v * scales[Math.floor((i * scales.length) / values.length)]));
    head[name] = { dtype: 'F32', shape: tensor.shape, data_offsets: [size, (size += values.byteLength)] };
    parts.push(new Uint8Array(values.buffer));
  }
  const text = new TextEncoder().encode(JSON.stringify(head).padEnd(Math.ceil((JSON.stringify(head).length + 8) / 8) * 8 - 8));
  const out = new Uint8Array(8 + text.length + size);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  let at = 8 + text.length;
  for (const part of parts) out.set(part, at), (at += part.length);
  return out;
}
