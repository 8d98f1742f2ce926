/** Where the module lies: beside this file, or where a bundler put it. */

import { M2EmbedError } from './types.js';

/** The address of m2embed.wasm; bundlers know the expression in it and emit the file. */
export function moduleAddress(): string {
  const moved = prebundled('m2embed.wasm');
  if (moved !== undefined) return moved;
  try {
    return new URL('./m2embed.wasm', import.meta.url).href;
  } catch (cause) {
    throw new M2EmbedError('bad_argument', 'this script has no address to look for m2embed.wasm at: pass the address or the bytes of the module as { module }', { cause });
  }
}

/**
 * The address of a file of this package under Vite's development server (5 to
 * 7), which moves the code of packages to node_modules/.vite/deps and leaves
 * the files beside it behind; undefined anywhere else.
 */
export function prebundled(name: string): string | undefined {
  const here = import.meta.url as string | undefined;
  const [, modules] = /^(.*\/node_modules\/)\.vite[^/]*\/deps[^/]*\//.exec(here ?? '') ?? [];
  return modules === undefined ? undefined : `${modules}m2embed/dist/${name}`;
}
