/** Runs the plans that a Go test serves (webgpu/parity) through the executor. */
import { Executor, type Plan } from '../executor.js';

interface Work {
  model: string;
  plan: Plan;
  ids: number[] | null;
  mask: number[] | null;
}

/** Asks the server for work until it goes away. */
export async function serve(base: string, gpu: GPU | undefined): Promise<void> {
  const executors = new Map<string, Executor>();
  // One executor serves all plans without a model: its pipelines are compiled once.
  const shared = await Executor.open(gpu);
  executors.set('', shared);
  await fetch(base + 'ready', { method: 'POST', body: JSON.stringify(shared.limits) });
  for (;;) {
    const reply = await fetch(base + 'next');
    const work = (await reply.json()) as Work;
    const name = encodeURIComponent(work.model);
    let values: Float32Array = new Float32Array();
    let failure = '';
    try {
      let executor = executors.get(name);
      if (!executor) {
        executor = shared.sibling();
        executors.set(name, executor);
      }
      const loaded = await executor.load(work.plan, async (buffer) => {
        const weight = await fetch(`${base}weight/${buffer}`);
        if (!weight.ok) throw new Error(await weight.text());
        return new Uint8Array(await weight.arrayBuffer());
      });
      values = await executor.run(loaded, new Uint32Array(work.ids ?? []), new Uint32Array(work.mask ?? []));
      executor.unload(loaded);
      if (!work.model) executor.clear();
    } catch (error) {
      failure = String(error);
    }
    await fetch(`${base}result?error=${encodeURIComponent(failure)}`, { method: 'POST', body: values as Float32Array<ArrayBuffer> });
  }
}
