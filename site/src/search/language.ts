/** Whether the model knows the language of a text. */

import type { Embedder } from 'm2embed/worker';

/** Characters that are looked at. */
const SAMPLE = 2000;
/** The share of unknown or one-letter pieces from which on a text says little to the model. */
const MOST = 1 / 3;

/** Whether more than a third of a text are pieces that the vocabulary lacks, or knows as single letters only. */
export async function isForeign(model: Embedder, text: string): Promise<boolean> {
  const { tokens } = await model.tokenize(text.trim().slice(0, SAMPLE));
  let known = 0;
  let bare = 0;
  for (const token of tokens.slice(1, -1)) {
    const piece = token.replace(/^##/, '');
    if (piece === '[UNK]' || (/^\p{L}\p{M}*$/u.test(piece) && !/^[aio]$/i.test(token))) bare++;
    else if (/\p{L}/u.test(piece)) known++;
  }
  return bare >= 3 && bare > MOST * (bare + known);
}
