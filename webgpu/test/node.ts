/** node node.js URL: runs the tests' plans through the package "webgpu". */
import { create, globals } from 'webgpu';
import { serve } from './runner.js';

Object.assign(globalThis, globals);
// The object has to stay reachable: the package crashes once it is collected.
const gpu = create([]);
Object.assign(globalThis, { keptGPU: gpu });
process.stdin.on('end', () => process.exit(0)).resume();
await serve(process.argv[2]!, gpu).catch((error: unknown) => {
  console.error(String(error));
  process.exit(1);
});
