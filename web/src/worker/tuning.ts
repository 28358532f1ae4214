/** What was measured on this visitor's adapters, kept from visit to visit (Cache Storage). */

const CACHE = 'mantissa-tuning';
const KEY = '/tuning.json';

/** Text that `keepTuning` kept; none where nothing was, or where the browser keeps nothing. */
export async function knownTuning(): Promise<string | undefined> {
  try {
    const cache = await caches.open(CACHE);
    return await (await cache.match(KEY))?.text();
  } catch {
    return undefined;
  }
}

/** Where the browser keeps nothing, the next visit measures again. */
export async function keepTuning(text: string): Promise<void> {
  try {
    const cache = await caches.open(CACHE);
    await cache.put(KEY, new Response(text));
  } catch {
    // As above.
  }
}
