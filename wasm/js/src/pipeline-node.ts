/** m2embed/pipeline in Node. */

import { pipelineOf, type Pipeline } from './extraction.js';
import { M2Embed } from './node.js';

export * from './extraction.js';

/** The call shape of transformers.js. */
export const pipeline: Pipeline = pipelineOf(M2Embed);
