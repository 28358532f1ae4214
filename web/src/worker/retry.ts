/** How often a server that gives nothing is asked again, and when. */

/** Attempts in a row that bring no byte. */
export const MAX_ATTEMPTS = 4;
const FIRST_PAUSE_MS = 150;

/** Waits after so many failures in a row, longer each time. */
export function pause(failures: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, FIRST_PAUSE_MS * 2 ** failures));
}
