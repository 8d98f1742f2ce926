/** The script of a page's worker, and of Deno's and Bun's. */

import { serve } from './host.js';
import type { Call } from './protocol.js';

const scope = globalThis as unknown as { postMessage(message: unknown, transfer: Transferable[]): void; onmessage: unknown };

serve({
  post: (reply, transfer) => scope.postMessage(reply, transfer),
  listen: (f) => {
    scope.onmessage = (event: MessageEvent<Call>) => f(event.data);
  },
});
