/** m2embed/pipeline in Cloudflare Workers. */

import { pipelineOf, type Pipeline } from './extraction.js';
import { M2Embed } from './workerd.js';

export * from './extraction.js';

/** The call shape of transformers.js. */
export const pipeline: Pipeline = pipelineOf(M2Embed);
