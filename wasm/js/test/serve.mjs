// A static file server for tests: ES modules, wasm, Range and ETag; and, on
// request, downloads that are cut.
import { createServer } from 'node:http';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const types = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' };

/**
 * Serves the repository on a free port. `change(request, path)` may return
 * { cut: bytes } to end a body early, { status }, { noRange: true },
 * { noLength: true } or { body }.
 */
export async function serve(change = () => ({})) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    const how = change(request, path) ?? {};
    requests.push({ path, range: request.headers.range });
    try {
      if (how.status) return void response.writeHead(how.status).end('no');
      const bytes = how.body ?? (await readFile(join(root, path)));
      const etag = `"${createHash('sha1').update(bytes).digest('hex')}"`;
      const headers = { 'content-type': types[extname(path)] ?? 'application/octet-stream', etag, 'access-control-allow-origin': '*' };
      const range = how.noRange ? null : /^bytes=(\d+)-/.exec(request.headers.range ?? '');
      const from = range && (request.headers['if-range'] ?? etag) === etag ? Number(range[1]) : 0;
      if (!how.noRange) headers['accept-ranges'] = 'bytes';
      if (from > 0) headers['content-range'] = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
      if (!how.noLength) headers['content-length'] = bytes.length - from;
      response.writeHead(from > 0 ? 206 : 200, headers);
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
