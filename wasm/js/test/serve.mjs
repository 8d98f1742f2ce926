// A static file server for tests: ES modules, wasm, Range, ETag and, for other
// origins, CORS as plain servers have it; and, on request, downloads that are cut.
import { createServer } from 'node:http';
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const types = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' };

const tagOf = (bytes) => `"${createHash('sha1').update(bytes).digest('hex')}"`;
/** Tags of files by path and time, so that no request waits for a sum again. */
const tags = new Map();
async function fileTag(path, bytes) {
  const key = `${path} ${(await stat(path)).mtimeMs}`;
  if (!tags.has(key)) tags.set(key, tagOf(bytes));
  return tags.get(key);
}

/**
 * Serves the repository on a free port. `change(request, path)` may return
 * { cut: bytes } to end a body early, { status } (with body and headers, or none of
 * ours), { noRange: true }, { noLength: true }, { noTag: true }, { gzip: true },
 * { headers }, { open: true } to leave a body without an end, or { body }; or a
 * promise of them.
 */
export async function serve(change = () => ({})) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const { pathname, search } = new URL(request.url, 'http://localhost');
    const path = normalize(decodeURIComponent(pathname));
    const how = (await change(request, path)) ?? {};
    const seen = { path, query: search, method: request.method, range: request.headers.range, headers: request.headers };
    requests.push(seen);
    response.on('close', () => (seen.ended = true));
    response.on('finish', () => (seen.status = response.statusCode));
    try {
      if (how.status) return void response.writeHead(how.status, { 'access-control-allow-origin': '*', ...how.headers }).end(how.body ?? 'no');
      const plain = how.body ?? (await readFile(join(root, path)));
      const bytes = how.gzip ? gzipSync(plain) : plain;
      const etag = how.body || how.gzip ? tagOf(bytes) : await fileTag(join(root, path), bytes);
      const headers = { 'content-type': types[extname(path)] ?? 'application/octet-stream', 'access-control-allow-origin': '*', ...(!how.noTag && { etag }), ...(how.gzip && { 'content-encoding': 'gzip' }) };
      if (!how.noTag && request.headers['if-none-match'] === etag) return void response.writeHead(304, headers).end();
      const range = how.noRange ? null : /^bytes=(\d+)-/.exec(request.headers.range ?? '');
      const from = range && (request.headers['if-range'] ?? etag) === etag ? Number(range[1]) : 0;
      if (!how.noRange) headers['accept-ranges'] = 'bytes';
      if (from > 0) headers['content-range'] = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
      if (!how.noLength) headers['content-length'] = bytes.length - from;
      response.writeHead(from > 0 ? 206 : 200, { ...headers, ...how.headers });
      if (how.open) return void response.write(bytes);
      if (how.cut === undefined) return void response.end(bytes.subarray(from));
      response.write(bytes.subarray(from, from + how.cut), () => setTimeout(() => response.destroy(), 20));
    } catch {
      response.writeHead(404).end('not found');
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
