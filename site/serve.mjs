/**
 * Serves the built page as a static host does, with the headers of
 * public/_headers: node serve.mjs [port] [folder].
 */

import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { pipeline } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { createGzip } from 'node:zlib';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.txt': 'text/plain; charset=utf-8',
  '.md': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
};
const PACKED = new Set(['.html', '.js', '.mjs', '.css', '.json', '.wasm', '.svg', '.webmanifest']);

/** Rules of a _headers file: a path pattern, then indented "name: value" lines. */
function readRules(file) {
  const rules = [];
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    if (!/^\s/.test(line)) {
      rules.push({ pattern: new RegExp(`^${line.trim().replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*')}$`), headers: [] });
    } else {
      const at = line.indexOf(':');
      rules.at(-1).headers.push([line.slice(0, at).trim(), line.slice(at + 1).trim()]);
    }
  }
  return rules;
}

/** A server over a folder. `before` may answer a request itself and then returns true. */
export function serve(folder, { before } = {}) {
  const rules = readRules(join(folder, '_headers'));
  return createServer((request, response) => {
    if (before?.(request, response)) return;
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    const name = normalize(path.endsWith('/') ? `${path}index.html` : path);
    const file = join(folder, name);
    let size, modified;
    try {
      const stat = statSync(file);
      if (!stat.isFile()) throw new Error('not a file');
      ({ size, mtimeMs: modified } = stat);
    } catch {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('not found');
      return;
    }
    // A later rule replaces an earlier one of the same name, and "!" removes it.
    for (const { pattern, headers } of rules) {
      if (!pattern.test(path)) continue;
      for (const [key, value] of headers) response.setHeader(key, value);
    }
    const type = extname(file);
    const tag = `"${size.toString(16)}-${Math.round(modified).toString(16)}"`;
    response.setHeader('content-type', TYPES[type] ?? 'application/octet-stream');
    response.setHeader('etag', tag);
    response.setHeader('accept-ranges', 'bytes');
    if (request.headers['if-none-match'] === tag) return response.writeHead(304).end();
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const condition = request.headers['if-range'];
    const done = () => {};
    if (range && (condition === undefined || condition === tag)) {
      const start = Number(range[1]);
      const end = range[2] === '' ? size - 1 : Math.min(size - 1, Number(range[2]));
      if (start > end) return response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
      response.writeHead(206, { 'content-range': `bytes ${start}-${end}/${size}`, 'content-length': end - start + 1 });
      if (request.method === 'HEAD') return response.end();
      return pipeline(createReadStream(file, { start, end }), response, done);
    }
    if (PACKED.has(type) && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) {
      response.writeHead(200, { 'content-encoding': 'gzip', vary: 'accept-encoding' });
      if (request.method === 'HEAD') return response.end();
      return pipeline(createReadStream(file), createGzip({ level: 5 }), response, done);
    }
    response.writeHead(200, { 'content-length': size });
    if (request.method === 'HEAD') return response.end();
    return pipeline(createReadStream(file), response, done);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = Number(process.argv[2] ?? 8080);
  const folder = process.argv[3] ?? fileURLToPath(new URL('dist', import.meta.url));
  serve(folder).listen(port, () => console.log(`http://localhost:${port}/`));
}
