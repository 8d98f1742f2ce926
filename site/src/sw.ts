/**
 * The service worker: after the first visit the page opens without a network.
 * Files whose name carries a hash are taken from the cache; the page itself is
 * fetched anew when that is possible.
 */

interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface FetchEvent extends ExtendableEvent {
  request: Request;
  respondWith(response: Promise<Response>): void;
}
interface Scope {
  addEventListener(type: 'install' | 'activate', listener: (event: ExtendableEvent) => void): void;
  addEventListener(type: 'fetch', listener: (event: FetchEvent) => void): void;
  skipWaiting(): Promise<void>;
  clients: { claim(): Promise<void> };
  registration: { scope: string };
}

const scope = self as unknown as Scope;
const NAME = 'page-%VERSION%';
const FILES = JSON.parse('%FILES%') as string[];

scope.addEventListener('install', (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(NAME);
      await cache.addAll(FILES.map((file) => new Request(new URL(file, scope.registration.scope), { cache: 'no-cache' })));
      await scope.skipWaiting();
    })(),
  );
});

scope.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name.startsWith('page-') && name !== NAME) await caches.delete(name);
      await scope.clients.claim();
    })(),
  );
});

scope.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || !url.href.startsWith(scope.registration.scope) || request.headers.has('range')) return;
  // The page itself streams and keeps its weights.
  if (url.pathname.endsWith('.safetensors')) return;
  event.respondWith(request.mode === 'navigate' ? page(request) : file(request));
});

async function page(request: Request): Promise<Response> {
  try {
    const response = await fetch(request);
    if (response.ok) return response;
  } catch {
    // No network: the kept page serves.
  }
  return (await caches.match(new URL('./', scope.registration.scope), { ignoreSearch: true })) ?? Response.error();
}

async function file(request: Request): Promise<Response> {
  const kept = await caches.match(request, { ignoreSearch: true });
  if (kept) return kept;
  const response = await fetch(request);
  if (response.ok && new URL(request.url).pathname.includes('/pdf/')) {
    const cache = await caches.open(NAME);
    await cache.put(request, response.clone()).catch(() => {});
  }
  return response;
}
