/** The script of a worker thread of Node. */

import { parentPort } from 'node:worker_threads';
import { serve } from './host.js';

serve({
  post: (reply, transfer) => parentPort!.postMessage(reply, transfer as never),
  listen: (f) => {
    parentPort!.on('message', f);
  },
});
