/**
 * What was measured on this visitor's adapters, kept from visit to visit (Cache Storage): a text for
 * each adapter and browser, since the engine itself is not told which these are.
 */
const CACHE = 'mantissa-tuning';

/** Names the adapter as well as the browser will, and the browser, which brings the driver's shader compiler. */
export async function tuningKey(): Promise<string> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  const { vendor = '', architecture = '', device = '', description = '' } = adapter?.info ?? {};
  const names = [vendor, architecture, device, description, navigator.userAgent];
  return `/tuning/${names.map(encodeURIComponent).join('/')}.json`;
}

/** Text that `keepTuning` kept; none where nothing was, or where the browser keeps nothing. */
export async function knownTuning(key: string): Promise<string | undefined> {
  try {
    const cache = await caches.open(CACHE);
    return await (await cache.match(key))?.text();
  } catch {
    return undefined;
  }
}

/**
 * Adds to what is kept, in turn with other tabs, which may have kept something since `knownTuning`.
 * Where the browser keeps nothing, the next visit measures again.
 */
export async function keepTuning(
  key: string,
  found: string,
  merge: (kept: string, found: string) => string,
): Promise<void> {
  try {
    await navigator.locks.request(CACHE, async () => {
      const cache = await caches.open(CACHE);
      const kept = (await (await cache.match(key))?.text()) ?? '';
      await cache.put(key, new Response(merge(kept, found)));
    });
  } catch {
    // As above.
  }
}

/** Forgets all of it. */
export async function forgetTuning(): Promise<void> {
  await caches.delete(CACHE);
}
