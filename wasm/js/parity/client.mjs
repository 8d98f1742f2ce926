// What every runtime runs: the cases through the package, the bits as hex.

/** base is the address of the repository's files; M2Embed.load is bound to the module by the caller. */
export async function run(load, base) {
  const cases = await (await fetch(`${base}/wasm/build/parity/cases.json`)).json();
  const found = [];
  for (const { name, model, inputs, options } of cases) {
    const embedder = await load({ config: `${base}/${model.config}`, tokenizer: `${base}/${model.tokenizer}`, weights: `${base}/${model.weights}` });
    for (const [i, input] of inputs.entries()) {
      const [e] = await embedder.embedDetailed([typeof input === 'string' ? input : Int32Array.from(input)], options);
      found.push({ name: `${name} ${i}`, length: e.length, bits: hex(new Uint8Array(e.vector.buffer)) });
    }
    // The same in one batch must give the same bits again.
    const batch = await embedder.embedDetailed(inputs.map((input) => (typeof input === 'string' ? input : Int32Array.from(input))), options);
    batch.forEach((e, i) => {
      if (hex(new Uint8Array(e.vector.buffer)) !== found[found.length - inputs.length + i].bits) throw new Error(`${name} ${i}: other bits in a batch`);
    });
    await embedder.dispose();
  }
  return found;
}

function hex(bytes) {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}
